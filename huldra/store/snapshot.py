"""What an artifact's records amount to: the one derivation of its state, for core and catalog.

Who reads the files is another matter: the core reads what it wrote, the catalog whatever stands
there. Both get an `Attempt`, and here is what follows from it, and who is alive.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass

from huldra.settings import HULDRA_CONFIG
from huldra.store import claim
from huldra.store.job_ref import JobRef
from huldra.store.layout import ArtifactPaths
from huldra.store.process import Owner, is_living, is_same_process, shares_pids, this_process
from huldra.store.records import (
    QUEUED,
    Attempt,
    AttemptStatus,
    AttemptSummary,
    Lease,
    Result,
    State,
)

_RESULTS = {AttemptStatus.SUCCESS: Result.SUCCESS, AttemptStatus.FAILED: Result.FAILED}
_MAX_LOOKED_BACK = 200
_CLOCK_DOUBT_S = 86_400.0  # by how much a viewer's clock may be wrong, and the file server's not


# ---------------------------------------------------------------- the state


def derive(
    attempt: Attempt | None,
    queued: Attempt | None = None,
    *,
    made: bool | None = None,
    before: Attempt | None = None,
) -> State:
    """The state that the last attempt, and the queued attempt that it began from, amount to.

    `made` is the word of `SUCCESS.json`, where it was read. `before` is the last attempt with an
    outcome where `attempt` has none (`has_outcome`): what that one said stands until a retry
    begins.
    """
    if attempt is None:
        return State(Result.SUCCESS if made else Result.ABSENT)
    previous = None if before is None or has_outcome(attempt) else before
    result = _RESULTS.get((previous or attempt).status, Result.INCOMPLETE)
    if made is not None and (made or result is Result.SUCCESS):
        result = Result.SUCCESS if made else Result.INCOMPLETE
    return State(
        result,
        _summary(attempt, queued),
        _summary(previous, None) if previous is not None else None,
    )


def has_outcome(attempt: Attempt) -> bool:
    """Return True if the attempt has an outcome: it began, or was refused with an error."""
    return attempt.claim.kind != QUEUED or attempt.status is AttemptStatus.FAILED


def outcome_before(paths: ArtifactPaths, attempt: Attempt | None) -> Attempt | None:
    """The last attempt before this one that has an outcome, where this one has none."""
    if attempt is None or has_outcome(attempt):
        return None
    for number in range(attempt.number - 1, max(0, attempt.number - _MAX_LOOKED_BACK), -1):
        earlier = claim.read_attempt(paths, number)
        if has_outcome(earlier):
            return earlier
    return None


def _summary(attempt: Attempt, queued: Attempt | None) -> AttemptSummary:
    owned, end, ref = attempt.claim, attempt.end, attempt.ref
    is_queued = owned.kind == QUEUED
    queued_at = owned.claimed_at if is_queued else queued.claim.claimed_at if queued else None
    started_at = None if is_queued else owned.claimed_at
    return AttemptSummary(
        number=owned.number,
        status=attempt.status,
        backend=ref.engine if ref else owned.owner.backend,
        job_id=ref.job_id if ref else None,
        run_id=owned.run_id,
        owner=owned.owner,
        queued_at=queued_at,
        started_at=started_at,
        ended_at=end.ended_at if end else None,
        duration_s=_seconds_between(started_at, end.ended_at) if end and started_at else None,
        error=end.error if end else None,
    )


def _seconds_between(start: str, end: str) -> float | None:
    parse = datetime.datetime.fromisoformat
    try:
        return round(max(0.0, (parse(end) - parse(start)).total_seconds()), 6)
    except (ValueError, TypeError):
        return None


# ---------------------------------------------------------------- who is alive


class Liveness(enum.Enum):
    """Whether an owner lives."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


_LIVENESS = {True: Liveness.ALIVE, False: Liveness.DEAD, None: Liveness.UNKNOWN}


