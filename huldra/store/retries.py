"""What the disk refused and must not stay undone: one thread tries it again until it is done.

A claim that cannot be ended keeps all others waiting as long as its process lives, which may be
days in a notebook or a warm worker. The thread starts with the first such piece of work and ends
with the last. Nothing of it survives the process, whose death frees its claims anyway.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0

Work = Callable[[], bool]


class _Retries:
    """The work that is left, and the thread that tries it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pending: list[Work] = []
        self.is_running = False

    def add(self, work: Work) -> None:
        with self.lock:
            self.pending.append(work)
            if self.is_running:
                return
            self.is_running = True
        try:
            threading.Thread(target=self._run, name="huldra-retries", daemon=True).start()
        except RuntimeError:  # no more threads, or the interpreter ends
            self.is_running = False

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while self._is_left():
            threading.Event().wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            for work in tuple(self.pending):
                if work():
                    with self.lock:
                        self.pending.remove(work)
                    pause_s = _FIRST_PAUSE_S

    def _is_left(self) -> bool:
        with self.lock:
            self.is_running = bool(self.pending)
            return self.is_running


_retries = _Retries()


def _forget() -> None:
    global _retries  # noqa: PLW0603  a forked child has no threads, and holds no claims
    _retries = _Retries()


os.register_at_fork(after_in_child=_forget)


def until_done(work: Work) -> None:
    """Do the work now, and where it returns False again and again in the background.

    The work raises nothing.
    """
    if not work():
        _retries.add(work)
