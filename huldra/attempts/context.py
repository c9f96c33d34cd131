"""What the calling thread is in the middle of: which artifacts it makes, and on which worker."""

from __future__ import annotations

import contextvars
import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from huldra.errors import HuldraCycleError
from huldra.store.job_ref import JobRef
from huldra.store.process import LOCAL

_ENV = "HULDRA_MAKING"


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The engine's job that this code runs in, and the plan that it is held to.

    `needs` are the keys that were planned as dependencies: they are loaded here, never made.
    `owns_process` says that the process exists for this node alone, and may be ended with it.
    `command` is the driver's command line, which the metadata tells instead of the worker's own.
    """

    backend: str = LOCAL
    job: JobRef | None = None
    needs: frozenset[str] = frozenset()
    owns_process: bool = False
    signals: tuple[int, ...] = ()
    command: str = ""


class _Making(str):
    """A key while its artifact is being made.

    A thread of a pool that was first used inside `_create` keeps this context for all its life; so
    what is over is marked in the key itself.
    """

    is_over = False


making: ContextVar[tuple[str, ...]] = ContextVar("huldra_making", default=())
worker: ContextVar[WorkerContext | None] = ContextVar("huldra_worker", default=None)

# An adapter's way to tell, once SIGTERM came, a cancel by the engine's own command (which leaves
# no mark in the store) from a preemption. None: only the store is asked.
was_cancelled: ContextVar[Callable[[], bool] | None] = ContextVar(
    "huldra_was_cancelled", default=None
)


def refuse_cycle(key: str) -> None:
    """Raise `HuldraCycleError` when `key` is being made by this very call chain.

    Threads that `_create` starts, and forked children, inherit the chain; a process that it
    spawns is told of it through the environment.
    """
    chain = tuple(known for known in making.get() if not getattr(known, "is_over", False))
    if not chain:
        chain = _inherited()
    if key in chain:
        path = (*chain[chain.index(key) :], key)
        raise HuldraCycleError(
            "an artifact asks for itself: " + " → ".join(path) + "; it would wait for ever."
            " Break the circle in _dependencies() or in _create()",
            path=path,
        )


@contextmanager
def making_artifact(key: str) -> Iterator[None]:
    """Mark `key` as being made by what runs inside."""
    _teach_threads()
    mine = _Making(key)
    chain = (*(making.get() or _inherited()), mine)
    token = making.set(chain)
    # Only the main thread speaks to the environment: the chains of two threads would overwrite
    # each other, and what is put back in the wrong order stays for ever.
    is_main = threading.current_thread() is threading.main_thread()
    before = os.environ.get(_ENV)
    if is_main:
        os.environ[_ENV] = f"{os.getpid()} " + " ".join(chain)
    try:
        yield
    finally:
        mine.is_over = True
        making.reset(token)
        if not is_main:
            pass
        elif before is None:
            os.environ.pop(_ENV, None)
        else:
            os.environ[_ENV] = before


_threads_are_taught = False


def _teach_threads() -> None:
    """Let threads that `_create` starts run in a copy of the context they were started in.

    Python does so by itself from 3.14 on, where asked to. Every way to start a thread ends in
    `Thread.start`, so that is wrapped, once, and touches only threads started from `_create`. It is
    not taken back, as somebody may have wrapped it again by then.
    """
    global _threads_are_taught  # noqa: PLW0603  once a process
    if _threads_are_taught:
        return
    original = threading.Thread.start

    def start(self: threading.Thread) -> None:
        if making.get():
            context = contextvars.copy_context()
            self.run = functools.partial(context.run, self.run)  # type: ignore[method-assign]  # see above
        original(self)

    start.__doc__ = original.__doc__
    threading.Thread.start = start  # type: ignore[method-assign]  # see above
    _threads_are_taught = True


def forget_inherited() -> None:
    """Start again: what an engine's worker makes has nothing to do with who started the worker."""
    os.environ.pop(_ENV, None)


def _inherited() -> tuple[str, ...]:
    # The variable reaches children that were spawned while we made something. In the process that
    # set it the context variable is the word: another thread's chain must not be taken for ours.
    pid, _, chain = os.environ.get(_ENV, "").partition(" ")
    return () if pid == str(os.getpid()) else tuple(chain.split())
