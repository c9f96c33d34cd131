"""The program of a worker process: reads tasks from its pipe, runs them in turn, answers.

One line of JSON each way: `{"id": 1, "payload": "…"}` in, with `log`, a path, when it changes, and
where the engine names the job `job`, its id, and at first `meta`, that of all its refs. Out
`{"id": 1, "error": null}`, or what went wrong; with `spent`, a reason, where this process must run
no other task. The pipes are moved to private descriptors first,
so that nothing the user's code prints or reads touches them.
A worker lives as long as its parent: when that goes while a task runs, the worker sends itself
SIGTERM, which `run_node` records as a preemption.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from huldra.engines import descendants, output
from huldra.store.job_ref import JobRef
from huldra.worker import process_state

_ORPHAN_LOOK_S = 0.05
_ORPHAN_GRACE_S = 30.0
_ERROR_CHARACTERS = 4000

RUN_NODE = "huldra.worker.server:run_node"
Runner = Callable[[str, JobRef | None], None]


def main(engine: str, runner: str) -> None:
    """Serve until the parent closes the pipe; `runner` is a `module:function`."""
    server = Server(engine, *_private_pipes())
    server.serve(_find(runner))


class Server:
    """This process: its two ends of the pipes and what it is doing."""

    def __init__(self, engine: str, tasks: int, answers: int) -> None:
        self._engine = engine
        self._tasks = tasks
        self._answers = answers
        self._busy = False
        self._meta: dict[str, Any] = {}
        os.register_at_fork(after_in_child=self._leave_pipes)
        threading.Thread(target=self._watch_parent, name="huldra-parent-watch", daemon=True).start()

    def serve(self, run: Runner) -> None:
        """Run what comes, until there is no more."""
        descendants.adopt_orphans()
        self._answer({"ready": os.getpid()})
        for line in self._lines():
            message = json.loads(line)
            if log_path := message.get("log"):
                output.redirect_output(log_path)
            self._busy = True
            answer = _outcome(run, message, self._job(message))
            # What the code of other nodes has kept of processes that are gone would fail there.
            if descendants.end_own():
                process_state.spend("processes that a node left running")
            if spent := process_state.why_spent():
                answer["spent"] = spent
            self._busy = False
            self._answer(answer)

    def _job(self, message: dict[str, Any]) -> JobRef | None:
        self._meta = message.get("meta", self._meta)
        return JobRef(self._engine, message["job"], self._meta) if "job" in message else None

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
        told = False
        while True:
            if self._busy and not told:
                told = True
                # To the main thread, which would sleep on if this one got the signal.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            if time.monotonic() > killed_at:
                descendants.end_own(grace_s=0.0)
                os.killpg(0, signal.SIGKILL)
            time.sleep(_ORPHAN_LOOK_S)


def run_node(payload: str, job: JobRef | None) -> None:
    """Run one node through the core; this process is there for nothing else meanwhile."""
    from huldra.worker.node import run_node as run

    run(payload, job=job, owns_process=True)


def _outcome(run: Runner, message: dict[str, Any], job: JobRef | None) -> dict[str, Any]:
    """Run one payload; whatever it raises is an answer, so that the worker goes on.

    Not so a SIGINT, which the worker dies of: it may have come before the node's attempt began, and
    would else be taken for a failure of its code. A node that was interrupted in its turn is
    recorded as cancelled, and stays so when the engine runs it again.
    """
    try:
        run(message["payload"], job)
    except KeyboardInterrupt:
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
