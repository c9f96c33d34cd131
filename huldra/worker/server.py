"""The program of a worker process: reads tasks from its pipe, runs them in turn, answers.

One line of JSON each way: `{"id": 1, "payload": "…"}` in, with `log`, a path, when it changes, and
where the engine names the job `job`, its id, and at first `meta`, that of all its refs. Out
`{"id": 1, "error": null}`, or what went wrong; with `spent`, a reason, where this process must run
no other task. The pipes are moved to private descriptors first,
so that nothing the user's code prints or reads touches them.
A task that needs other code than this process has in memory is kept: the program starts again in
its place, with the same pid and pipes, so that the parent sees no more than a slower answer.
A worker lives as long as its parent: when that goes while a task runs, the worker sends itself
SIGTERM, which `run_node` records as a preemption.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NoReturn

from huldra.engines import descendants, output
from huldra.store.job_ref import JobRef
from huldra.worker import process_state
from huldra.worker.boot import Boot
from huldra.worker.code import NeedsNewProcess

_ORPHAN_LOOK_S = 0.05
_ORPHAN_GRACE_S = 30.0
_ERROR_CHARACTERS = 4000
# A file that is written to all the time, or has a time of tomorrow, looks edited to each new start.
_MAX_RENEWALS = 2
_may_start_again = threading.Event()

RUN_NODE = "huldra.worker.server:run_node"
Runner = Callable[[str, JobRef | None], None]


def main(order: dict[str, Any]) -> None:
    """Serve until the parent closes the pipe, as a `Boot` of these fields says."""
    boot = Boot(**order)
    if not boot.pipes:
        boot = replace(boot, pipes=_private_pipes())
    if boot.renewals < _MAX_RENEWALS:
        _may_start_again.set()
    Server(boot, dict(os.environ)).serve()


class Server:
    """This process: its two ends of the pipes and what it is doing."""

    def __init__(self, boot: Boot, environ: dict[str, str]) -> None:
        self._boot = boot
        self._environ = environ  # as it was before any node of the user's
        self._tasks, self._answers = boot.pipes
        self._rest = boot.rest.encode("ascii")
        self._renewals = boot.renewals
        self._busy = False
        self._meta: dict[str, Any] = {}
        os.register_at_fork(after_in_child=self._leave_pipes)
        threading.Thread(target=self._watch_parent, name="huldra-parent-watch", daemon=True).start()

    def serve(self) -> None:
        """Run what comes, until there is no more."""
        descendants.adopt_orphans()
        run = _find(self._boot.runner)
        if not self._rest:
            self._answer({"ready": os.getpid()})
        for line in self._lines():
            message = json.loads(line)
            if log_path := message.get("log"):
                output.redirect_output(log_path)
            self._busy = True
            try:
                answer = _outcome(run, message, self._job(message))
            except NeedsNewProcess as why:
                self._start_again(message, why)
            # What the code of other nodes has kept of processes that are gone would fail there.
            if descendants.end_own():
                process_state.spend("processes that a node left running")
            if spent := process_state.why_spent():
                answer["spent"] = spent
            self._busy = False
            self._answer(answer)
            self._renewals = 0
            _may_start_again.set()

    def _start_again(self, message: dict[str, Any], why: Exception) -> NoReturn:
        """Begin again with this task, which this process cannot run for what it has in memory."""
        logging.getLogger("huldra").info("worker %d restarts: %s", os.getpid(), why)
        descendants.end_own()
        output.flush()
        first = json.dumps({**message, "meta": self._meta}).encode("ascii") + b"\n"
        rest = (first + self._rest).decode("ascii")
        again = replace(self._boot, rest=rest, renewals=self._renewals + 1)
        again.replace_process(self._environ)

    def _job(self, message: dict[str, Any]) -> JobRef | None:
        self._meta = message.get("meta", self._meta)
        return JobRef(self._boot.engine, message["job"], self._meta) if "job" in message else None

    def _lines(self) -> Iterator[bytes]:
        while True:
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                yield line
            if not (data := os.read(self._tasks, 65536)):
                return
            self._rest += data

    def _answer(self, message: dict[str, Any]) -> None:
        data = memoryview(json.dumps(message).encode("ascii") + b"\n")
        try:
            while data:
                data = data[os.write(self._answers, data) :]
        except BrokenPipeError:  # the parent is gone; the next read says so too
            return

    def _leave_pipes(self) -> None:
        # A process that the user's code forks must not read our tasks, nor keep the parent from
        # seeing that this worker has died.
        for descriptor in (self._tasks, self._answers):
            os.close(descriptor)

    def _watch_parent(self) -> None:
        poll = select.poll()
        poll.register(self._tasks, 0)  # no event asked for: only the hang-up is reported
        poll.poll()
        killed_at = time.monotonic() + _ORPHAN_GRACE_S
        has_warned = False
        while True:
            if self._busy and not has_warned:
                has_warned = True
                # To the main thread, which would sleep on if this one got the signal.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            if time.monotonic() > killed_at:
                descendants.end_own(grace_s=0.0)
                os.killpg(0, signal.SIGKILL)
            time.sleep(_ORPHAN_LOOK_S)


def run_node(payload: str, job: JobRef | None, **more: Any) -> None:
    """Run one node through the core; this process is there for nothing else meanwhile.

    `more` goes to `huldra.worker.run_node`, from the runner of an adapter.
    """
    from huldra.worker.node import run_node as run

    run(payload, job=job, owns_process=True, can_renew=_may_start_again.is_set(), **more)


def _outcome(run: Runner, message: dict[str, Any], job: JobRef | None) -> dict[str, Any]:
    """Run one payload; whatever it raises is an answer, so that the worker goes on.

    Not so a SIGINT, which the worker dies of: it may have come before the node's attempt began, and
    would else be taken for a failure of its code. A node that was interrupted in its attempt is
    recorded as cancelled, and stays so when the engine runs it again. Nor `NeedsNewProcess`.
    """
    try:
        run(message["payload"], job)
    except (KeyboardInterrupt, NeedsNewProcess):
        raise
    except BaseException as error:  # noqa: BLE001  sys.exit is an answer too
        text = str(error) or type(error).__name__
        return {"id": message["id"], "error": text[:_ERROR_CHARACTERS]}
    finally:
        output.flush()
    return {"id": message["id"], "error": None}


def _private_pipes() -> tuple[int, int]:
    tasks, answers = os.dup(0), os.dup(1)  # not inherited by programs that the user's code starts
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return tasks, answers


def _find(runner: str) -> Runner:
    module, _, name = runner.partition(":")
    found: Runner = getattr(importlib.import_module(module), name)
    return found
