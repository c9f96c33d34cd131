"""Heartbeats: one thread a process renews the leases of all claims that the process holds.

The thread is started with the first claim that lives long enough to need it, and started again
in a forked child. It also sees what an owner must know: that its claim was taken over, that the
lease could not be renewed in time, and that a cancel was requested.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from huldra.errors import HuldraError
from huldra.store import claim
from huldra.store.layout import ArtifactPaths
from huldra.store.process import Owner

_CANCEL_POLL_S = 1.0
_SLICE_S = 1.0
_SLEPT_S = 0.5

_GONE = "the claim is gone: the artifact's directory was removed"

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
class LeaseRenewal:
    """One lease to renew every `interval_s`; `alarm(reason)` is called once if it is lost.

    `watches_cancel` makes it look for a request to cancel every second, too, and whether the claim
    is still there. `renewed` is when the claim was written, at the earliest (`uptime_s`).
    """

    paths: ArtifactPaths
    number: int
    owner: Owner
    interval_s: float
    lease_s: float
    alarm: Alarm
    watches_cancel: bool
    renewed: float
    next_due: float = 0.0
    is_alarmed: bool = False


@dataclass(slots=True)
class QueueRenewal:
    """The lease of all that a driver has queued in one run, renewed every `interval_s`.

    The claims of a run are one file under many names; `files` are those that there are of it, and
    may grow. `is_over` says that nothing of the run is queued any more, which ends this.
    """

    files: Sequence[str]
    interval_s: float
    is_over: Callable[[], bool]
    next_due: float = 0.0


Renewal = LeaseRenewal | QueueRenewal


class _LeaseRenewer:
    """The thread and the leases that it renews."""

    def __init__(self) -> None:
        self.renewals: dict[int, Renewal] = {}
        self.changed = threading.Condition()
        self.thread: threading.Thread | None = None

    def add(self, renewal: Renewal) -> None:
        now = uptime_s()
        renewal.next_due = now + _pause_s(renewal)
        with self.changed:
            self.renewals[id(renewal)] = renewal
            if self.thread is None:
                thread = threading.Thread(target=self._run, name="huldra-heartbeat", daemon=True)
                thread.start()  # raises where the system allows no more threads: then there is none
                self.thread = thread
            elif renewal.next_due < self.wakes_at:
                self.changed.notify()

    wakes_at = float("inf")

    def discard(self, renewal: Renewal) -> None:
        with self.changed:
            self.renewals.pop(id(renewal), None)

    def _run(self) -> None:
        asleep_s = _asleep_s()
        while True:
            with self.changed:
                now = uptime_s()
                self.wakes_at = min(
                    (b.next_due for b in self.renewals.values()), default=now + 3600
                )
                if self.wakes_at > now:
                    # In slices: the wait's own clock stands still while the machine sleeps.
                    self.changed.wait(min(self.wakes_at - now, _SLICE_S))
                now, asleep_before_s, asleep_s = uptime_s(), asleep_s, _asleep_s()
                has_slept = asleep_s - asleep_before_s > _SLEPT_S
                due = [b for b in self.renewals.values() if has_slept or b.next_due <= now]
            for renewal in due:
                if isinstance(renewal, QueueRenewal):
                    _renew_queue(renewal)
                else:
                    _attend(renewal)


def _pause_s(renewal: Renewal) -> float:
    if isinstance(renewal, QueueRenewal) or not renewal.watches_cancel:
        return renewal.interval_s
    return min(renewal.interval_s, _CANCEL_POLL_S)


def _renew_queue(renewal: QueueRenewal) -> None:
    renewal.next_due = uptime_s() + renewal.interval_s
    for file in list(renewal.files):
        with contextlib.suppress(OSError):  # its artifact was removed, or the disk is away
            os.utime(file)
    with contextlib.suppress(HuldraError):  # an engine that does not answer is asked again
        if renewal.is_over():
            stop(renewal)


def _attend(renewal: LeaseRenewal) -> None:
    now = uptime_s()
    renewal.next_due = now + _pause_s(renewal)
    reason = _look(renewal, now)
    if reason and not renewal.is_alarmed:
        renewal.is_alarmed = True
        renewal.alarm(reason)


def _look(renewal: LeaseRenewal, now: float) -> str | None:
    if claim.has_ended(renewal.paths, renewal.number):
        return "the claim was taken over"
    if renewal.watches_cancel and claim.is_cancel_requested(renewal.paths, renewal.number):
        return "cancellation was requested"
    if renewal.watches_cancel and claim.is_gone(renewal.paths, renewal.number):
        return _GONE
    if now - renewal.renewed < renewal.interval_s * 0.99:
        return None
    try:
        if not claim.renew(renewal.paths, renewal.number, renewal.owner):
            return _GONE
    except OSError as error:
        # One heartbeat before the lease ends is the last moment at which stopping is still safe.
        if now - renewal.renewed > renewal.lease_s - renewal.interval_s:
            return f"the lease could not be renewed for {now - renewal.renewed:.0f} s ({error})"
        return None
    renewal.renewed = now
    return None


_renewer = _LeaseRenewer()


def _new_renewer() -> None:
    global _renewer  # noqa: PLW0603  a forked child has no threads and holds no claims
    _renewer = _LeaseRenewer()


os.register_at_fork(after_in_child=_new_renewer)


def start(renewal: Renewal) -> None:
    """Renew this lease from now on."""
    _renewer.add(renewal)


def stop(renewal: Renewal) -> None:
    """Stop renewing this lease."""
    _renewer.discard(renewal)
