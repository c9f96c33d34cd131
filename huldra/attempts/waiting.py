"""Waiting for somebody else's turn: noticed, bounded, and over as soon as it can be."""

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
from huldra.store.records import AttemptStatus, ErrorRecord, Turn
from huldra.store.snapshot import Life

_FIRST_PAUSE_S = 0.001
_LOCAL_PAUSE_S = 0.02
_JUDGE_EVERY_S = 0.2


class Waiting:
    """One caller's wait for one artifact, over as many turns of others as it takes.

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
        self._turn = 0
        self._watched = 0

    @property
    def waited_for(self) -> int:
        """The number of the turn that was waited for last, 0 when none was."""
        return self._turn

    def lose_to(self, number: int) -> None:
        """Count turn `number`, which somebody else claimed before us, as one we waited for."""
        self._turn = max(self._turn, number)

    def step(self, turn: Turn) -> None:
        """Wait a moment for `turn` to end, ending it in its owner's name if the owner is dead.

        Raises `HuldraWaitTimeout` when the limit is over, `HuldraLockNotAcquired` at once when
        the limit is 0.
        """
        if turn.number != self._watched:
            self._watched, self._watch, self._pause_s = turn.number, Watch(), _FIRST_PAUSE_S
            self._judged_at = 0.0
        self._turn = turn.number
        now = uptime_s()
        if now - self._judged_at >= _JUDGE_EVERY_S:
            self._judged_at = now
            if liveness.of_turn(self._paths, turn, self._watch) is Life.DEAD:
                bury(self._key, self._paths, turn)
                return
        self._refuse_if_over(turn, now)
        self._say(turn, now)
        self.nap(turn)

    def nap(self, turn: Turn) -> None:
        """Sleep until the turn ends or the next look is due."""
        longest = _LOCAL_PAUSE_S if shares_pids(turn.claim.owner, this_process()) else None
        time.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 1.5, longest or HULDRA_CONFIG.poll_interval)

    def _refuse_if_over(self, turn: Turn, now: float) -> None:
        if self._limit_s is None or now - self._started < self._limit_s:
            return
        holder = describe(self._paths, turn)
        where = self._paths.directory
        if self._limit_s <= 0:
            raise HuldraLockNotAcquired(
                f"{self._key} is {holder}, and _max_wait_time_sec is 0, which is not to wait;"
                f" {where}",
                directory=where,
            )
        raise HuldraWaitTimeout(
            f"waited {now - self._started:.1f} s for {self._key}, which is {holder}; raise"
            f" _max_wait_time_sec (now {self._limit_s:g}) to wait longer, or look at"
            f" {self._paths.log}",
            waited_s=now - self._started,
            directory=where,
        )

    def _say(self, turn: Turn, now: float) -> None:
        if now - self._said_at < HULDRA_CONFIG.wait_log_every:
            return
        self._said_at = now
        limit = "without limit" if self._limit_s is None else f"for at most {self._limit_s:g} s"
        get_logger().info(
            "waiting %.0f s for %s (%s): %s; Ctrl-C gives up, the other goes on",
            now - self._started,
            self._key,
            limit,
            describe(self._paths, turn),
        )

    def refuse_failure(self, turn: Turn) -> None:
        """Raise what the turn failed with, if it was waited for: its waiters do not retry it.

        A turn after the one that was waited for was opened while we waited: it counts, too.
        """
        if 0 < self._turn <= turn.number and turn.status is AttemptStatus.FAILED and turn.end:
            raise error_of(self._key, self._paths, turn.end.error)


def bury(key: str, paths: ArtifactPaths, turn: Turn) -> None:
    """End the turn of a dead owner, who can no longer do so."""
    end = claim.end_turn(paths, turn.number, AttemptStatus.CRASHED, new_owner())
    if end is not None:
        get_logger().warning(
            "%s: %s is dead; its turn %d is ended as crashed",
            key,
            turn.claim.owner.describe(),
            turn.number,
        )


def describe(paths: ArtifactPaths, turn: Turn) -> str:
    """Say who holds a turn, since when, and when it was last heard of."""
    word = "queued" if turn.is_queued else "being made"
    ref = turn.ref
    job = f" as {ref.engine} job {ref.job_id}" if ref and turn.is_queued else ""
    beat = claim.last_beat(paths, turn.number)
    heard = ""
    if beat is not None and turn.is_running:
        moment = datetime.datetime.fromtimestamp(beat, datetime.UTC)
        heard = f", last heartbeat {moment.isoformat(timespec='seconds')}"
    return f"{word}{job} by {turn.claim.owner.describe()} since {turn.claim.claimed_at}{heard}"


def error_of(key: str, paths: ArtifactPaths, error: ErrorRecord | None) -> HuldraComputeError:
    """The error of an attempt that another process, or an earlier call, recorded."""
    data = {"state_path": paths.state, "directory": paths.directory}
    if error is None:
        return HuldraComputeError(f"{key} failed; no reason was recorded in {paths.state}", **data)
    if error.failed_key:
        return HuldraDependencyError(
            f"{key} was not tried: its dependency {error.failed_key} failed; log: {error.log_path}",
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
