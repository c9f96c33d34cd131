"""One artifact as its files tell it: recorded facts, then what is true of them now.

`state.json` is what the core derived when it last wrote. Of an attempt that began and is over that
stays true; any other state is derived again at each look, by the same rules (`store.snapshot`),
from the claims, `SUCCESS.json` and the signs of liveness of an owner that should be at work.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from sys import intern
from typing import Any, NamedTuple

from huldra.catalog import reading
from huldra.catalog.reading import Mark, as_count, as_mapping, as_seconds, as_text, as_time
from huldra.catalog.records import (
    Dependencies,
    Dependency,
    PackedConfig,
    Row,
    pack_config,
    pack_dependencies,
)
from huldra.store import files, snapshot
from huldra.store.layout import ArtifactPaths
from huldra.store.records import (
    Attempt,
    AttemptStatus,
    ErrorRecord,
    Lease,
    Result,
    State,
    attempt_of,
    begun_after,
)
from huldra.store.snapshot import Liveness, Look, Verdict

MAX_ATTEMPTS = 200

_ATTEMPTS = frozenset(AttemptStatus)
_RESULTS = frozenset(Result)
_FRAME = re.compile(r'^ *File "([^"\n]*)", line \d+, in (.*)$', re.MULTILINE)
_MAX_ERROR = 2000


class Described(NamedTuple):
    """What `metadata.json` adds to a row."""

    config: Mapping[str, Any] | None = None
    dependencies: Sequence[Dependency] = ()
    hostname: str = ""
    user: str = ""
    timestamp: datetime | None = None
    problem: str = ""


_NOTHING = Described()


@dataclass(slots=True)
class CacheEntry:
    """What is remembered of an artifact whose state is derived at each look.

    `recorded` is what `state.json` and `metadata.json` say; `derived` what the claims make of it,
    before its owner is judged.
    """

    row: Row
    paths: ArtifactPaths
    recorded: Row
    derived: Row
    described: Described = _NOTHING
    attempts: Attempts | None = None
    state_mark: Mark | None = None
    metadata_mark: Mark | None = None
    success_mark: Mark | None = None
    success_claim: int = -1
    looked: bool = False
    judged: tuple[Row, Mark | None, Verdict, Row] | None = None

    @property
    def open_attempt(self) -> Attempt | None:
        """The attempt that is not over, whose owner has to be judged."""
        last = self.attempts.last if self.attempts is not None else None
        return last if last is not None and last.end is None else None


class Files(NamedTuple):
    """What the files of one attempt hold; `end` is None where there is none."""

    number: int
    claim: Mapping[str, Any]
    end: Mapping[str, Any] | None
    job: Mapping[str, Any] | None


class Attempts(NamedTuple):
    """The last attempt, the queued one that it began from, and the last one with an outcome.

    `files` is what they were read from, in the same order, as JSON.
    """

    last: Attempt
    queued: Attempt | None
    before: Attempt | None
    files: str


@dataclass(slots=True)
class ScanClock:
    """What one scan judges by.

    `server_s` is what the file server's clock has reached for certain: it put that time on a file.
    Nothing is written to ask it.
    """

    clock_s: float
    lease: Lease
    server_s: float = 0.0

    def saw(self, mark: Mark | None) -> None:
        """Note the time on a file; one of the future is ignored."""
        if mark is not None and self.server_s < mark.mtime_ns / 1e9 <= self.clock_s:
            self.server_s = mark.mtime_ns / 1e9

    def judges(self, attempt: Attempt, beat: Mark | None) -> Verdict:
        """Judge whether the owner of an open attempt is alive, as far as can be seen."""
        renewed_at = beat.mtime_ns / 1e9 if beat is not None else None
        return snapshot.judge(attempt, renewed_at, Look(self.clock_s, self.server_s, self.lease))


def new_entry(root: str, version_controlled: bool, namespace: str, digest: str) -> CacheEntry:
    """An artifact of which nothing is known yet but that its directory is there."""
    row = Row(root, namespace, digest, version_controlled)
    paths = ArtifactPaths(row.directory)
    return CacheEntry(row, paths, row, row)


def look(known: CacheEntry, now: ScanClock) -> bool:
    """Bring `known.row` up to date; True when files had to be read again."""
    mark = reading.mark_of(known.paths.state)
    now.saw(mark)
    stale = not known.looked or mark != known.state_mark
    if stale or _has_new_metadata(known):
        _read(known)
        stale = True
    _derive(known, now)
    return stale


def judge_again(known: CacheEntry, now: ScanClock) -> None:
    """Judge the owner of an open attempt again, where no file of the artifact has changed."""
    attempt = known.open_attempt
    if attempt is not None:
        _set_row(known, _with_liveness(known, known.derived, attempt, now))


def _has_new_metadata(known: CacheEntry) -> bool:
    # Asked only while it is not there or could not be read: else it comes with a new state.
    if known.metadata_mark is not None and not known.described.problem:
        return False
    return reading.mark_of(known.paths.metadata) != known.metadata_mark


def _read(known: CacheEntry) -> None:
    if os.path.islink(known.paths.private):
        known.recorded, known.looked = known.row._replace(problem=".huldra: a link"), True
        return
    # A metadata.json is written before the state that goes with it, so it is asked about here only.
    metadata_path = known.paths.metadata
    if not known.looked or reading.mark_of(metadata_path) != known.metadata_mark:
        metadata = reading.read_document(metadata_path)
        known.metadata_mark = metadata.mark
        known.described = _described(metadata.value or {}, metadata.problem)
    state = reading.read_document(known.paths.state)
    known.state_mark, known.looked = state.mark, True
    known.attempts = None
    attempt = as_mapping(as_mapping(state.value).get("attempt"))
    problem = "; ".join(filter(None, (state.problem, known.described.problem)))
    known.recorded = _recorded(known.row, known.described, state.value or {}, attempt, problem)


def describe(known: CacheEntry, config: PackedConfig, dependencies: Dependencies) -> None:
    """Fill in, for an artifact without metadata, what the record of its run says of it."""
    known.described = known.described._replace(config=config, dependencies=dependencies)
    known.recorded = known.recorded._replace(config=config, dependencies=dependencies)
    known.derived = known.derived._replace(config=config, dependencies=dependencies)
    known.row = known.row._replace(config=config, dependencies=dependencies)


def _described(metadata: Mapping[str, Any], problem: str) -> Described:
    config = metadata.get("config")
    return Described(
        pack_config(config) if isinstance(config, dict) else None,
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


def _dependencies(value: Any) -> Dependencies:
    if not isinstance(value, list):
        return Dependencies()
    return pack_dependencies(
        (as_text(item.get("field")), as_text(item["namespace"]), as_text(item["hash"]))
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


# ------------------------------------------------------------------ what is true now


def _derive(known: CacheEntry, now: ScanClock) -> None:
    row = known.recorded
    if row.problem.startswith(".huldra"):
        known.row = row
        return
    if (
        row.ended_at is None
        or row.started_at is None
        or _has_later_attempt(known, row.attempt_number)
    ):
        # Only what state.json says of an attempt that began and is over is never out of date.
        row = _from_claims(known, now)
    elif row.result_status == row.attempt_status == "success" and row.attempt_number:
        # No later attempt could void it, so its SUCCESS.json need not be read, only be there.
        if not files.path_exists(known.paths.success):
            row = row._replace(result_status="incomplete")
    elif _is_made(known):
        row = row._replace(result_status="success")
    elif row.result_status == "success":
        row = row._replace(result_status="incomplete")
    _set_row(known, row)


def _set_row(known: CacheEntry, row: Row) -> None:
    if row != known.row:
        known.row = row


def _has_later_attempt(known: CacheEntry, number: int) -> bool:
    return files.path_exists(known.paths.claim(number + 1))


def _is_made(known: CacheEntry) -> bool:
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
    return not files.path_exists(known.paths.claim(known.success_claim + 1))


def _from_claims(known: CacheEntry, now: ScanClock) -> Row:
    """The row that the claims and SUCCESS.json amount to, by the core's own rules."""
    if known.attempts is None or _is_outdated(known, known.attempts.last):
        known.attempts = read_attempts(known.paths)
    attempts = known.attempts
    if attempts is None:
        state = snapshot.derive(None, made=_is_made(known))
        known.derived = known.recorded._replace(
            result_status=state.result.value, attempt_status="", attempt_number=0
        )
        return known.derived
    state = snapshot.derive(
        attempts.last, attempts.queued, made=_is_made(known), before=attempts.before
    )
    row = known.derived = _row_of(known, state)
    return row if attempts.last.end is not None else _with_liveness(known, row, attempts.last, now)


