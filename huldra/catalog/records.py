"""What the catalog answers with: frozen values, no behaviour beyond derived names.

Times are aware datetimes in UTC, durations and ages seconds, sizes bytes. Text fields are
"" where the store says nothing. Text comes from the disk as it is: who shows it escapes it.
"""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, overload

RESULT_STATUSES = ("absent", "incomplete", "success", "failed")
ATTEMPT_STATUSES = (
    "queued",
    "running",
    "stale",
    "success",
    "failed",
    "cancelled",
    "preempted",
    "crashed",
)


@dataclass(frozen=True, slots=True)
class Dependency:
    """An artifact that another one names: `field` is the path in its config (`parts[0]`)."""

    field: str
    namespace: str
    digest: str

    @property
    def key(self) -> str:
        """`<namespace>/<hash>`."""
        return f"{self.namespace}/{self.digest}"


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@lru_cache(maxsize=2048)
def _parsed(text: str) -> dict[str, Any]:
    """A config that is looked at is looked at again: on a page, or as a part of many others."""
    value: dict[str, Any] = json.loads(text)
    return value


class PackedConfig(Mapping[str, Any]):
    """A config as JSON text, read at each use: a store has more configs than one looks at.

    Equal to the dict that it stands for. Keep `dict(config)` where it is used again and again.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __getitem__(self, name: str) -> Any:
        return _parsed(self.text)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_parsed(self.text))

    def __len__(self) -> int:
        return len(_parsed(self.text))

    def __contains__(self, name: object) -> bool:
        return name in _parsed(self.text)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PackedConfig) and other.text == self.text:
            return True
        return isinstance(other, Mapping) and _parsed(self.text) == dict(other)

    __hash__ = None  # type: ignore[assignment]  # as a dict has none

    def items(self) -> ItemsView[str, Any]:
        """The fields, read once."""
        return _parsed(self.text).items()

    def __repr__(self) -> str:
        return self.text


def pack_config(config: Mapping[str, Any]) -> PackedConfig:
    """A config as it is kept in a row."""
    return PackedConfig(_encode(config))


class Dependencies(Sequence[Dependency]):
    """What a config names, as JSON text that is read at each use; equal to a tuple of the same."""

    __slots__ = ("text",)

    def __init__(self, text: str = "") -> None:
        self.text = text

    def _read(self) -> tuple[Dependency, ...]:
        return tuple(Dependency(*one) for one in json.loads(self.text)) if self.text else ()

    @overload
    def __getitem__(self, index: int) -> Dependency: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Dependency]: ...
    def __getitem__(self, index: int | slice) -> Dependency | Sequence[Dependency]:
        return self._read()[index]

    def __iter__(self) -> Iterator[Dependency]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __bool__(self) -> bool:
        return bool(self.text)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Dependencies):
            return self.text == other.text
        return self._read() == other

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return repr(self._read())


def pack_dependencies(found: Iterable[tuple[str, str, str]]) -> Dependencies:
    """Fields, namespaces and hashes as they are kept in a row."""
    known = list(found)
    return Dependencies(_encode(known) if known else "")


class Row(NamedTuple):
    """One artifact of a store, as far as lists need it.

    `attempt_status` is the true one at the time of the snapshot: `stale` where the store says
    running (or queued) and the owner is dead, or its lease is over; `stale_reason` says which.
    `unconfirmed` says what speaks against an attempt that may be alive all the same. The status
    is "" when no attempt is recorded. Where the last attempt never began, `result_status` and the
    error are those of the one before it. `heartbeat_at` is the last sign of life of an attempt
    that is not over. `problem` is not "" when a file could not be read; the other fields then
    hold what could. `config` is the plain view of metadata.json: a nested artifact stands as
    `{"$ref": "<key>"}`.
    """

    root: str
    namespace: str
    digest: str
    version_controlled: bool
    result_status: str = "absent"
    attempt_status: str = ""
    attempt_number: int = 0
    backend: str = ""
    hostname: str = ""
    user: str = ""
    pid: int = 0
    job_id: str = ""
    run_id: str = ""
    queued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime | None = None
    duration_s: float | None = None
    heartbeat_at: datetime | None = None
    stale_reason: str = ""
    error_type: str = ""
    error_message: str = ""
    error_place: str = ""
    failed_key: str = ""
    config: Mapping[str, Any] | None = None
    dependencies: Sequence[Dependency] = ()
    problem: str = ""
    unconfirmed: str = ""

    @property
    def key(self) -> str:
        """`<namespace>/<hash>`: names the artifact within a root."""
        return f"{self.namespace}/{self.digest}"

    @property
    def directory(self) -> str:
        """The artifact's directory."""
        top = "git" if self.version_controlled else "data"
        return f"{self.root}/{top}/{self.namespace}/{self.digest}"

    @property
    def module(self) -> str:
        """The module of the class: `my_project.pipelines`."""
        return self.namespace.rpartition("/")[0]

    @property
    def class_name(self) -> str:
        """The class without its module: `TrainModel`."""
        return self.namespace.rpartition("/")[2]

    @property
    def label(self) -> str:
        """Class and the first eight digits of the hash, for people."""
        return f"{self.class_name} {self.digest[:8]}"

    @property
    def status(self) -> str:
        """One word for a badge: the attempt's status, else the result's.

        A retry that never began does not hide what the attempt before it said.
        """
        if self.result_status == "failed" and self.attempt_status not in ("queued", "running"):
            return "failed"
        return self.attempt_status or self.result_status

    @property
    def is_open(self) -> bool:
        """True if an attempt is open: queued, running or stale."""
        return self.attempt_status in ("queued", "running", "stale")


