"""One artifact as its files tell it: recorded facts, then what is true of them now.

`state.json` says what the last owner wrote. It is right when that owner lived to write it, so a
row that it calls made is settled; any other is judged anew at each look: by `SUCCESS.json`, by the
claims after the recorded one, and by the signs of life of an owner that should be at work.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from sys import intern
from typing import Any, NamedTuple

from huldra.catalog import reading
from huldra.catalog.reading import Mark, as_count, as_mapping, as_seconds, as_text, as_time
from huldra.catalog.records import Dependency, Row
from huldra.store.layout import ArtifactPaths
from huldra.store.process import start_time, this_process
from huldra.store.records import AttemptStatus, Result

_ATTEMPTS = frozenset(AttemptStatus)
_RESULTS = frozenset(Result)
_OPEN = ("queued", "running")
_ENDED_AS = {"success": "success", "failed": "failed"}
_FRAME = re.compile(r'^ *File "([^"\n]*)", line \d+, in (.*)$', re.MULTILINE)
_MAX_ERROR = 2000
_SHARED_TEXT = 200  # a longer text is hardly in two configs


class Described(NamedTuple):
    """What `metadata.json` adds to a row."""

    config: Mapping[str, Any] | None = None
    dependencies: tuple[Dependency, ...] = ()
    hostname: str = ""
    user: str = ""
    timestamp: datetime | None = None
    problem: str = ""


_NOTHING = Described()


@dataclass(slots=True)
class Known:
    """What is remembered of an artifact from one look to the next."""

    row: Row
    paths: ArtifactPaths
    state_path: str
    recorded: Row
    described: Described = _NOTHING
    owner: Mapping[str, Any] | None = None
    state_mark: Mark | None = None
    metadata_mark: Mark | None = None
    success_mark: Mark | None = None
    success_claim: int = -1
    settled: bool = False
    looked: bool = False


class Now(NamedTuple):
    """What one scan judges by: the time (seconds since 1970), the lease, this host's processes."""

    time_s: float
    lease_s: float
    boot_id: str
    pid_namespace: str
    started: dict[int, str | None]

    @staticmethod
    def at(time_s: float, lease_s: float) -> Now:
        """The judge's bench of one scan on this host."""
        me = this_process()
        return Now(time_s, lease_s, me.boot_id, me.pid_namespace, {})

    def process_started(self, pid: int) -> str | None:
        """When the process started, looked up once a scan."""
        if pid not in self.started:
            self.started[pid] = start_time(pid)
        return self.started[pid]


def first_sight(root: str, version_controlled: bool, namespace: str, digest: str) -> Known:
    """An artifact of which nothing is known yet but that its directory is there."""
    row = Row(root, namespace, digest, version_controlled)
    paths = ArtifactPaths(row.directory)
    return Known(row, paths, paths.state, row)


def look(known: Known, now: Now) -> bool:
    """Bring `known.row` up to date; True when files had to be read anew."""
    stale = not known.looked or reading.mark_of(known.state_path) != known.state_mark
    if stale or _has_new_metadata(known):
        _read(known)
        stale = True
    if stale or not known.settled:
        _judge(known, now)
    return stale


def _has_new_metadata(known: Known) -> bool:
    # Asked only while it is not there or could not be read: else it comes with a new state.
    if known.metadata_mark is not None and not known.described.problem:
        return False
    return reading.mark_of(known.paths.metadata) != known.metadata_mark


def _read(known: Known) -> None:
    if os.path.islink(known.paths.private):
        known.recorded, known.looked = replace(known.row, problem=".huldra: a link"), True
        return
    # A metadata.json is written before the state that goes with it, so it is asked about here only.
    metadata_path = known.paths.metadata
    if not known.looked or reading.mark_of(metadata_path) != known.metadata_mark:
        metadata = reading.read_document(metadata_path)
        known.metadata_mark = metadata.mark
        known.described = _described(metadata.value or {}, metadata.problem)
    state = reading.read_document(known.state_path)
    known.state_mark, known.looked = state.mark, True
    attempt = as_mapping(as_mapping(state.value).get("attempt"))
    owner = attempt.get("owner")
    is_open = attempt.get("status") in ("queued", "running")
    known.owner = owner if is_open and isinstance(owner, dict) else None
    problem = "; ".join(filter(None, (state.problem, known.described.problem)))
    known.recorded = _recorded(known.row, known.described, state.value or {}, attempt, problem)


def _described(metadata: Mapping[str, Any], problem: str) -> Described:
    config = metadata.get("config")
    return Described(
        compact(config) if isinstance(config, dict) else None,
        _dependencies(metadata.get("dependencies")),
        intern(as_text(metadata.get("hostname"))),
        intern(as_text(metadata.get("user"))),
        as_time(metadata.get("timestamp")),
        problem,
    )


