"""The worker's side of the pool: reads tasks, runs them one after the other, answers.

One line of JSON each way: `{"id": 1, "payload": "…", "job": "<job id>"}` in (with `log`, a path,
when it changes, and with `meta`, that of all refs of this driver, at first), out `{"id": 1, "ok":
true}` or `{"id": 1, "ok": false, "error": "…"}`. The pipes are moved to private descriptors first,
so that nothing the user's code prints or reads touches them.
A worker lives as long as its driver: when that goes while a task runs, the worker sends itself
SIGTERM, which `run_node` records as a preemption.
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
from collections.abc import Callable, Iterator
from typing import Any

from huldra.executor import JobRef
from huldra.owner import LOCAL as ENGINE

_ORPHAN_LOOK_S = 0.05
_ORPHAN_GRACE_S = 30.0
_ERROR_CHARACTERS = 4000

Runner = Callable[[str, JobRef], None]


def main(runner: str) -> None:
    """Serve until the driver closes the pipe."""
    worker = Worker(*_private_pipes())
    worker.serve(_find(runner))


class Worker:
    """One worker process: its two ends of the pipes and what it is doing."""

    def __init__(self, tasks: int, answers: int) -> None:
        self._tasks = tasks
        self._answers = answers
        self._busy = False
        self._meta: dict[str, Any] = {}
        os.register_at_fork(after_in_child=self._leave_pipes)
        threading.Thread(target=self._watch_driver, name="huldra-driver-watch", daemon=True).start()

    def serve(self, run: Runner) -> None:
        """Run what comes, until there is no more."""
        self._answer({"ready": os.getpid()})
        for line in self._lines():
            message = json.loads(line)
            if log_path := message.get("log"):
                _print_to(log_path)
            self._meta = message.get("meta", self._meta)
            job = JobRef(ENGINE, message["job"], self._meta)
            self._busy = True
            answer = _outcome(run, message, job)
            self._busy = False
            self._answer(answer)

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        while data := os.read(self._tasks, 65536):
            *lines, rest = (rest + data).split(b"\n")
            yield from lines

    def _answer(self, message: dict[str, Any]) -> None:
        data = memoryview(json.dumps(message).encode("ascii") + b"\n")
        try:
            while data:
                data = data[os.write(self._answers, data) :]
        except BrokenPipeError:  # the driver is gone; the next read says so too
            return

    def _leave_pipes(self) -> None:
        # A process that the user's code forks must not read our tasks, nor keep the driver from
        # seeing that this worker has died.
        for descriptor in (self._tasks, self._answers):
            os.close(descriptor)

    def _watch_driver(self) -> None:
        poll = select.poll()
        poll.register(self._tasks, 0)  # no event asked for: only the hang-up is reported
        poll.poll()
        killed_at = time.monotonic() + _ORPHAN_GRACE_S
        told = False
        while True:
            if self._busy and not told:
                told = True
                os.kill(os.getpid(), signal.SIGTERM)
            if time.monotonic() > killed_at:
                os.killpg(0, signal.SIGKILL)
            time.sleep(_ORPHAN_LOOK_S)


def run_node(payload: str, job: JobRef) -> None:
    """Run one node through the core; this process is there for nothing else meanwhile."""
    from huldra.worker import run_node as run

    run(payload, job=job, owns_process=True)


def _outcome(run: Runner, message: dict[str, Any], job: JobRef) -> dict[str, Any]:
    """Run one payload; whatever it raises is an answer, so that the worker goes on."""
    try:
        run(message["payload"], job)
    except BaseException as error:  # noqa: BLE001  sys.exit and Ctrl-C are answers too
        text = str(error) or type(error).__name__
        return {"id": message["id"], "ok": False, "error": text[:_ERROR_CHARACTERS]}
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    return {"id": message["id"], "ok": True}


def _private_pipes() -> tuple[int, int]:
    tasks, answers = os.dup(0), os.dup(1)  # not inherited by programs that the user's code starts
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return tasks, answers


def _print_to(path: str) -> None:
    """Let what this process prints go to the end of a file."""
    try:
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    except OSError:  # the run's folder is gone: printing on where it went before is good enough
        return
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _find(runner: str) -> Runner:
    module, _, name = runner.partition(":")
    found: Runner = getattr(importlib.import_module(module), name)
    return found
