"""Signals while `_create` runs: any way out is recorded, and none tears the books in two."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | int | None

# The interpreter's own functions, where it has them apart: those of `signal` look handlers up in
# an enum, and that it is none costs an exception a call. That is 10 µs of an attempt, these are 1.
_raw: Any = sys.modules.get("_signal", signal)
_get_handler: Callable[[int], Handler] = _raw.getsignal
_set_handler: Callable[[int, Handler], Handler] = _raw.signal
_SIG_DFL, _SIG_IGN, _SIGINT, _SIGTERM = map(
    int, (signal.SIG_DFL, signal.SIG_IGN, signal.SIGINT, signal.SIGTERM)
)


class Terminated(BaseException):
    """Signal `signum` asked the process to end while `_create` ran."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class Guard:
    """Handlers for SIGINT, SIGTERM and `extra` signals, for the time of one attempt.

    While `interruptible` they act at once, inside the user's code: SIGINT as it did before,
    the others by raising `Terminated`, once; then `terminated` is true. In the bookkeeping around
    it they are noted, and acted on when the user's code begins or the guard is left. In a forked
    child they act as if there were no guard. Off the main thread the guard does nothing: Python
    runs handlers in the main thread only.
    """

    def __init__(self, extra: tuple[int, ...] = ()) -> None:
        self.interruptible = False
        self.terminated = False
        self._pending: list[int] = []
        self._signals = (_SIGINT, _SIGTERM, *extra)
        self._previous: dict[int, Handler] = {}
        self._pid = os.getpid()

    def install(self) -> None:
        """Put the handlers in place of those that the process has."""
        if threading.current_thread() is not threading.main_thread():
            return
        for signum in self._signals:
            previous = _get_handler(signum)
            # An ignored signal stays ignored (nohup, a shell's background job), and a handler
            # that was not set from Python (None) could not be put back.
            if previous is None or previous == _SIG_IGN:
                continue
            self._previous[signum] = previous
            _set_handler(signum, self._handle)

    def restore(self) -> None:
        """Put the handlers back that were there."""
        if os.getpid() != self._pid:
            return
        try:
            while self._previous:
                signum = next(reversed(self._previous))
                _set_handler(signum, self._previous[signum])
                del self._previous[signum]
        finally:
            if self._previous:  # a handler that was just put back has raised: put back the others
                self.restore()

    def admit(self) -> None:
        """Let signals act at once from now on, those that came before included."""
        self.interruptible = True
        while self._pending:
            self._handle(self._pending.pop(0), None)

    def note(self, signum: int) -> None:
        """Act on this signal once the old handlers are back."""
        if signum not in self._pending:
            self._pending.append(signum)

    def deliver_pending(self) -> None:
        """Act on what came in between, the old handlers being back."""
        try:
            while self._pending:
                signal.raise_signal(self._pending.pop(0))
        finally:
            if self._pending:  # what the first one raised must not lose the next
                self.deliver_pending()

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            self._act_as_before(signum, frame)
        elif not self.interruptible or signum in self._pending:
            self.note(signum)
        elif signum == _SIGINT:
            self._act_as_before(signum, frame)
        else:
            # Whatever the user's code makes of it, swallowing it included: the process was asked to
            # end, and ends, once the attempt is in the books.
            self.note(signum)
            self.terminated = True
            raise Terminated(signum)

    def _act_as_before(self, signum: int, frame: FrameType | None) -> None:
        previous = self._previous.get(signum, _SIG_DFL)
        if callable(previous):
            previous(signum, frame)
        else:
            _set_handler(signum, previous)
            signal.raise_signal(signum)


@contextmanager
def guarded(extra: tuple[int, ...] = ()) -> Iterator[Guard]:
    """Guard one attempt; what was noted meanwhile is acted on at the end."""
    guard = Guard(extra)
    try:
        guard.install()
        yield guard
    finally:
        try:
            guard.restore()
        finally:
            guard.deliver_pending()
