"""Every attempt at one artifact, from its claims."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from huldra.catalog import reading
from huldra.catalog.artifact_state import Now, last_turn, stale_reason
from huldra.catalog.reading import as_count, as_mapping, as_text, as_time
from huldra.catalog.records import Attempt
from huldra.store.layout import ArtifactPaths

MAX_TURNS = 200


def attempts(paths: ArtifactPaths, now: Now) -> tuple[Attempt, ...]:
    """The last `MAX_TURNS` turns, the oldest first."""
    last = last_turn(paths)
    first = max(1, last - MAX_TURNS + 1)
    return tuple(_attempt(paths, number, now) for number in range(first, last + 1))


def _attempt(paths: ArtifactPaths, number: int, now: Now) -> Attempt:
    document = reading.read_document(paths.claim(number))
    claim = as_mapping(document.value)
    end = as_mapping(reading.read_document(paths.claim_end(number)).value)
    owner = as_mapping(claim.get("owner"))
    job = as_mapping(reading.read_document(paths.claim_job(number)).value)
    job = job or as_mapping(owner.get("job"))
    status = _status(paths, number, claim, end)
    beat = reading.as_moment(document.mark.mtime_ns / 1e9) if document.mark else None
    reason = stale_reason(owner, beat, now) if status == "running" else ""
    error = end.get("error")
    return Attempt(
        number=number,
        status="stale" if reason else status,
        kind=as_text(claim.get("kind")) or "running",
        backend=as_text(job.get("engine")) or as_text(owner.get("backend")),
        hostname=as_text(owner.get("host")),
        user=as_text(owner.get("user")),
        pid=as_count(owner.get("pid")),
        job_id=as_text(job.get("job_id")),
        run_id=as_text(claim.get("run_id")),
        claimed_at=as_time(claim.get("claimed_at")),
        ended_at=as_time(end.get("claimed_at") if "kind" in end else end.get("ended_at")),
        heartbeat_at=beat if status == "running" else None,
        stale_reason=reason,
        cancel_requested=os.path.exists(paths.claim_cancel(number)),
        error=error if isinstance(error, dict) else None,
    )


def _status(
    paths: ArtifactPaths, number: int, claim: Mapping[str, Any], end: Mapping[str, Any]
) -> str:
    if not os.path.exists(paths.claim_end(number)):
        return "queued" if claim.get("kind") == "queued" else "running"
    if "kind" in end:  # the next turn's claim under this name: the queued job began
        return "started"
    return as_text(end.get("status")) or "crashed"
