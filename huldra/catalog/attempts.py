"""Every attempt at one artifact, from its claims."""

from __future__ import annotations

import os

from huldra.catalog import reading
from huldra.catalog.artifact_state import MAX_TURNS, Now, last_number, read_turn
from huldra.catalog.reading import as_count, as_text, as_time
from huldra.catalog.records import Attempt
from huldra.store.layout import ArtifactPaths
from huldra.store.records import STARTED, Turn
from huldra.store.snapshot import Life, Verdict


def attempts(paths: ArtifactPaths, now: Now) -> tuple[Attempt, ...]:
    """The last `MAX_TURNS` turns, the oldest first."""
    last = last_number(paths)
    first = max(1, last - MAX_TURNS + 1)
    return tuple(
        _attempt(paths, read_turn(paths, number), now) for number in range(first, last + 1)
    )


def _attempt(paths: ArtifactPaths, turn: Turn, now: Now) -> Attempt:
    number, claim, owner, end = turn.number, turn.claim, turn.claim.owner, turn.end
    beat = reading.mark_of(paths.claim(number)) if end is None else None
    verdict = Verdict(Life.ALIVE) if end is not None else now.judges(turn, beat)
    is_stale = verdict.life is Life.DEAD
    error = end.error.to_json() if end is not None and end.error is not None else None
    return Attempt(
        number=number,
        status="stale" if is_stale else _status(turn),
        kind=as_text(claim.kind) or "running",
        backend=as_text(turn.ref.engine if turn.ref else owner.backend),
        hostname=as_text(owner.host),
        user=as_text(owner.user),
        pid=as_count(owner.pid),
        job_id=as_text(turn.ref.job_id if turn.ref else ""),
        run_id=as_text(claim.run_id),
        claimed_at=as_time(claim.claimed_at),
        ended_at=as_time(end.ended_at) if end is not None else None,
        heartbeat_at=reading.as_moment(beat.mtime_ns / 1e9) if beat and turn.is_running else None,
        stale_reason=verdict.reason if is_stale else "",
        cancel_requested=os.path.exists(paths.claim_cancel(number)),
        error=error,
        unconfirmed="" if is_stale else verdict.reason,
    )


def _status(turn: Turn) -> str:
    if turn.end is not None and turn.end.status == STARTED:
        return STARTED  # the queued job began: the next turn is its run
    return turn.status.value