def _is_outdated(known: CacheEntry, attempt: Attempt) -> bool:
    paths, number = known.paths, attempt.number
    if _has_later_attempt(known, number):
        return True
    if attempt.end is not None:
        return False
    if files.path_exists(paths.claim_end(number)) or not files.path_exists(paths.claim(number)):
        return True
    return attempt.is_queued and attempt.job is None and files.path_exists(paths.claim_job(number))


def _row_of(known: CacheEntry, state: State) -> Row:
    attempt = state.attempt
    assert attempt is not None, "an attempt is an attempt"
    error = (state.previous or attempt).error or ErrorRecord("", "")
    queued_at, started_at = as_time(attempt.queued_at), as_time(attempt.started_at)
    ended_at, owner = as_time(attempt.ended_at), attempt.owner
    return known.recorded._replace(
        result_status=state.result.value,
        attempt_status=attempt.status.value,
        attempt_number=attempt.number,
        backend=intern(as_text(attempt.backend)),
        hostname=intern(as_text(owner.host)),
        user=intern(as_text(owner.user)),
        pid=as_count(owner.pid),
        job_id=as_text(attempt.job_id),
        run_id=intern(as_text(attempt.run_id)),
        queued_at=queued_at,
        started_at=started_at,
        ended_at=ended_at,
        updated_at=ended_at or started_at or queued_at or known.recorded.updated_at,
        duration_s=attempt.duration_s,
        error_type=intern(as_text(error.type)),
        error_message=as_text(error.message, _MAX_ERROR),
        error_place=intern(last_frame(error.traceback)),
        failed_key=as_text(error.failed_key),
    )


