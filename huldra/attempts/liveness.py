"""Is the owner of a claim alive? Known where it can be known, and never guessed.

A process of this boot and pid namespace is looked up. A scheduler's job is the scheduler's to
judge. What is left is the lease, aged by the file server's clock and by our own observation,
so that a clock that jumps declares no owner dead. Unknown is not dead.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from huldra.attempts import context
from huldra.attempts.heartbeat import uptime_s
from huldra.engines import registry
from huldra.engines.protocol import Capabilities, JobStatus, optional_method
from huldra.errors import HuldraExecutorError
from huldra.settings import HULDRA_CONFIG
from huldra.store import claim
from huldra.store.job_ref import JobRef
from huldra.store.layout import ArtifactPaths
from huldra.store.records import Attempt, Lease
from huldra.store.snapshot import Liveness, process_liveness

_LOOK_S = 1.0  # a loaded machine's pause between two looks, however short the poll interval


@dataclass(slots=True)
class Watch:
    """What one waiter has seen of one attempt's heartbeat, by its own clock."""

    renewed_at: float | None = None
    seen_at: float = 0.0
    number: int = 0
    since: float = 0.0
    looked_at: float = 0.0
    watched_s: float = 0.0

    def first_seen(self, number: int) -> float:
        """When attempt `number` was first seen; another attempt starts the watch again."""
        if number != self.number:
            self.number, self.since = number, uptime_s()
            self.renewed_at, self.seen_at = None, 0.0
        return self.since

    def unchanged_s(self, renewed_at: float | None) -> float:
        """For how long the heartbeat has been seen to stand still."""
        now = uptime_s()
        if renewed_at != self.renewed_at or not self.seen_at:
            self.renewed_at, self.seen_at, self.watched_s = renewed_at, now, 0.0
        else:
            # A longer gap between two looks is this process's own sleep (a closed laptop, a paused
            # container), in which the owner may have slept, too.
            longest_s = 2 * max(HULDRA_CONFIG.poll_interval, _LOOK_S)
            self.watched_s += min(now - self.looked_at, longest_s)
        self.looked_at = now
        return self.watched_s


def claim_liveness(paths: ArtifactPaths, attempt: Attempt, watch: Watch) -> Liveness:
    """Return whether the owner of this open attempt is alive."""
    since = watch.first_seen(attempt.number)
    if attempt.is_queued:
        return _of_queued(paths, attempt, watch)
    owner = attempt.claim.owner
    liveness = process_liveness(owner)
    if liveness is Liveness.UNKNOWN and owner.job is not None and not _is_our_job(owner.job):
        status = job_status(owner.job, since)
        if status is JobStatus.RUNNING:
            return Liveness.ALIVE
        if status.is_over:
            return Liveness.DEAD
    if liveness is Liveness.UNKNOWN:
        return _by_lease(paths, attempt, watch)
    return liveness


def _is_our_job(ref: JobRef) -> bool:
    # An engine may run one job again, elsewhere and under its old id: what it says of that job is
    # then said of us, and not of the process that held the claim before.
    worker = context.worker.get()
    return worker is not None and worker.job == ref


def _of_queued(paths: ArtifactPaths, attempt: Attempt, watch: Watch) -> Liveness:
    ref = attempt.job
    driver = process_liveness(attempt.claim.owner)
    if ref is None:
        if driver is not Liveness.DEAD and driver is not Liveness.UNKNOWN:
            return driver
        hint = attempt.claim.job_hint
        if hint is None:
            return driver if driver is Liveness.DEAD else _by_age(paths, attempt, watch)
        # Killed between the engine's answer and our record of it: the engine knows by name.
        ref = JobRef(attempt.claim.owner.backend, "", {"hint": dict(hint)})
        ref = _bind_found(paths, attempt, ref) or ref
    status = job_status(ref, watch.since)
    if status.is_over:
        return Liveness.DEAD
    if status is JobStatus.UNKNOWN:
        return _by_age(paths, attempt, watch)
    return Liveness.ALIVE


def _bind_found(paths: ArtifactPaths, attempt: Attempt, ref: JobRef) -> JobRef | None:
    """Record the job that an engine finds by its hint, in its dead driver's place."""
    try:
        executor = registry.connect(ref)
        recover = optional_method(executor, "recover")
        found: JobRef | None = recover(ref) if recover is not None else None
    except (HuldraExecutorError, ImportError):
        return None  # an engine that cannot be asked from here has found nothing
    if found is not None:
        claim.bind_job(paths, attempt.number, found)
    return found


