"""Every attempt at one artifact, from its claims."""

from __future__ import annotations

import os

from huldra.catalog import reading
from huldra.catalog.artifact_state import (
    MAX_ATTEMPTS,
    ScanClock,
    last_number,
    read_attempt,
    status_of_dead,
)
from huldra.catalog.reading import as_count, as_text, as_time
from huldra.catalog.records import AttemptRow
from huldra.store.layout import ArtifactPaths
from huldra.store.records import Attempt
from huldra.store.snapshot import Liveness, Verdict


def attempts(paths: ArtifactPaths, now: ScanClock) -> tuple[AttemptRow, ...]:
    """The last `MAX_ATTEMPTS` attempts, the oldest first."""
    last = last_number(paths)
    first = max(1, last - MAX_ATTEMPTS + 1)
    return tuple(_row(paths, read_attempt(paths, number), now) for number in range(first, last + 1))


def _row(paths: ArtifactPaths, attempt: Attempt, now: ScanClock) -> AttemptRow:
    number, claim, owner, end = attempt.number, attempt.claim, attempt.claim.owner, attempt.end
    beat = reading.mark_of(paths.claim(number)) if end is None else None
    verdict = Verdict(Liveness.ALIVE) if end is not None else now.judges(attempt, beat)
    is_stale = verdict.liveness is Liveness.DEAD
    error = end.error.to_json() if end is not None and end.error is not None else None
    return AttemptRow(
        number=number,
        status=status_of_dead(paths, attempt) if is_stale else attempt.status.value,
        kind=as_text(claim.kind) or "running",
        backend=as_text(attempt.ref.engine if attempt.ref else owner.backend),
        hostname=as_text(owner.host),
        user=as_text(owner.user),
        pid=as_count(owner.pid),
        job_id=as_text(attempt.ref.job_id if attempt.ref else ""),
        run_id=as_text(claim.run_id),
        claimed_at=as_time(claim.claimed_at),
        ended_at=as_time(end.ended_at) if end is not None else None,
        heartbeat_at=reading.as_moment(beat.mtime_ns / 1e9)
        if beat and attempt.is_running
        else None,
        stale_reason=verdict.reason if is_stale else "",
        cancel_requested=os.path.exists(paths.claim_cancel(number)),
        error=error,
        unconfirmed="" if is_stale else verdict.reason,
    )
