"""Warm child processes of a Dask worker, in which nodes run.

A Dask worker runs tasks in threads of a daemonic process: there a `_create` has no signals, may
start no processes, cannot be stopped, and takes all of the worker's other tasks along when it
crashes. In a child it is alone in a main thread. Its program is `huldra.worker.server`. The
worker's event loop waits for it: a thread would have to be woken, to wake the loop in turn.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from huldra.engines.kit import Death, MemoryKills, how_it_ended
from huldra.worker.process import WorkerProcess
from huldra.worker.server import RUN_NODE
from huldra_dask import NAME

RUNNER = RUN_NODE
STOP_GRACE_S = 10.0
_IDLE_S = 60.0
_MOST_IDLE = 4  # above this, one with other code is taken rather than one more started


class ChildDied(Exception):
    """The child ended without an answer; the argument is its exit code, negative for a signal."""


@dataclass(eq=False)
class Child:
    """One child process; `ask` is for one task at a time, of any loop, `stop` for any thread."""

    log_directory: str
    gpus: tuple[str, ...] = ()
    runner: str = field(default_factory=lambda: RUNNER)
    code: str = ""
    idle_since: float = 0.0
    stopped_as: str = ""
    _number: int = 0
    _is_buried: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._process = WorkerProcess(NAME, self.runner, self.gpus, self.log_directory)

    async def ask(self, payload: str, log_directory: str, timeout_s: float | None) -> str | None:
        """Run one payload; None when it went well, else what went wrong.

        Raises `ChildDied` when it ends without an answer: by itself, by `stop`, or because
        `timeout_s` seconds are over; then it is gone when this returns.
        """
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[dict[str, Any] | None] = loop.create_future()
        limit = loop.call_later(timeout_s, self.stop, "timed_out") if timeout_s else None
        self._number += 1
        loop.add_reader(self._process.answers, self._receive, answered)
        try:
            # Does not block: an order is short, and the pipe of a child that waits is empty.
            self._process.send(self._number, payload, log_directory)
            answer = await answered
        finally:
            loop.remove_reader(self._process.answers)
            if limit is not None:
                limit.cancel()
        if answer is None:
            raise ChildDied(await asyncio.to_thread(self._bury))
        error: str | None = answer["error"]
        return error

    def _receive(self, answered: asyncio.Future[dict[str, Any] | None]) -> None:
        """Read what there is; the answer, or None at the end of the pipe, goes to who asked."""
        messages, more = self._process.receive()
        answers = [message for message in messages if message.get("id") == self._number]
        if (answers or not more) and not answered.done():
            answered.set_result(answers[0] if answers else None)

    @property
    def is_spent(self) -> bool:
        """True if it must run no other node."""
        return bool(self._process.spent)

    def stop(self, status: str) -> None:
        """End it soon: SIGTERM now for its whole group, SIGKILL after a grace."""
        with self._lock:
            if self.stopped_as or self._is_buried:
                return
            self.stopped_as = status
            self._process.signal(signal.SIGTERM)
        timer = threading.Timer(STOP_GRACE_S, self._kill)
        timer.daemon = True
        timer.start()

    def dismiss(self) -> None:
        """End it soon, without waiting for its answer."""
        self.stop("preempted")
        threading.Thread(target=self._see_end, daemon=True).start()

    def retire(self) -> None:
        """Let an idle child go: it ends when its pipe does."""
        self._process.retire()
        threading.Thread(target=self._see_end, daemon=True).start()

    def _kill(self) -> None:
        with self._lock:
            if not self._is_buried:
                self._process.signal(signal.SIGKILL)

    def _see_end(self) -> None:
        self._process.await_end()
        self._bury()

    @property
    def peak_gb(self) -> float:
        """The most memory that it ever had; known once its exit status was read."""
        return self._process.peak_gb

    def _bury(self) -> int:
        with self._lock:
            self._is_buried = True
            return self._process.reap()


class Children:
    """The children of this process: those that run a node, by its name, and idle ones."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know of none: in a forked process they are the parent's, as is the holder of the lock."""
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._busy: dict[str, Child] = {}
        self._taken_gpus: set[str] = set()
        self._memory_kills: MemoryKills | None = None
        self._reaper: threading.Thread | None = None

    async def take(self, name: str, gpus: int, log_directory: str, code: str = "") -> Child:
        """A child for the node `name`; one that gets GPUs is always new and sees only those.

        Of those that wait one is taken that has imported the same `code`: drivers with different
        code may share this worker for long, and each change costs a start.
        """
        idle = self._reuse(name, gpus, code)
        if idle is not None:
            return idle
        # In a thread, since the folder of its log may be slow to answer.
        start = asyncio.to_thread(self._start, name, gpus, log_directory, code)
        starting = asyncio.ensure_future(start)
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:  # it is not wanted any more
            starting.add_done_callback(lambda started: self._dismiss(name, started.result()))
            raise

    def _dismiss(self, name: str, child: Child) -> None:
        child.dismiss()
        self.give_back(name, child, alive=False)

    def _reuse(self, name: str, gpus: int, code: str) -> Child | None:
        with self._lock:
            fitting = [c for c in self._idle if c.runner == RUNNER]
            same = [c for c in fitting if c.code == code]
            if (not same and len(fitting) < _MOST_IDLE) or self._free_gpus(gpus):
                return None
            # One with other code starts again by itself.
            child = self._busy[name] = same[-1] if same else fitting[0]
            child.code = code
            self._idle.remove(child)
            return child

    def _start(self, name: str, gpus: int, log_directory: str, code: str) -> Child:
        with self._lock:
            visible = self._free_gpus(gpus)
            self._taken_gpus.update(visible)
            self._memory_kills = MemoryKills()  # earlier kills explain no death of this one
        try:
            child = Child(log_directory, visible, code=code)
        except BaseException:
            with self._lock:
                self._taken_gpus.difference_update(visible)
            raise
        with self._lock:
            self._busy[name] = child
        return child

    def give_back(self, name: str, child: Child, *, alive: bool) -> None:
        """Keep a child for the next node, unless it died or holds GPUs."""
        with self._lock:
            self._busy.pop(name, None)
            self._taken_gpus.difference_update(child.gpus)
            if not alive:
                return
            if child.gpus or child.stopped_as or child.is_spent:
                child.retire()
                return
            child.idle_since = time.monotonic()
            self._idle.append(child)
            self._watch_idle()

    def death_of(self, child: Child, code: int) -> Death:
        """How a child died, with this exit code, as far as the kernel tells."""
        with self._lock:
            lacked = self._memory_kills is not None and self._memory_kills.explain_one()
        text = f"its process died {how_it_ended(code)}"
        if child.peak_gb:
            text += f", having used up to {child.peak_gb:.1f} GiB"
        return Death.of_process(code, text, kernel_lacked_memory=lacked)

    def stop(self, names: Sequence[str], status: str) -> list[str]:
        """Stop those of these nodes that run here; returns their names."""
        with self._lock:
            running = {name: self._busy[name] for name in names if name in self._busy}
        for child in running.values():
            child.stop(status)
        return list(running)

    def _free_gpus(self, count: int) -> tuple[str, ...]:
        # Without a list of devices in the environment there is nothing to choose from.
        listed = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if count else []
        free = [gpu for gpu in listed if gpu and gpu not in self._taken_gpus]
        return tuple(free[:count]) if len(free) >= count else ()

    def _watch_idle(self) -> None:
        if self._reaper is None:
            self._reaper = threading.Thread(target=self._reap, name="huldra-idle", daemon=True)
            self._reaper.start()

    def _reap(self) -> None:
        while True:
            time.sleep(_IDLE_S / 2)
            with self._lock:
                limit = time.monotonic() - _IDLE_S
                old = [child for child in self._idle if child.idle_since < limit]
                self._idle = [child for child in self._idle if child.idle_since >= limit]
                for child in old:
                    child.retire()
                if not self._idle:
                    self._reaper = None
                    return


CHILDREN = Children()
"""Those of this process, be there one Dask worker in it or many."""

os.register_at_fork(after_in_child=CHILDREN.forget)