@dataclass(frozen=True)
class Page:
    """Rows `offset` … `offset + len(rows)` of the `total` that match."""

    rows: tuple[Row, ...]
    total: int
    offset: int
    limit: int


@dataclass(frozen=True)
class AttemptRow:
    """One attempt of an artifact, from its claims.

    `status` is as in `Row.attempt_status`, with `started` for a queued attempt whose job began
    (the next attempt is then the run itself).
    """

    number: int
    status: str
    kind: str
    backend: str
    hostname: str
    user: str
    pid: int
    job_id: str
    run_id: str
    claimed_at: datetime | None
    ended_at: datetime | None
    heartbeat_at: datetime | None
    stale_reason: str
    cancel_requested: bool
    error: Mapping[str, Any] | None
    unconfirmed: str = ""

    @property
    def duration_s(self) -> float | None:
        """Seconds from claim to end; None while it is open."""
        if self.claimed_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.claimed_at).total_seconds()


@dataclass(frozen=True)
class Detail:
    """All that the store says of one artifact.

    `metadata`, `state` and `success` are the files as read, None where missing; `problems` say
    which could not be read and why. `python_def` is the config as Python source.
    """

    row: Row
    metadata: Mapping[str, Any] | None
    state: Mapping[str, Any] | None
    success: Mapping[str, Any] | None
    attempts: tuple[AttemptRow, ...]
    log_path: str
    log_size: int
    git_patch_size: int
    problems: tuple[str, ...]
    output_path: str = ""
    output_size: int = 0

    @property
    def python_def(self) -> str:
        """The config as Python source, "" when not recorded."""
        return str((self.metadata or {}).get("huldra_python_def") or "")


@dataclass(frozen=True)
class Relation:
    """One edge seen from an artifact: the `field`, the other's `key`, its row if in the store."""

    field: str
    key: str
    row: Row | None


@dataclass(frozen=True)
class Relationships:
    """Direct neighbours: what the artifact was made from, and what was made from it."""

    row: Row
    dependencies: tuple[Relation, ...]
    dependents: tuple[Relation, ...]


@dataclass(frozen=True)
class Stats:
    """Totals over a set of rows; the mappings hold only values that occur."""

    total: int
    by_result_status: Mapping[str, int]
    by_attempt_status: Mapping[str, int]
    by_namespace: Mapping[str, Mapping[str, int]]  # namespace → status → count
    by_backend: Mapping[str, int]
    by_hostname: Mapping[str, int]
    by_user: Mapping[str, int]
    unreadable: int