def _recorded(
    place: Row,
    described: Described,
    state: Mapping[str, Any],
    attempt: Mapping[str, Any],
    problem: str,
) -> Row:
    result, status = as_text(state.get("result")), as_text(attempt.get("status"))
    error = as_mapping(attempt.get("error"))
    return Row(
        place.root,
        place.namespace,
        place.digest,
        place.version_controlled,
        result_status=intern(result) if result in _RESULTS else "absent",
        attempt_status=intern(status) if status in _ATTEMPTS else "",
        attempt_number=as_count(attempt.get("number")),
        backend=intern(as_text(attempt.get("backend"))),
        hostname=intern(as_text(attempt.get("host"))) or described.hostname,
        user=intern(as_text(attempt.get("user"))) or described.user,
        pid=as_count(attempt.get("pid")),
        job_id=as_text(attempt.get("job_id")),
        run_id=intern(as_text(attempt.get("run_id"))),
        queued_at=as_time(attempt.get("queued_at")),
        started_at=as_time(attempt.get("started_at")),
        ended_at=as_time(attempt.get("ended_at")),
        updated_at=as_time(state.get("updated_at")) or described.timestamp,
        duration_s=as_seconds(attempt.get("duration_s")),
        error_type=intern(as_text(error.get("type"))),
        error_message=as_text(error.get("message"), _MAX_ERROR),
        error_place=intern(last_frame(error.get("traceback"))),
        failed_key=as_text(error.get("failed_key")),
        config=described.config,
        dependencies=described.dependencies,
        problem=problem,
    )


