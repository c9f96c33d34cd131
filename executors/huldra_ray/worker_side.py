"""One node on a Ray worker: in its main thread, ended by SIGTERM or its time limit."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any, NoReturn, Self

from huldra.engines.kit import JobStatus, descendants, print_file, printing_to, run_folder
from huldra.errors import NodeFailed
from huldra.worker import process_state
from huldra_ray import NAME
from huldra_ray.ended import NeedsOtherWorker, NodeEnded

_KILL_GRACE_S = 10.0


class _Stopped(BaseException):
    """SIGTERM arrived, and the attempt is recorded."""


def run_call(plain: bytes, *, can_renew: bool) -> None:
    """Make a node; raises `NodeEnded` when it is not made.

    With `can_renew` that is `NeedsOtherWorker` where this process has other code than the driver,
    or something of an earlier node that could not be put back.
    """
    from huldra.worker.code import NeedsNewProcess
    from huldra.worker.node import run_node

    call = json.loads(plain)
    kind: type[NodeEnded] = NodeEnded
    descendants.adopt_orphans()
    prints = printing_to(print_file(run_folder(call["payload"]), NAME))
    with _same_folder(), prints, _TimeLimit(call["time_limit_s"]) as limit:
        try:
            try:
                if can_renew and process_state.why_spent():
                    raise NeedsNewProcess(process_state.why_spent())
                run_node(
                    call["payload"],
                    owns_process=True,
                    keeps_folder=_has_a_folder(),
                    can_renew=can_renew,
                )
            finally:
                # What the code of other nodes has kept of them would fail there.
                if descendants.end_own():
                    process_state.spend("processes that a node left running")
            return
        except NeedsNewProcess as why:
            kind, status, text = NeedsOtherWorker, JobStatus.FAILED, str(why)
        except NodeFailed as error:
            status, text = JobStatus.FAILED, str(error)
        except SystemExit as error:  # Ray would take it as the worker's end
            status, text = JobStatus.FAILED, f"SystemExit({error.code!r})"
        except _Stopped:
            status, text = JobStatus.PREEMPTED, "stopped by SIGTERM"
            if limit.is_over:
                status, text = JobStatus.TIMED_OUT, f"took longer than {call['time_limit_s']:g} s"
    # Outside of any `except`, so that no cause of the user's travels with it.
    raise kind(status.value, call["name"], text)


class _TimeLimit:
    """While entered, SIGTERM raises `_Stopped`, and is sent when the time is over."""

    def __init__(self, limit_s: float | None) -> None:
        self._limit_s = limit_s
        self._timer: threading.Timer | None = None
        self.is_over = False

    def __enter__(self) -> Self:
        self._previous = signal.signal(signal.SIGTERM, _raise_stopped)
        if self._limit_s is not None:
            self._start(self._limit_s, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        signal.signal(signal.SIGTERM, self._previous)

    def _start(self, delay_s: float, then: Any) -> None:
        self._timer = threading.Timer(delay_s, then)
        self._timer.daemon = True
        self._timer.start()

    def _stop(self) -> None:
        self.is_over = True
        self._start(_KILL_GRACE_S, self._kill)
        # To the main thread: one that sleeps there would not wake from a signal to this one.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def _kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _raise_stopped(*_: object) -> NoReturn:
    raise _Stopped


@functools.cache  # a worker process has one runtime_env for good
def _has_a_folder() -> bool:
    """Return True if this worker's runtime_env names the folder where it runs."""
    import ray

    return bool(ray.get_runtime_context().runtime_env.get("working_dir"))


@contextlib.contextmanager
def _same_folder() -> Iterator[None]:
    """Come back to the worker's folder: it runs tasks of others, too."""
    before = os.getcwd()
    try:
        yield
    finally:
        os.chdir(before)
