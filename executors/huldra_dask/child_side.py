"""The program of a child: runs one node after the other for its Dask worker.

One line of JSON each way: `{"id", "payload"}` in (with `log`, a path, when it changes), and
`{"id", "error"}` out, the error null where the node was made. When the worker goes, a busy child
ends as preempted, an idle one just ends.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import threading
import time
from typing import Any

_ORPHAN_GRACE_S = 30.0
_ERROR_CHARACTERS = 4000


def main(runner: str) -> None:
    """Serve until the worker closes the pipe; `runner` is a `module:function`."""
    orders, answers = _take_pipes()
    busy = threading.Event()
    threading.Thread(target=_follow_worker, args=(orders, busy), daemon=True).start()
    module, _, name = runner.partition(":")
    run = getattr(importlib.import_module(module), name)
    rest = b""
    while data := os.read(orders, 65536):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            busy.set()
            answer = _obey(run, json.loads(line))
            busy.clear()
            _write_all(answers, json.dumps(answer).encode("ascii") + b"\n")


def run_node(payload: str) -> None:
    """Run one node through the core, in a process that is there for it alone."""
    from huldra.worker import run_node as run

    run(payload, owns_process=True)


def _obey(run: Any, order: dict[str, Any]) -> dict[str, Any]:
    """Run one node; whatever it raises is an answer, so that the child goes on."""
    error = None
    if log_path := order.get("log"):
        _print_to(log_path)
    try:
        run(order["payload"])
    except BaseException as raised:  # noqa: BLE001  sys.exit and Ctrl-C are answers too
        error = (str(raised) or type(raised).__name__)[:_ERROR_CHARACTERS]
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return {"id": order["id"], "error": error}


def _follow_worker(orders: int, busy: threading.Event) -> None:
    """End this process soon after its worker: a node in work is recorded as preempted."""
    poll = select.poll()
    poll.register(orders, 0)  # no event asked for: only the hang-up is reported
    poll.poll()
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_ORPHAN_GRACE_S)
    os.killpg(0, signal.SIGKILL)


def _take_pipes() -> tuple[int, int]:
    """Move the protocol to descriptors that the user's code neither prints to nor inherits."""
    orders, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)

    def leave() -> None:
        # A process that the user's code forks must neither read our orders, nor keep the worker
        # from seeing that this one has died.
        os.close(orders)
        os.close(answers)

    os.register_at_fork(after_in_child=leave)
    return orders, answers


def _print_to(path: str) -> None:
    """Let what this process prints go to the end of a file."""
    try:
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    except OSError:  # the run's folder is gone: printing on where it went before is good enough
        return
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _write_all(descriptor: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except BrokenPipeError:  # the worker is gone; the next read says so too
        return