def _by_lease(paths: ArtifactPaths, attempt: Attempt, watch: Watch) -> Liveness:
    # The owner's own promise, which may be another than ours: on another host, in another's shell.
    lease = attempt.claim.lease or Lease(HULDRA_CONFIG.lease, HULDRA_CONFIG.heartbeat)
    # The margin is for the owner: it stops one heartbeat before its lease ends, we begin one after.
    limit_s = lease.lease_s + lease.heartbeat_s
    return _by_silence(paths, attempt, watch, limit_s, 1.5 * lease.heartbeat_s)


def _by_age(paths: ArtifactPaths, attempt: Attempt, watch: Watch) -> Liveness:
    if (
        attempt.claim.lease is not None
    ):  # its driver renews it for as long as anything of the run is queued
        return _by_lease(paths, attempt, watch)
    return _by_silence(paths, attempt, watch, HULDRA_CONFIG.stale_after, 0.0)


def _by_silence(
    paths: ArtifactPaths, attempt: Attempt, watch: Watch, limit_s: float, witnessed_s: float
) -> Liveness:
    """Dead after `limit_s` of silence, of which we saw `witnessed_s` with our own eyes.

    A clock that jumped forward makes a living owner look old; its next heartbeat, which comes
    while we watch, shows that it is not. A clock that jumped back makes a dead one look young for
    ever; then only our own watch counts.
    """
    renewed_at = claim.renewed_at(paths, attempt.number)
    unchanged_s = watch.unchanged_s(renewed_at)
    if unchanged_s >= limit_s:
        return Liveness.DEAD
    if renewed_at is None or unchanged_s < witnessed_s:
        return Liveness.UNKNOWN
    now = claim.server_time(paths)
    if now is not None and now - renewed_at >= limit_s:
        return Liveness.DEAD
    return Liveness.UNKNOWN


class _CachedStatus:
    """The engines' answers, asked for at most once a second and for all that were asked about."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answers: dict[JobRef, tuple[float, JobStatus]] = {}

    def of(self, refs: Collection[JobRef], since: float = 0.0) -> dict[JobRef, JobStatus]:
        with self.lock:
            now = uptime_s()
            for ref, status in _ask([r for r in refs if self._is_due(r, now, since)]).items():
                self.answers[ref] = (now, status)
            return {ref: self.answers[ref][1] for ref in refs}

    def note(self, ref: JobRef, status: JobStatus) -> None:
        with self.lock:
            self.answers[ref] = (uptime_s(), status)

    def _is_due(self, ref: JobRef, now: float, since: float) -> bool:
        if ref not in self.answers:
            return True
        asked_at, status = self.answers[ref]
        # That a job is over counts against an attempt only if it was said after the attempt was
        # there: an engine that runs a job again lets it go on under the id of which that was said
        # before.
        if status.is_over and asked_at < since:
            return True
        return now - asked_at > min(1.0, HULDRA_CONFIG.poll_interval)


def _ask(refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
    answers: dict[JobRef, JobStatus] = {}
    for engine in {ref.engine for ref in refs}:
        group = [ref for ref in refs if ref.engine == engine]
        try:
            answers.update(registry.connect(group[0]).status(group))
        except (HuldraExecutorError, ImportError):
            pass  # an engine that cannot be asked from here says UNKNOWN, which never kills
    return {ref: answers.get(ref, JobStatus.UNKNOWN) for ref in refs}


_engine_status = _CachedStatus()


def _forget_answers() -> None:
    global _engine_status  # noqa: PLW0603  the lock of a forked parent may be held for ever
    _engine_status = _CachedStatus()


os.register_at_fork(after_in_child=_forget_answers)


def job_status(ref: JobRef, since: float = 0.0) -> JobStatus:
    """The engine's word on one job; that it is over, only if it was said after `since` (uptime)."""
    return _engine_status.of([ref], since)[ref]


def cache_status(ref: JobRef, status: JobStatus) -> None:
    """Take note of what an engine has just said, so that the next call here goes by that."""
    _engine_status.note(ref, status)


def is_told_of(ref: JobRef) -> bool:
    """Return True if the engine can tell about this very job, not only about its driver."""
    try:
        capabilities: Capabilities = registry.connect(ref).capabilities
    except (HuldraExecutorError, ImportError):
        return False
    return capabilities.finds_by_id


def job_statuses(refs: Collection[JobRef]) -> dict[JobRef, JobStatus]:
    """The engine's word on many jobs, in one query an engine."""
    return _engine_status.of(refs)
