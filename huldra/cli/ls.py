"""`huldra ls`."""

from __future__ import annotations

import argparse
from typing import Any

from huldra.catalog import Catalog, Page, Query, Row, Snapshot, presentation
from huldra.catalog.query import MAX_LIMIT
from huldra.cli import output

_COLUMNS = ("status", "class", "hash", "updated", "took", "host", "backend")


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """List what the options ask for."""
    snapshot = catalog.snapshot(max_age_s=0)
    page = snapshot.query(_query(options))
    if options.keys:
        output.write("".join(f"{output.clean(row.key)}\n" for row in page.rows))
    elif options.json:
        output.write_json([as_json(row) for row in page.rows])
    else:
        _write_table(snapshot, page, _fields(options), catalog.roots)
    return 0


def _query(options: argparse.Namespace) -> Query:
    return Query(
        result_status=tuple(options.result),
        attempt_status=tuple(options.attempt),
        namespace=tuple(options.namespace),
        backend=tuple(options.backend),
        hostname=tuple(options.hostname),
        user=tuple(options.user),
        started_after=options.started_after,
        started_before=options.started_before,
        updated_after=options.updated_after,
        updated_before=options.updated_before,
        config=options.where,
        text=options.text,
        sort=options.sort,
        offset=options.offset,
        limit=options.limit or MAX_LIMIT,
    )


def _fields(options: argparse.Namespace) -> list[str]:
    return [name.strip() for name in options.fields.split(",") if name.strip()]


def _write_table(snapshot: Snapshot, page: Page, fields: list[str], roots: tuple[str, ...]) -> None:
    lines = [_line(snapshot, row, fields) for row in page.rows]
    last = page.offset + len(page.rows)
    note = f"{page.offset + 1 if lines else 0}–{last} of {page.total} in {', '.join(roots)}"
    output.write_table([*_COLUMNS, *fields], lines, output.clean(note))


def _line(snapshot: Snapshot, row: Row, fields: list[str]) -> list[str]:
    for_a_person = output.is_terminal()
    return [
        "unreadable" if row.problem else row.status,
        row.class_name if for_a_person else row.namespace,
        row.digest[:12] if for_a_person else row.digest,
        output.age(row.updated_at, snapshot.taken_at),
        _took(row, for_a_person),
        row.hostname,
        row.backend,
        *(output.value_text(snapshot.config_value(row, name)) for name in fields),
    ]


def _took(row: Row, for_a_person: bool) -> str:
    if for_a_person:
        return presentation.duration(row.duration_s)
    return "" if row.duration_s is None else f"{row.duration_s:g}"


def as_json(row: Row) -> dict[str, Any]:
    """A row with its derived names, as the JSON outputs have it."""
    return {
        "key": row.key,
        "status": row.status,
        "directory": row.directory,
        **presentation.plain(row),
    }
