"""What can be said of an artifact: frozen values, and how they stand on disk."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from huldra.store.job_ref import JobRef, task_name
from huldra.store.process import Owner

FORMAT = 1
QUEUED = "queued"
RUNNING = "running"


class Result(enum.StrEnum):
    """Whether the artifact is there."""

    ABSENT = "absent"  # no attempt was made
    INCOMPLETE = "incomplete"  # queued, running, or ended for a reason that is not its code
    SUCCESS = "success"
    FAILED = "failed"


class AttemptStatus(enum.StrEnum):
    """How far an attempt came.

    STARTED is the end of a queued attempt whose job began: the attempt after it is that run. So it
    stands in histories, and is the status of no job and of no last attempt.
    """

    QUEUED = "queued"
    STARTED = "started"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"
    CRASHED = "crashed"

    @property
    def is_over(self) -> bool:
        """True if nothing more will come of the attempt."""
        return self not in (AttemptStatus.QUEUED, AttemptStatus.RUNNING)

    @property
    def is_infrastructure(self) -> bool:
        """True if it ended for a reason that a retry can mend."""
        return self in (AttemptStatus.PREEMPTED, AttemptStatus.CRASHED)


STARTED = AttemptStatus.STARTED.value


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number_or_none(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _object_or_none(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """Why an attempt failed, as text."""

    type: str
    message: str
    traceback: str = ""
    failed_key: str | None = None
    log_path: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Render as it stands in `N.end` and `state.json`."""
        return {
            "type": self.type,
            "message": self.message,
            "traceback": self.traceback,
            "failed_key": self.failed_key,
            "log_path": self.log_path,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ErrorRecord:
        """Read what `to_json` wrote."""
        return ErrorRecord(
            str(data.get("type", "")),
            str(data.get("message", "")),
            str(data.get("traceback", "")),
            _text_or_none(data.get("failed_key")),
            _text_or_none(data.get("log_path")),
        )


_LONGEST_LEASE_S = 366 * 86400.0


def _is_believable(seconds: object) -> bool:
    """Return True if it is a number of seconds that an owner can have promised."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return is_number and 0 < seconds <= _LONGEST_LEASE_S  # type: ignore[operator]  # a number by now


@dataclass(frozen=True, slots=True)
class Lease:
    """What an owner promises: to be heard of every `heartbeat_s`, or to be gone after `lease_s`."""

    lease_s: float
    heartbeat_s: float

    def to_json(self) -> dict[str, float]:
        """Render as it stands in `claims/N`."""
        return {"lease_s": self.lease_s, "heartbeat_s": self.heartbeat_s}

    @staticmethod
    def from_json(data: object) -> Lease | None:
        """Read what `to_json` wrote; None when it is missing or odd."""
        if not isinstance(data, Mapping):
            return None
        values = (data.get("lease_s"), data.get("heartbeat_s"))
        if not all(_is_believable(value) for value in values):
            return None
        return Lease(float(data["lease_s"]), float(data["heartbeat_s"]))


@dataclass(frozen=True, slots=True)
class Claim:
    """Attempt `number`: `kind` is `queued` or `running`.

    `named_job` is the job of a queued attempt whose engine takes names of ours: its `job_id` is
    what follows the task's name (`<namespace>-<hash>-<number>`), so that one record serves a whole
    run.
    """

    number: int
    kind: str
    owner: Owner
    claimed_at: str
    run_id: str | None = None
    from_queued: int | None = None
    job_hint: Mapping[str, Any] | None = None
    lease: Lease | None = None
    named_job: JobRef | None = None

    def to_json(self) -> dict[str, Any]:
        """Render as `claims/N`."""
        return {
            "huldra": FORMAT,
            "claim": self.number,
            "kind": self.kind,
            "claimed_at": self.claimed_at,
            "run_id": self.run_id,
            "from_queued": self.from_queued,
            "job_hint": self.job_hint,
            "named_job": self.named_job.to_json() if self.named_job else None,
            "lease": self.lease.to_json() if self.lease else None,
            "owner": self.owner.to_json(),
        }

    @staticmethod
    def from_json(number: int, data: Mapping[str, Any]) -> Claim:
        """Read `claims/N`; what is missing or odd becomes empty."""
        owner = data.get("owner")
        return Claim(
            number,
            str(data.get("kind", RUNNING)),
            Owner.from_json(owner if isinstance(owner, dict) else {}),
            str(data.get("claimed_at", "")),
            _text_or_none(data.get("run_id")),
            _number_or_none(data.get("from_queued")),
            _object_or_none(data.get("job_hint")),
            Lease.from_json(data.get("lease")),
            JobRef.read(data.get("named_job")),
        )


@dataclass(frozen=True, slots=True)
class Used:
    """What one attempt used: seconds of wall and processor, and the most memory of one process.

    `peak_memory_gb` is in units of 2**30 bytes.
    """

    wall_s: float
    cpu_s: float
    peak_memory_gb: float

    def to_json(self) -> dict[str, float]:
        """Render as it stands in `claims/N.end`."""
        return {
            "wall_s": self.wall_s,
            "cpu_s": self.cpu_s,
            "peak_memory_gb": self.peak_memory_gb,
        }

    @staticmethod
    def from_json(data: object) -> Used | None:
        """Read what `to_json` wrote; None when it is missing or odd."""
        if not isinstance(data, Mapping):
            return None
        values = [data.get(name) for name in ("wall_s", "cpu_s", "peak_memory_gb")]
        if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
            return None
        wall_s, cpu_s, peak = (float(v) for v in values)  # type: ignore[arg-type]  # numbers by now
        return Used(wall_s, cpu_s, peak)


@dataclass(frozen=True, slots=True)
class End:
    """How attempt `number` ended; `status` is an `AttemptStatus` value or `started`."""

    number: int
    status: str
    ended_at: str
    by: Owner
    error: ErrorRecord | None = None
    used: Used | None = None

    def to_json(self) -> dict[str, Any]:
        """Render as `claims/N.end`."""
        return {
            "huldra": FORMAT,
            "claim": self.number,
            "status": self.status,
            "ended_at": self.ended_at,
            "by": self.by.to_json(),
            "error": self.error.to_json() if self.error else None,
            **({"used": self.used.to_json()} if self.used else {}),
        }

    @staticmethod
    def from_json(number: int, data: Mapping[str, Any]) -> End:
        """Read `claims/N.end`.

        The claim of attempt N+1 there means that the job of a queued attempt started; the claim of
        attempt N itself, that its owner had to leave when the disk was too full for another word.
        """
        if "kind" in data:
            claim = Claim.from_json(number + 1, data)
            status = AttemptStatus.CRASHED.value if data.get("claim") == number else STARTED
            return End(number, status, claim.claimed_at, claim.owner)
        error, by = data.get("error"), data.get("by")
        return End(
            number,
            str(data.get("status", AttemptStatus.CRASHED)),
            str(data.get("ended_at", "")),
            Owner.from_json(by if isinstance(by, dict) else {}),
            ErrorRecord.from_json(error) if isinstance(error, dict) else None,
            Used.from_json(data.get("used")),
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claim, how it ended, and the job that it is bound to.

    `is_cancelled`: it ended without a record of its owner's, and had been asked to stop.
    """

    claim: Claim
    end: End | None = None
    job: JobRef | None = None
    is_cancelled: bool = False

    @property
    def number(self) -> int:
        """The attempt's number, which is its fencing number."""
        return self.claim.number

    @property
    def is_queued(self) -> bool:
        """True if it was sent to an engine and no job of it has begun."""
        return self.end is None and self.claim.kind == QUEUED

    @property
    def is_running(self) -> bool:
        """True if an attempt computes the artifact, as far as the disk knows."""
        return self.end is None and self.claim.kind == RUNNING

    @property
    def status(self) -> AttemptStatus:
        """The attempt's status.

        An end that its owner did not come to record is what a cancel led to, if there was one.
        """
        if self.end is None:
            return AttemptStatus.QUEUED if self.claim.kind == QUEUED else AttemptStatus.RUNNING
        try:
            status = AttemptStatus(self.end.status)
        except ValueError:  # a word of a newer version
            return AttemptStatus.CRASHED
        return ended_by_death(self.is_cancelled) if status is AttemptStatus.CRASHED else status

    @property
    def ref(self) -> JobRef | None:
        """The engine's job, wherever it was recorded."""
        return self.job or self.claim.owner.job


def ended_by_death(is_cancelled: bool) -> AttemptStatus:
    """How an attempt ended whose owner died, and left no record of the end."""
    return AttemptStatus.CANCELLED if is_cancelled else AttemptStatus.CRASHED


def attempt_of(
    key: str,
    number: int,
    claim: Mapping[str, Any],
    end: Mapping[str, Any] | None,
    job: object,
    is_cancelled: Callable[[], bool],
) -> Attempt:
    """Attempt `number` of the artifact `key`, from what its files hold: `N`, `N.end` and `N.job`.

    `end` is None where there is no such file; one that cannot be read is empty, and is an end.
    `is_cancelled` tells whether there is `N.cancel`; asked only where it says something.
    """
    held = Claim.from_json(number, claim)
    ended = None if end is None else End.from_json(number, end)
    attempt = Attempt(held, ended, _job_of(key, held, job) if held.kind == QUEUED else None)
    has_crashed = ended is not None and ended.status == AttemptStatus.CRASHED
    return replace(attempt, is_cancelled=True) if has_crashed and is_cancelled() else attempt


def _job_of(key: str, queued: Claim, job: object) -> JobRef | None:
    if queued.named_job is not None:
        return queued.named_job.named(task_name(key, queued.number))
    return JobRef.read(job)


def begun_after(attempt: Attempt) -> Attempt:
    """The attempt that counts after `attempt`, the last one of which a claim was seen.

    That is another one where a job began between the two links of its start.
    """
    end = attempt.end
    if end is None or end.status != STARTED:
        return attempt
    number = attempt.number
    return Attempt(
        Claim(number + 1, RUNNING, end.by, end.ended_at, attempt.claim.run_id, from_queued=number)
    )


def upstream_error(need: str, log_path: str, attempt: Attempt | None = None) -> ErrorRecord:
    """The error of a node whose dependency `need` is not complete.

    Where the last `attempt` at `need` failed for one of its own dependencies, it is that one's:
    that failed, and `need` was never tried.
    """
    error = attempt.end.error if attempt is not None and attempt.end is not None else None
    if error is not None and error.failed_key:
        return error
    return ErrorRecord(
        "huldra.errors.HuldraDependencyError",
        f"the dependency {need} did not complete",
        failed_key=need,
        log_path=log_path,
    )


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    """The last attempt at an artifact, for people and tools."""

    number: int
    status: AttemptStatus
    backend: str
    job_id: str | None
    run_id: str | None
    owner: Owner
    queued_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    duration_s: float | None = None
    error: ErrorRecord | None = None

    def to_json(self) -> dict[str, Any]:
        """Render as `attempt` of `state.json`."""
        return {
            "number": self.number,
            "status": self.status.value,
            "backend": self.backend,
            "job_id": self.job_id,
            "run_id": self.run_id,
            "queued_at": self.queued_at,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "duration_s": self.duration_s,
            "host": self.owner.host,
            "user": self.owner.user,
            "pid": self.owner.pid,
            "owner": self.owner.to_json(),
            "error": self.error.to_json() if self.error else None,
        }


@dataclass(frozen=True, slots=True)
class State:
    """What is known of an artifact: its result and its last attempt.

    `previous` is the attempt that `result` speaks of, where the last one has not begun.
    """

    result: Result
    attempt: AttemptSummary | None = None
    previous: AttemptSummary | None = None

    def to_json(self) -> dict[str, Any]:
        """Render as `state.json`."""
        return {
            "huldra": FORMAT,
            "result": self.result.value,
            "updated_at": now_text(),
            "attempt": self.attempt.to_json() if self.attempt else None,
            **({"previous": self.previous.to_json()} if self.previous else {}),
        }


_second: tuple[int, str] = (0, "")


def now_text() -> str:
    """The present, as it stands in every file."""
    global _second  # noqa: PLW0603  many files fall into one second, and a tuple is replaced whole
    second, rest_ns = divmod(time.time_ns(), 1_000_000_000)
    known = _second
    if known[0] != second:
        known = _second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
    return f"{known[1]}.{rest_ns // 1000:06d}+00:00"
