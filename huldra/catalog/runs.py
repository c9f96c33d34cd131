"""Recorded runs: what each was to make, and how far it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from huldra.catalog import reading
from huldra.catalog.reading import Mark, as_mapping, as_text, as_time
from huldra.catalog.records import Row, Sweep, SweepMember
from huldra.catalog.snapshot import Snapshot
from huldra.catalog.walk import folder_names
from huldra.store.layout import RUNS, StorePaths

MAX_RECORD_BYTES = 512 << 20
_ENOUGH = 3  # ends of this run that tell its pace better than durations do
_OVER = ("success", "failed", "cancelled", "crashed")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is kept of a run's `graph.json`."""

    run_id: str
    root: str
    name: str
    module: str
    engine: str
    created_at: datetime | None
    members: Mapping[str, str]
    planned: frozenset[str]
    needed: tuple[str, ...]
    mark: Mark | None
    problem: str


def run_ids(root: str) -> list[str]:
    """The recorded runs of a root, the oldest first."""
    return folder_names(f"{root}/{RUNS}")


def read_run(root: str, run_id: str) -> RunRecord:
    """Read a run's record; one that cannot be read is a record that says so."""
    document = reading.read_document(StorePaths(root).run_record(run_id), MAX_RECORD_BYTES)
    value = as_mapping(document.value)
    members = as_mapping(value.get("members"))
    nodes = as_mapping(value.get("nodes"))
    problem = document.problem or ("" if value else "graph.json is missing")
    return RunRecord(
        run_id,
        root,
        as_text(value.get("name")),
        as_text(value.get("module")),
        as_text(value.get("engine")),
        as_time(value.get("created_at")),
        {name: key for name, key in members.items() if isinstance(key, str)},
        frozenset(nodes),
        _needed(nodes),
        document.mark,
        problem,
    )


def _needed(nodes: Mapping[str, object]) -> tuple[str, ...]:
    """The nodes, and what they need that was made before."""
    keys = dict.fromkeys(nodes)
    for node in nodes.values():
        needs = as_mapping(node).get("needs")
        if isinstance(needs, list):
            keys.update(dict.fromkeys(key for key in needs if isinstance(key, str)))
    return tuple(keys)


def progress(record: RunRecord, snapshot: Snapshot) -> Sweep:
    """How far the run is, by the artifacts of a snapshot."""
    named = set(record.members.values())
    keys = [*record.members.values(), *(key for key in record.needed if key not in named)]
    names = [*record.members, *("" for _ in range(len(keys) - len(record.members)))]
    members = tuple(
        _member(name, key, record, snapshot) for name, key in zip(names, keys, strict=True)
    )
    distinct = {member.key: member for member in members}
    counts = Counter(member.status for member in distinct.values())
    return Sweep(
        record.run_id,
        record.root,
        record.name,
        record.module,
        record.engine,
        record.created_at,
        len(distinct),
        dict(counts),
        _eta_s(record, list(distinct.values()), snapshot.taken_at),
        members,
        record.problem,
    )


def _member(name: str, key: str, record: RunRecord, snapshot: Snapshot) -> SweepMember:
    row = snapshot.get(key, record.root)
    status = "absent" if row is None else status_of(row)
    return SweepMember(name, key, key in record.planned, status, row)


def status_of(row: Row) -> str:
    """Return the one word for how far an artifact is; a complete one is `success`.

    What became of a later attempt that is over does not count then.
    """
    if row.result_status == "success" and not row.is_open:
        return "success"
    return row.status


def _eta_s(record: RunRecord, members: Sequence[SweepMember], now: datetime) -> float | None:
    """Seconds until the last of what moves is made: by pace, else by the usual duration."""
    moving = sum(m.status in ("queued", "running") for m in members)
    waiting = sum(m.status == "absent" and m.planned for m in members)
    if moving == 0:
        return None
    running = max(1, sum(m.status == "running" for m in members))
    began = record.created_at
    ends = [m.row.ended_at for m in members if m.row and m.status in _OVER and m.row.ended_at]
    recent = [end for end in ends if began is not None and end >= began]
    if began is not None and len(recent) >= _ENOUGH and now > began:
        return (moving + waiting) * (now - began).total_seconds() / len(recent)
    durations = [m.row.duration_s for m in members if m.row and m.row.duration_s is not None]
    if not durations:
        return None
    return (moving + waiting) * median(durations) / running
