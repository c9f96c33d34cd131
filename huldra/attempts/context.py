"""What the calling thread is in the middle of: which artifacts it makes, and on which worker."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from huldra.errors import HuldraCycleError
from huldra.store.layout import ArtifactPaths

# Defining a class and a hit need this module; they do not need the claims, which only what is
# being made asks about.
if TYPE_CHECKING:
    from huldra.store.job_ref import JobRef

_ENV = "HULDRA_MAKING"


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The engine's job that this code runs in, and the plan that it is held to.

    `needs` are the keys that were planned as dependencies: they are loaded here, never made.
    `owns_process` says that the process exists for this node alone, and may be ended with it.
    `command` is the driver's command line, which the metadata tells instead of the worker's own.
    `edited` are modules that were edited after the run was submitted, and are new here. `frozen`
    maps a folder of the driver's to the digest of the frozen copy that runs in its place.
    `class_code` maps namespaces to the code that the driver has recorded of their classes.
    """

    backend: str
    job: JobRef | None = None
    needs: frozenset[str] = frozenset()
    owns_process: bool = False
    signals: tuple[int, ...] = ()
    command: str = ""
    edited: tuple[str, ...] = ()
    frozen: Mapping[str, str] = field(default_factory=dict)
    class_code: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Making:
    """Attempt `number` at the artifact `key` in `directory`, for which `_create` runs here.

    A thread of a pool that was first used inside `_create` keeps this context for all its life; so
    what is over is marked in the object itself. A forked child has only a copy of that mark, and a
    spawned one knows it by name: they ask the store.
    """

    key: str
    directory: str
    number: int
    pid: int = field(default_factory=os.getpid)
    is_over: bool = False

    def is_open(self) -> bool:
        """Return True if the attempt has not ended."""
        if self.pid == os.getpid():
            return not self.is_over
        from huldra.store import claim
        from huldra.store.snapshot import Liveness, process_liveness

        paths = ArtifactPaths(self.directory)
        if claim.is_gone(paths, self.number):
            return False
        attempt = claim.read_attempt(paths, self.number)
        return attempt.end is None and process_liveness(attempt.claim.owner) is not Liveness.DEAD


making: ContextVar[tuple[Making, ...]] = ContextVar("huldra_making", default=())
worker: ContextVar[WorkerContext | None] = ContextVar("huldra_worker", default=None)

# An adapter's way to tell, once SIGTERM came, a cancel by the engine's own command (which leaves
# no mark in the store) from a preemption. None: only the store is asked.
was_cancelled: ContextVar[Callable[[], bool] | None] = ContextVar(
    "huldra_was_cancelled", default=None
)


def refuse_cycle(key: str, paths: ArtifactPaths) -> None:
    """Raise `HuldraCycleError` when the artifact is being made by this very call chain.

    Threads that `_create` starts, and forked children, inherit the chain; a process that it
    spawns inherits it through the environment. The same key in another root is another artifact.
    """
    chain = _chain()
    for place, known in enumerate(chain):
        if known.key == key and _is_same(known.directory, paths.directory) and known.is_open():
            path = (*(step.key for step in chain[place:]), key)
            raise HuldraCycleError(
                "cyclic dependency: "
                + " → ".join(path)
                + "; this would deadlock. Break the cycle in _dependencies() or _create()",
                path=path,
            )


def _chain() -> tuple[Making, ...]:
    return tuple(known for known in making.get() if not known.is_over) or _inherited()


def innermost() -> Making | None:
    """Return what this thread, or the process that started this one, makes right now."""
    chain = _chain()
    return chain[-1] if chain else None


def is_making() -> bool:
    """Return True if some `_create` has led to this call, so that there may be a cycle."""
    return bool(_chain())


def run_number(paths: ArtifactPaths) -> int:
    """How many attempts at this artifact have begun, up to the one that runs here; 0 for none."""
    from huldra.store import claim
    from huldra.store.records import RUNNING

    for known in reversed(_chain()):
        if _is_same(known.directory, paths.directory) and known.is_open():
            before = [n for n in claim.numbers(paths) if n < known.number]
            return 1 + sum(claim.read_claim(paths, n).kind == RUNNING for n in before)
    return 0


def _is_same(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return os.path.samefile(one, other)  # one root may have two paths
    except OSError:
        return False


@contextmanager
def making_artifact(mine: Making) -> Iterator[None]:
    """Mark the artifact as being made by what runs inside."""
    chain = (*(making.get() or _inherited()), mine)
    token = making.set(chain)
    # Only the main thread speaks to the environment: the chains of two threads would overwrite
    # each other, and what is put back in the wrong order stays for ever.
    is_main = threading.current_thread() is threading.main_thread()
    before = os.environ.get(_ENV)
    if is_main:
        os.environ[_ENV] = _as_text(chain)
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


def forget_inherited() -> None:
    """Start again: what an engine's worker makes has nothing to do with who started the worker."""
    os.environ.pop(_ENV, None)


def _as_text(chain: tuple[Making, ...]) -> str:
    steps = [(step.key, step.directory, step.number) for step in chain]
    return json.dumps([os.getpid(), steps], separators=(",", ":"))


def _inherited() -> tuple[Making, ...]:
    # The variable reaches children that were spawned while we made something. In the process that
    # set it the context variable is the word: another thread's chain must not be taken for ours.
    text = os.environ.get(_ENV)
    if not text:
        return ()
    try:
        pid, steps = json.loads(text)
        chain = tuple(Making(str(k), str(d), int(n), pid=0) for k, d, n in steps)
    except (ValueError, TypeError):
        return ()  # another version's, or not huldra's
    return () if pid == os.getpid() else chain
