"""Waiting for another process's attempt: noticed, bounded, and over as soon as it can be."""

from __future__ import annotations

import datetime
import time

from huldra.attempts import liveness
from huldra.attempts.heartbeat import uptime_s
from huldra.attempts.liveness import Watch
from huldra.errors import (
    HuldraComputeError,
    HuldraDependencyError,
    HuldraLockNotAcquired,
    HuldraWaitTimeout,
    RemoteError,
)
from huldra.logs.capture import get_logger
from huldra.settings import HULDRA_CONFIG
from huldra.store import claim
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner, shares_pids, this_process
from huldra.store.records import Attempt, AttemptStatus, ErrorRecord, ended_by_death
from huldra.store.snapshot import Liveness

_FIRST_PAUSE_S = 0.001
_LOCAL_PAUSE_S = 0.02
_JUDGE_EVERY_S = 0.2


class Waiting:
    """One caller's wait for one artifact, over as many attempts of others as it takes.

    `limit_s` None waits without end.
    """

    def __init__(self, key: str, paths: ArtifactPaths, limit_s: float | None) -> None:
        self._key = key
        self._paths = paths
        self._limit_s = limit_s
        self._started = uptime_s()
        self._pause_s = _FIRST_PAUSE_S
        self._judged_at = 0.0
        self._said_at = self._started
        self._watch = Watch()
        self._attempt = 0
        self._watched = 0

    @property
    def waited_for(self) -> int:
        """The number of the attempt that was waited for last, 0 when none was."""
        return self._attempt

    def lose_to(self, number: int) -> None:
        """Count attempt `number`, which another process claimed first, as one we waited for."""
        self._attempt = max(self._attempt, number)

    def step(self, attempt: Attempt) -> None:
        """Wait a moment for `attempt` to end, ending it in its owner's name if the owner is dead.

        Raises `HuldraWaitTimeout` when the limit is over, `HuldraLockNotAcquired` at once when
        the limit is 0.
        """
        if attempt.number != self._watched:
            self._watched, self._watch, self._pause_s = attempt.number, Watch(), _FIRST_PAUSE_S
            self._judged_at = 0.0
        self._attempt = attempt.number
        now = uptime_s()
        if now - self._judged_at >= _JUDGE_EVERY_S:
            self._judged_at = now
            if liveness.claim_liveness(self._paths, attempt, self._watch) is Liveness.DEAD:
                mark_crashed(self._key, self._paths, attempt)
                return
        self._refuse_if_over(attempt, now)
        self._say(attempt, now)
        self.nap(attempt)

    def nap(self, attempt: Attempt) -> None:
        """Sleep until the attempt ends or the next look is due."""
        longest = _LOCAL_PAUSE_S if shares_pids(attempt.claim.owner, this_process()) else None
        time.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 1.5, longest or HULDRA_CONFIG.poll_interval)

    def _refuse_if_over(self, attempt: Attempt, now: float) -> None:
        if self._limit_s is None or now - self._started < self._limit_s:
            return
        holder = describe(self._paths, attempt)
        where = self._paths.directory
        if self._limit_s <= 0:
            raise HuldraLockNotAcquired(
                f"{self._key} is {holder}; not waiting, because _max_wait_time_sec is 0;"
                f" directory: {where}",
                directory=where,
            )
        raise HuldraWaitTimeout(
            f"waited {now - self._started:.1f} s for {self._key}, which is {holder}; raise"
            f" _max_wait_time_sec (now {self._limit_s:g}) to wait longer, or read"
            f" {self._paths.log}",
            waited_s=now - self._started,
            directory=where,
        )

    def _say(self, attempt: Attempt, now: float) -> None:
        if now - self._said_at < HULDRA_CONFIG.wait_log_every:
            return
        self._said_at = now
        limit = "without limit" if self._limit_s is None else f"for at most {self._limit_s:g} s"
        get_logger().info(
            "waiting %.0f s for %s (%s): %s; press Ctrl-C to stop waiting; the owner keeps running",
            now - self._started,
            self._key,
            limit,
            describe(self._paths, attempt),
        )

    def refuse_failure(self, attempt: Attempt) -> None:
        """Raise what the attempt failed with, if it was waited for: its waiters do not retry it.

        An attempt after the one that was waited for was opened while we waited: it counts, too.
        """
        if (
            0 < self._attempt <= attempt.number
            and attempt.status is AttemptStatus.FAILED
            and attempt.end
        ):
            raise error_of(self._key, self._paths, attempt.end.error)


def mark_crashed(key: str, paths: ArtifactPaths, attempt: Attempt) -> None:
    """End the attempt of a dead owner, who can no longer do so."""
    status = ended_by_death(claim.is_cancel_requested(paths, attempt.number))
    end = claim.end_attempt(paths, attempt.number, status, new_owner(), of=attempt.claim.owner)
    if end is not None:
        get_logger().warning(
            "%s: owner %s is dead; marking attempt %d as %s",
            key,
            attempt.claim.owner.describe(),
            attempt.number,
            status.value,
        )


def describe(paths: ArtifactPaths, attempt: Attempt) -> str:
    """Say who holds an attempt, since when, and when it was last heard of."""
    word = "queued" if attempt.is_queued else "being computed"
    ref = attempt.ref
    job = f" as {ref.engine} job {ref.job_id}" if ref and attempt.is_queued else ""
    renewed_at = claim.renewed_at(paths, attempt.number)
    heard = ""
    if renewed_at is not None and attempt.is_running:
        moment = datetime.datetime.fromtimestamp(renewed_at, datetime.UTC)
        heard = f", last heartbeat {moment.isoformat(timespec='seconds')}"
    return (
        f"{word}{job} by {attempt.claim.owner.describe()} since {attempt.claim.claimed_at}{heard}"
    )


def error_of(key: str, paths: ArtifactPaths, error: ErrorRecord | None) -> HuldraComputeError:
    """The error of an attempt that another process, or an earlier call, recorded."""
    data = {"state_path": paths.state, "directory": paths.directory}
    if error is None:
        return HuldraComputeError(f"{key} failed; no reason was recorded in {paths.state}", **data)
    if error.failed_key:
        return HuldraDependencyError(
            f"{key} did not run: its dependency {error.failed_key} failed; log: {error.log_path}",
            original_error=None,
            failed_key=error.failed_key,
            log_path=error.log_path or "",
            **data,
        )
    original = RemoteError(
        f"{error.type}: {error.message}",
        type_name=error.type,
        message=error.message,
        traceback_text=error.traceback,
    )
    failed = HuldraComputeError(
        f"{key} failed: {error.type}: {error.message}; directory: {paths.directory},"
        f" log: {paths.log}",
        original_error=original,
        **data,
    )
    failed.__cause__ = original
    return failed