@dataclass(frozen=True)
class ClassNode:
    """All artifacts of one class: `counts` maps `Row.status` to how many."""

    namespace: str
    total: int
    counts: Mapping[str, int]


@dataclass(frozen=True)
class ClassEdge:
    """`dependent` needs `dependency` (namespaces) through `fields`, in `count` artifacts."""

    dependency: str
    dependent: str
    fields: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class ClassGraph:
    """Classes and how they use each other. Classes only known by reference have total 0."""

    nodes: tuple[ClassNode, ...]
    edges: tuple[ClassEdge, ...]


@dataclass(frozen=True)
class Neighbour:
    """A node of a neighbourhood.

    `distance` is negative upstream (dependencies), positive downstream. A folded node stands
    for `folded` artifacts of one class at one distance: it has no row, its `key` is unique in
    the graph but names no artifact.
    """

    key: str
    namespace: str
    distance: int
    row: Row | None
    folded: int = 0


@dataclass(frozen=True)
class NearEdge:
    """`dependent` needs `dependency` (keys of nodes of the same neighbourhood)."""

    dependency: str
    dependent: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Neighbourhood:
    """Artifacts around `center`; `hidden` counts those that folding stands for."""

    center: str
    nodes: tuple[Neighbour, ...]
    edges: tuple[NearEdge, ...]
    hidden: int


@dataclass(frozen=True)
class FailureGroup:
    """Artifacts that failed alike: the same error type at the same place.

    `group_id` is stable between snapshots and usable as `Query.failure_group`. `place` is the
    last frame, without directories and line numbers. `sample_message` is the newest one's.
    """

    group_id: str
    error_type: str
    place: str
    count: int
    first_seen: datetime | None
    last_seen: datetime | None
    namespaces: tuple[str, ...]
    hostnames: tuple[str, ...]
    sample_message: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Usage:
    """Bytes below an artifact (symbolic links not followed), and how many files."""

    row: Row
    size_bytes: int
    files: int


@dataclass(frozen=True)
class Litter:
    """Something that no artifact needs.

    `kind` is `temporary`, `trash`, `empty`, `run` (a run's record) or `foreign`.
    """

    path: str
    kind: str
    size_bytes: int
    age_s: float


@dataclass(frozen=True)
class FileEntry:
    """A file of an artifact, `path` relative to its directory; `kind` is file, link or other."""

    path: str
    size_bytes: int
    modified_at: datetime
    kind: str


class Extent(NamedTuple):
    """Where a curve ends, and its smallest and largest value with their steps; NaN is neither."""

    step: float
    min: float
    min_step: float
    max: float
    max_step: float


@dataclass(frozen=True)
class Metrics:
    """Numbers in an artifact's top-level files.

    `values` maps a metric's name (see `catalog.metrics`) to its last number, `series` to the
    points of its curve, evenly thinned: `(step, value)`, where step is a column `step`, `epoch`
    or `iteration`, or the line's index. `extents` are of the whole curve. NaN and infinities are
    kept. `problems` name the files that could not be read, or were read in part.
    """

    values: Mapping[str, float]
    series: Mapping[str, tuple[tuple[float, float], ...]]
    problems: tuple[str, ...] = ()
    extents: Mapping[str, Extent] = field(default_factory=dict)


@dataclass(frozen=True)
class SweepMember:
    """A named artifact of a recorded run, or a node that a member needs (`name` is then "").

    `planned` says whether this run was to make it; `status` is `Row.status`, or `absent`.
    """

    name: str
    key: str
    planned: bool
    status: str
    row: Row | None


@dataclass(frozen=True)
class Sweep:
    """How far a recorded run is.

    `total` counts all artifacts of the run, members and what they need; `done` those that are
    made, `failed` those that failed, and so on: the `counts` by status add up to `total`.
    `eta_s` is None when nothing moves, or nothing ended yet to judge by.
    """

    run_id: str
    root: str
    name: str
    module: str
    engine: str
    created_at: datetime | None
    total: int
    counts: Mapping[str, int]
    eta_s: float | None
    members: tuple[SweepMember, ...]
    problem: str = ""

    @property
    def done(self) -> int:
        """How many artifacts of the run are made."""
        return self.counts.get("success", 0)
