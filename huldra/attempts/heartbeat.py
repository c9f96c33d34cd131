"""Heartbeats: one thread a process renews the leases of all claims that the process holds.

The thread is started with the first claim that lives long enough to need it, and started anew
in a forked child. It also sees what an owner must know: that its claim was taken over, that the
lease could not be renewed in time, and that somebody asked for a cancel.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from huldra.store import claim
from huldra.store.layout import ArtifactPaths

_CANCEL_POLL_S = 1.0
_SLICE_S = 1.0
_SLEPT_S = 0.5

Alarm = Callable[[str], None]


def uptime_s() -> float:
    """Seconds of this boot, sleep included: no clock change moves it."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _asleep_s() -> float:
    """For how long this boot has been suspended so far."""
    return uptime_s() - time.monotonic()


@dataclass(slots=True)
class Beat:
    """One lease to renew every `interval_s`; `alarm(reason)` is called once if it is lost.

    `watches_cancel` makes it look for a request to cancel every second, too.
    """

    paths: ArtifactPaths
    number: int
    interval_s: float
    lease_s: float
    alarm: Alarm
    watches_cancel: bool
    renewed: float = 0.0
    next_due: float = 0.0
    is_alarmed: bool = False


class _Heart:
    """The thread and what it beats for."""

    def __init__(self) -> None:
        self.beats: dict[int, Beat] = {}
        self.changed = threading.Condition()
        self.thread: threading.Thread | None = None

    def add(self, beat: Beat) -> None:
        now = uptime_s()
        beat.renewed = now
        beat.next_due = now + _pause_s(beat)
        with self.changed:
            self.beats[id(beat)] = beat
            if self.thread is None:
                thread = threading.Thread(target=self._run, name="huldra-heartbeat", daemon=True)
                thread.start()  # raises where the system allows no more threads: then there is none
                self.thread = thread
            elif beat.next_due < self.wakes_at:
                self.changed.notify()

    wakes_at = float("inf")

    def discard(self, beat: Beat) -> None:
        with self.changed:
            self.beats.pop(id(beat), None)

    def _run(self) -> None:
        asleep_s = _asleep_s()
        while True:
            with self.changed:
                now = uptime_s()
                self.wakes_at = min((b.next_due for b in self.beats.values()), default=now + 3600)
                if self.wakes_at > now:
                    # In slices: the wait's own clock stands still while the machine sleeps.
                    self.changed.wait(min(self.wakes_at - now, _SLICE_S))
                now, asleep_before_s, asleep_s = uptime_s(), asleep_s, _asleep_s()
                has_slept = asleep_s - asleep_before_s > _SLEPT_S
                due = [b for b in self.beats.values() if has_slept or b.next_due <= now]
            for beat in due:
                _attend(beat)


def _pause_s(beat: Beat) -> float:
    return min(beat.interval_s, _CANCEL_POLL_S) if beat.watches_cancel else beat.interval_s


def _attend(beat: Beat) -> None:
    now = uptime_s()
    beat.next_due = now + _pause_s(beat)
    reason = _look(beat, now)
    if reason and not beat.is_alarmed:
        beat.is_alarmed = True
        beat.alarm(reason)


def _look(beat: Beat, now: float) -> str | None:
    if claim.has_ended(beat.paths, beat.number):
        return "the claim was taken over"
    if beat.watches_cancel and claim.is_cancel_requested(beat.paths, beat.number):
        return "a cancel was asked for"
    if now - beat.renewed < beat.interval_s * 0.99:
        return None
    try:
        claim.beat(beat.paths, beat.number)
    except OSError as error:
        # One heartbeat before the lease ends is the last moment at which stopping is still safe.
        if now - beat.renewed > beat.lease_s - beat.interval_s:
            return f"the lease could not be renewed for {now - beat.renewed:.0f} s ({error})"
        return None
    beat.renewed = now
    return None


_heart = _Heart()


def _new_heart() -> None:
    global _heart  # noqa: PLW0603  a forked child has no threads and holds no claims
    _heart = _Heart()


os.register_at_fork(after_in_child=_new_heart)


def start(beat: Beat) -> None:
    """Renew this lease from now on."""
    _heart.add(beat)


def stop(beat: Beat) -> None:
    """Stop renewing this lease."""
    _heart.discard(beat)