def _with_liveness(known: CacheEntry, row: Row, attempt: Attempt, now: ScanClock) -> Row:
    beat = reading.mark_of(known.paths.claim(attempt.number))
    verdict = now.judges(attempt, beat)
    before = known.judged
    if before is None or before[0] is not row or before[1:3] != (beat, verdict):
        before = known.judged = row, beat, verdict, _judged(known, row, attempt, beat, verdict)
    return before[3]


def _judged(
    known: CacheEntry, row: Row, attempt: Attempt, beat: Mark | None, verdict: Verdict
) -> Row:
    seen = (
        reading.as_moment(beat.mtime_ns / 1e9) if beat is not None and attempt.is_running else None
    )
    if verdict.liveness is Liveness.DEAD:
        status = status_of_dead(known.paths, attempt)
        return row._replace(attempt_status=status, stale_reason=verdict.reason, heartbeat_at=seen)
    return row._replace(unconfirmed=verdict.reason, heartbeat_at=seen)


def status_of_dead(paths: ArtifactPaths, attempt: Attempt) -> str:
    """What an open attempt counts as whose owner is dead: a cancel explains its end."""
    is_cancelled = os.path.lexists(paths.claim_cancel(attempt.number))
    return AttemptStatus.CANCELLED.value if is_cancelled else "stale"


# ------------------------------------------------------------------ attempts, from any bytes on
# disk