def _dependencies(value: Any) -> tuple[Dependency, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(
        Dependency(
            intern(as_text(item.get("field"))),
            intern(as_text(item["namespace"])),
            intern(as_text(item["hash"])),
        )
        for item in value
        if isinstance(item, dict)
        and isinstance(item.get("namespace"), str)
        and isinstance(item.get("hash"), str)
    )


def last_frame(traceback: Any) -> str:
    """Where a traceback ends: `folder/file.py:function`, the same for every user and line."""
    if not isinstance(traceback, str):
        return ""
    frames = _FRAME.findall(traceback[-20_000:])
    if not frames:
        return ""
    path, function = frames[-1]
    return f"{'/'.join(path.replace(os.sep, '/').split('/')[-2:])}:{function}"[:300]


def compact(value: Any) -> Any:
    """The same JSON value with its keys and short texts shared with other configs."""
    if isinstance(value, dict):
        return {intern(key): compact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [compact(item) for item in value]
    return intern(value) if isinstance(value, str) and len(value) < _SHARED_TEXT else value


# ------------------------------------------------------------------ what is true now


def _judge(known: Known, now: Now) -> None:
    row, owner = known.recorded, known.owner
    if row.problem.startswith(".huldra"):
        known.row = row
        return
    if os.path.exists(known.paths.claim(row.attempt_number + 1)) or (
        row.attempt_status in _OPEN and os.path.exists(known.paths.claim_end(row.attempt_number))
    ):
        # The next turn's claim, or this turn's end, tells of more than state.json knows.
        row, owner = _from_claims(known, row)
    elif row.result_status == row.attempt_status == "success" and row.attempt_number:
        # No later turn could void it, so its SUCCESS.json need not be read, only be there.
        known.settled = os.path.exists(known.paths.success)
        known.row = row if known.settled else replace(row, result_status="incomplete")
        return
    known.settled = False
    row = _with_result(row, _is_made(known))
    if row.attempt_status in _OPEN:
        row = _with_life(known, row, owner, now)
    if row != known.row:
        known.row = row


def _is_made(known: Known) -> bool:
    path = known.paths.success
    mark = reading.mark_of(path)
    if mark is None:
        known.success_mark = None
        return False
    if mark != known.success_mark:
        document = reading.read_document(path)
        known.success_claim = as_count((document.value or {}).get("claim"))
        known.success_mark = document.mark
        if document.value is None:
            known.success_claim = -1
    if known.success_claim < 0:
        return False
    return not os.path.exists(known.paths.claim(known.success_claim + 1))


def _with_result(row: Row, made: bool) -> Row:
    if made:
        return row if row.result_status == "success" else replace(row, result_status="success")
    result = row.result_status
    if row.attempt_status:
        result = "failed" if row.attempt_status == "failed" else "incomplete"
    elif result == "success":
        result = "absent"
    return row if result == row.result_status else replace(row, result_status=result)


def last_turn(paths: ArtifactPaths) -> int:
    """The number of the last claim, 0 when there is none."""
    try:
        names = [] if os.path.islink(paths.claims) else os.listdir(paths.claims)
    except OSError:
        return 0
    return max((int(n) for n in names if n.isascii() and n.isdecimal() and len(n) < 10), default=0)


def _from_claims(known: Known, row: Row) -> tuple[Row, Mapping[str, Any] | None]:
    number = last_turn(known.paths)
    if number == 0:
        return row, known.owner
    claim = as_mapping(reading.read_document(known.paths.claim(number)).value)
    end = as_mapping(reading.read_document(known.paths.claim_end(number)).value)
    owner = as_mapping(claim.get("owner"))
    queued = claim.get("kind") == "queued"
    status = _status_of(claim, end, os.path.exists(known.paths.claim_end(number)))
    job = as_mapping(reading.read_document(known.paths.claim_job(number)).value) if queued else {}
    job = job or as_mapping(owner.get("job"))
    claimed_at, ended_at = as_time(claim.get("claimed_at")), as_time(end.get("ended_at"))
    error = as_mapping(end.get("error"))
    duration = (ended_at - claimed_at).total_seconds() if ended_at and claimed_at else None
    told = replace(
        row,
        attempt_status=status,
        attempt_number=number,
        backend=intern(as_text(job.get("engine")) or as_text(owner.get("backend"))),
        hostname=intern(as_text(owner.get("host"))),
        user=intern(as_text(owner.get("user"))),
        pid=as_count(owner.get("pid")),
        job_id=as_text(job.get("job_id")),
        run_id=intern(as_text(claim.get("run_id"))),
        queued_at=claimed_at if queued else row.queued_at,
        started_at=None if queued else claimed_at,
        ended_at=ended_at,
        updated_at=ended_at or claimed_at or row.updated_at,
        duration_s=None if queued else duration,
        error_type=intern(as_text(error.get("type"))),
        error_message=as_text(error.get("message"), _MAX_ERROR),
        error_place=intern(last_frame(error.get("traceback"))),
        failed_key=as_text(error.get("failed_key")),
    )
    return told, owner


def _status_of(claim: Mapping[str, Any], end: Mapping[str, Any], has_end: bool) -> str:
    if not has_end:
        return "queued" if claim.get("kind") == "queued" else "running"
    status = as_text(end.get("status"))
    # A queued turn that started, with no turn after it: the job died in between.
    return status if status in _ATTEMPTS else "crashed"


def _with_life(known: Known, row: Row, owner: Mapping[str, Any] | None, now: Now) -> Row:
    number = row.attempt_number
    if owner is None:
        claim = reading.read_document(known.paths.claim(number)).value
        owner = as_mapping(as_mapping(claim).get("owner"))
    if row.attempt_status == "queued":
        return _with_queued_life(known, row, owner, now)
    beat = reading.mark_of(known.paths.claim(number))
    heartbeat_at = reading.as_moment(beat.mtime_ns / 1e9) if beat else None
    reason = _why_stale(owner, beat, now)
    status = "stale" if reason else "running"
    return replace(row, attempt_status=status, stale_reason=reason, heartbeat_at=heartbeat_at)


def _with_queued_life(known: Known, row: Row, owner: Mapping[str, Any], now: Now) -> Row:
    reason = ""
    if is_dead_here(owner, now):
        reason = _why_nothing_comes(known, row.attempt_number, now)
    return replace(row, attempt_status="stale", stale_reason=reason) if reason else row


def _why_nothing_comes(known: Known, number: int, now: Now) -> str:
    """Why a queued turn whose driver is dead will never start, "" if it may."""
    if os.path.exists(known.paths.claim_job(number)):
        # A bound job is the engine's to judge, and the catalog asks no engine. But an engine that
        # lived in the driver says so in its job, and it went with it.
        job = as_mapping(reading.read_document(known.paths.claim_job(number)).value)
        engine_process = as_mapping(as_mapping(job.get("meta")).get("driver"))
        return (
            "its driver is gone, and its engine with it"
            if is_dead_here(engine_process, now)
            else ""
        )
    claim = as_mapping(reading.read_document(known.paths.claim(number)).value)
    # With a hint the engine may know the job by name.
    return "" if claim.get("job_hint") else "its driver is gone, and no job was bound to it"


def _why_stale(owner: Mapping[str, Any], beat: Mark | None, now: Now) -> str:
    if is_here(owner, now):
        return "its process on this host is gone" if is_dead_here(owner, now) else ""
    if beat is None:
        return "its claim is gone"
    if now.time_s - beat.mtime_ns / 1e9 > now.lease_s:
        return f"no heartbeat for longer than the lease of {now.lease_s:g} s"
    return ""


def is_here(owner: Mapping[str, Any], now: Now) -> bool:
    """Whether the owner's pid means something on this host."""
    return bool(
        now.boot_id
        and owner.get("boot_id") == now.boot_id
        and owner.get("pid_namespace") == now.pid_namespace
        and owner.get("started")
    )


def is_dead_here(owner: Mapping[str, Any], now: Now) -> bool:
    """Whether the owner is a process of this host that is no more."""
    return is_here(owner, now) and now.process_started(as_count(owner.get("pid"))) != str(
        owner.get("started")
    )


def stale_reason(owner: Mapping[str, Any], heartbeat: datetime | None, now: Now) -> str:
    """Why a running turn is stale, "" if it is not: for turns that are looked at one by one."""
    beat = None if heartbeat is None else Mark(int(heartbeat.timestamp() * 1e9), 0, 0)
    return _why_stale(owner, beat, now)
