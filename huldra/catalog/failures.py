"""Failures grouped by error and place; the user and the line number do not matter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from huldra.catalog.records import FailureGroup, Row

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_DEPENDENCY = "HuldraDependencyError"


def groups(rows: Iterable[Row]) -> tuple[FailureGroup, ...]:
    """The groups of all failed and crashed rows, biggest first."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.result_status == "failed" or row.attempt_status in ("failed", "crashed"):
            found.setdefault(_cause(row), []).append(row)
    made = [_group(cause, members) for cause, members in found.items()]
    return tuple(sorted(made, key=lambda g: (-g.count, g.error_type, g.place)))


def _cause(row: Row) -> tuple[str, str]:
    if row.failed_key:
        return _DEPENDENCY, row.failed_key.rpartition("/")[0] or row.failed_key
    return row.error_type or row.status, row.error_place or row.namespace


def _group(cause: tuple[str, str], rows: list[Row]) -> FailureGroup:
    rows.sort(key=_when, reverse=True)
    times = [moment for row in rows if (moment := _when(row)) is not _LONG_AGO]
    return FailureGroup(
        group_id=hashlib.blake2s("\0".join(cause).encode(), digest_size=6).hexdigest(),
        error_type=cause[0],
        place=cause[1],
        count=len(rows),
        first_seen=times[-1] if times else None,
        last_seen=times[0] if times else None,
        namespaces=tuple(sorted({row.namespace for row in rows})),
        hostnames=tuple(sorted({row.hostname for row in rows if row.hostname})),
        sample_message=rows[0].error_message,
        rows=tuple(rows),
    )


def _when(row: Row) -> datetime:
    return row.ended_at or row.updated_at or _LONG_AGO