def last_number(paths: ArtifactPaths) -> int:
    """The number of the last attempt that left a file, 0 when there is none."""
    try:
        names = [] if os.path.islink(paths.claims) else os.listdir(paths.claims)
    except OSError:
        return 0
    stems = (name.removesuffix(".end") for name in names)
    return max((int(n) for n in stems if n.isascii() and n.isdecimal() and len(n) < 10), default=0)


def read_attempts(paths: ArtifactPaths) -> Attempts | None:
    """What a state is derived from; None where there was no attempt."""
    number = last_number(paths)
    if not number:
        return None
    last = read_files(paths, number)
    latest = begun_after(attempt_from(paths, last))
    from_queued = as_count(latest.claim.from_queued)
    queued = read_files(paths, from_queued) if from_queued else None
    before, earlier = None, number
    while not snapshot.has_outcome(latest) and earlier > 1 and number - earlier < MAX_ATTEMPTS:
        earlier -= 1
        before = read_files(paths, earlier)
        latest = attempt_from(paths, before)
    found = (last, queued, before if snapshot.has_outcome(latest) else None)
    return _attempts_from(paths, found, json.dumps(found, separators=(",", ":")))


def _attempts_from(
    paths: ArtifactPaths, found: tuple[Files, Files | None, Files | None], text: str
) -> Attempts:
    last, queued, before = found
    return Attempts(
        begun_after(attempt_from(paths, last)),
        None if queued is None else attempt_from(paths, queued),
        None if before is None else attempt_from(paths, before),
        text,
    )


def read_attempt(paths: ArtifactPaths, number: int) -> Attempt:
    """One attempt, whatever its files hold."""
    return attempt_from(paths, read_files(paths, number))


def read_files(paths: ArtifactPaths, number: int) -> Files:
    """The files of one attempt; what cannot be read is empty."""
    end = reading.read_document(paths.claim_end(number))
    has_end = end.mark is not None or bool(end.problem)
    claim = as_mapping(reading.read_document(paths.claim(number)).value)
    job = reading.read_document(paths.claim_job(number)).value if _asks_job(claim) else None
    return Files(number, claim, (end.value or {}) if has_end else None, job)


def attempt_from(paths: ArtifactPaths, found: Files) -> Attempt:
    """The attempt that the contents of its files amount to."""
    number, claim, end, job = found
    is_cancelled = partial(os.path.lexists, paths.claim_cancel(number))
    try:
        return attempt_of(paths.key, number, claim, end, job, is_cancelled)
    except (TypeError, ValueError, OverflowError):  # types that no version of huldra writes
        return attempt_of(paths.key, number, {}, None if end is None else {}, None, is_cancelled)


def _asks_job(claim: Mapping[str, Any]) -> bool:
    return claim.get("kind") == "queued" and not claim.get("named_job")


# ---------------------------------------------------------------- kept from process to process


def to_plain(entry: CacheEntry) -> list[Any] | None:
    """What `from_plain` needs to go on; None where it could not."""
    attempts = entry.attempts
    if attempts is None or entry.open_attempt is None or entry.state_mark is None:
        return None
    return [entry.state_mark, entry.metadata_mark, attempts.files]


def from_plain(derived: Row, plain: list[Any]) -> CacheEntry:
    """The entry of an artifact with an open attempt; `derived` is without a verdict on its owner.

    Raises TypeError, ValueError or AttributeError for what `to_plain` did not return.
    """
    entry = new_entry(derived.root, derived.version_controlled, derived.namespace, derived.digest)
    state, metadata, text = plain
    last, queued, before = (one and Files(*one) for one in json.loads(text))
    entry.state_mark = Mark(*state)
    entry.metadata_mark = metadata and Mark(*metadata)
    entry.row = entry.recorded = entry.derived = derived
    entry.described = Described(
        derived.config, derived.dependencies, derived.hostname, derived.user, derived.updated_at
    )
    entry.attempts = _attempts_from(entry.paths, (last, queued, before), text)
    entry.looked = True
    return entry