def process_liveness(owner: Owner) -> Liveness:
    """Return the liveness of the owner's process: known only on its own boot and pid namespace."""
    me = this_process()
    if not owner.started or not shares_pids(owner, me):
        return Liveness.UNKNOWN
    if is_same_process(owner, me):
        return Liveness.ALIVE if claim.is_registered(owner) else Liveness.DEAD
    return _LIVENESS[is_living(owner)]


@dataclass(frozen=True, slots=True)
class Look:
    """By what an onlooker judges, who writes nothing, asks no engine and does not wait.

    `clock_s` is the onlooker's clock. `server_s` is a moment that the file server's clock has
    reached for certain: that of the newest file seen. `lease` is for claims that name none.
    """

    clock_s: float
    server_s: float
    lease: Lease


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an onlooker finds, and why: `reason` is "" where nothing has to be said."""

    liveness: Liveness
    reason: str = ""


_ALIVE = Verdict(Liveness.ALIVE)


def judge(attempt: Attempt, renewed_at: float | None, look: Look) -> Verdict:
    """Judge whether the owner of this open attempt is alive, as far as an onlooker can see.

    `renewed_at` is when the claim was last renewed, by the file server. What only an engine could
    say is unknown, and so is a silence that may be due to the onlooker's clock.
    """
    if attempt.is_queued:
        return _of_queued(attempt, renewed_at, look)
    owner = attempt.claim.owner
    liveness = process_liveness(owner)
    if liveness is Liveness.ALIVE:
        return _ALIVE
    if liveness is Liveness.DEAD:
        return Verdict(liveness, "its process on this host is gone")
    return _of_silence(attempt, renewed_at, look, attempt.claim.lease or look.lease, owner.job)


def _of_queued(attempt: Attempt, renewed_at: float | None, look: Look) -> Verdict:
    ref, lease = attempt.job, attempt.claim.lease
    owner = _engine_process(ref) if ref is not None else attempt.claim.owner
    liveness = process_liveness(owner) if owner is not None else Liveness.UNKNOWN
    if liveness is Liveness.ALIVE:
        return _ALIVE
    if ref is not None and owner is None:
        is_left = process_liveness(attempt.claim.owner) is not Liveness.ALIVE
        return Verdict(Liveness.UNKNOWN, _not_asked(ref)) if is_left else _ALIVE
    if liveness is Liveness.DEAD:
        if ref is not None:
            return Verdict(liveness, "its driver is gone, and its engine with it")
        if attempt.claim.job_hint:
            return Verdict(
                Liveness.UNKNOWN, "its driver is gone; its engine may know the job by name"
            )
        return Verdict(liveness, "its driver is gone, and no job was bound to it")
    patience = lease or Lease(HULDRA_CONFIG.stale_after, 0.0)
    return _of_silence(attempt, renewed_at, look, patience, None)


def _engine_process(ref: JobRef) -> Owner | None:
    """The process that an engine lives and dies with; None for an engine of its own."""
    driver = ref.meta.get("driver")
    return Owner.from_json(driver) if isinstance(driver, Mapping) and driver else None


def _of_silence(
    attempt: Attempt, renewed_at: float | None, look: Look, lease: Lease, job: JobRef | None
) -> Verdict:
    # The margin is the core's: an owner stops before its lease ends, a successor begins after it.
    limit_s = lease.lease_s + lease.heartbeat_s
    if renewed_at is None or look.clock_s - renewed_at < limit_s:
        return _ALIVE
    what = "no heartbeat" if attempt.is_running else "no sign of its driver"
    silent = f"{what} for longer than the lease of {lease.lease_s:g} s"
    if job is not None and _engine_process(job) is None:
        return Verdict(Liveness.UNKNOWN, f"{silent}; {_not_asked(job)}")
    if (
        look.server_s - renewed_at >= limit_s
        or look.clock_s - renewed_at >= limit_s + _CLOCK_DOUBT_S
    ):
        return Verdict(Liveness.DEAD, silent)
    return Verdict(Liveness.UNKNOWN, f"{silent}, by this machine's clock")


def _not_asked(ref: JobRef) -> str:
    return f"not confirmed: {ref.engine} was not queried about job {ref.job_id}"
