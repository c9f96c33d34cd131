"""What artifacts need, and so which of them may go and leave every other one whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

from huldra.catalog.records import Row, Sweep
from huldra.catalog.snapshot import Snapshot

_NEVER = datetime.fromtimestamp(0, UTC)


def needed_by(snapshot: Snapshot, keys: Iterable[str]) -> set[str]:
    """Return `keys` and all that they need, at any depth, by what the artifacts recorded."""
    pending, found = list(keys), set[str]()
    while pending:
        key = pending.pop()
        if key in found:
            continue
        found.add(key)
        row = snapshot.get(key)
        if row is not None:
            pending += [dependency.key for dependency in row.dependencies]
    return found


def in_use(snapshot: Snapshot, runs: Iterable[Sweep]) -> set[str]:
    """Return what is open, all of the runs with something open, and what these need.

    A stale attempt counts as open: whether its owner is dead is for the next one that computes it.
    """
    keys = {row.key for row in snapshot.rows if row.is_open}
    for run in runs:
        members = {member.key for member in run.members}
        if members & keys:
            keys |= members
    return needed_by(snapshot, keys)


def unreadable(rows: Iterable[Row]) -> Row | None:
    """Return one of which nothing tells what it needs; what never began needs nothing yet."""
    return next((row for row in rows if row.config is None and _has_needs(row)), None)


def _has_needs(row: Row) -> bool:
    has_begun = row.is_open or row.started_at is not None or row.result_status == "success"
    return has_begun or row.problem != ""


def may_go(snapshot: Snapshot, candidates: Iterable[Row], kept: Iterable[str]) -> list[Row]:
    """Return those of `candidates` that nothing which stays needs; `kept` are keys that stay."""
    wanted = {row.key: row for row in candidates}
    staying = [row.key for row in snapshot.rows if row.key not in wanted]
    protected = needed_by(snapshot, [*staying, *kept])
    return [row for key, row in wanted.items() if key not in protected]


def oldest_above(
    snapshot: Snapshot, candidates: Iterable[Row], sizes: Mapping[str, int], max_bytes: int
) -> list[Row]:
    """Return the oldest candidates, so many that all other artifacts have at most `max_bytes`.

    Never one that another which stays needs: that one goes first, if it may. `sizes` are by key.
    """
    rows = sorted(candidates, key=lambda row: row.updated_at or _NEVER)
    users: dict[str, set[str]] = {}
    for row in snapshot.rows:
        for dependency in row.dependencies:
            users.setdefault(dependency.key, set()).add(row.key)
    left = sum(sizes.values())
    going: dict[str, Row] = {}
    while left > max_bytes:
        oldest = _first_free(rows, users, going)
        if oldest is None:
            break
        going[oldest.key] = oldest
        left -= sizes[oldest.key]
    return list(going.values())


def _first_free(
    rows: Iterable[Row], users: Mapping[str, set[str]], going: Collection[str]
) -> Row | None:
    """The oldest that does not go yet, and that only what goes needs."""
    return next(
        (
            row
            for row in rows
            if row.key not in going and users.get(row.key, set()) <= {*going, row.key}
        ),
        None,
    )
