"""One graph at a time for one executor: queued on disk and handed over are one step.

Between the two, a node is claimed and its engine does not know it yet. A graph that another thread
sends in that moment finds the claim, and finds no job to wait for at the engine: its nodes would
take workers and wait there, and what they wait for would stand behind them in the queue.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class _Turnstile:
    """Re-entrant, since what an executor runs inside `submit` may send something itself."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    users: int = 0


_turnstiles: dict[int, _Turnstile] = {}
_guard = threading.Lock()


def _forget() -> None:
    global _guard  # noqa: PLW0603  a thread of a forked parent may have held it, and is not here
    _guard = threading.Lock()
    _turnstiles.clear()


os.register_at_fork(after_in_child=_forget)


@contextlib.contextmanager
def one_at_a_time(executor: object) -> Iterator[None]:
    """Let no other thread send to `executor` meanwhile, unless it runs nodes inside `submit`."""
    if getattr(executor, "runs_in_submit", False):  # it would hold up others for as long as those
        yield
        return
    with _guard:
        turnstile = _turnstiles.setdefault(id(executor), _Turnstile())
        turnstile.users += 1
    try:
        with turnstile.lock:
            yield
    finally:
        with _guard:
            turnstile.users -= 1
            if not turnstile.users:
                _turnstiles.pop(id(executor), None)
