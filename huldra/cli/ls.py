"""`huldra ls`."""

from __future__ import annotations

import argparse
import difflib
from dataclasses import replace
from typing import Any

from huldra.catalog import Catalog, Page, Query, Row, Snapshot, presentation
from huldra.catalog.filters import fields_of
from huldra.catalog.query import CONFIG_SORT, MAX_LIMIT, METRICS, order_key
from huldra.cli import output
from huldra.errors import HuldraQueryError
from huldra.provenance import code_difference, code_store
from huldra.store.layout import ArtifactPaths

_COLUMNS = ("status", "class", "hash", "updated", "took", "host", "backend")
_SAMPLE = 1000  # artifacts whose fields are looked through for one that was meant
_MAX_NEAR = 8
_MAX_CODE_CELLS = 500


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """List what the options ask for; exit code 1 where a part of the store cannot be read."""
    snapshot = catalog.snapshot(max_age_s=0)
    query = _query(options)
    _refuse_unknown_fields(snapshot, query, _fields(options))
    page = _page(catalog, snapshot, query)
    if options.keys:
        output.write("".join(f"{output.clean(row.key)}\n" for row in page.rows))
    elif options.json:
        output.write_json([as_json(row) for row in page.rows])
    else:
        _write_table(_Columns(catalog, snapshot, options), page, catalog.roots)
    if snapshot.problems:
        output.write_problems(
            "could not be listed; their artifacts are missing above", snapshot.problems
        )
    return 1 if snapshot.problems else 0


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


def _refuse_unknown_fields(snapshot: Snapshot, query: Query, shown: list[str]) -> None:
    """Raise for a config field that none of the artifacts in question has: most often a slip."""
    named = [("--where", name) for name in fields_of(query.config)]
    named += [("--fields", name) for name in shown]
    if query.sort.lstrip("-").startswith(CONFIG_SORT):
        named.append(("--sort", query.sort.lstrip("-").removeprefix(CONFIG_SORT)))
    rows = snapshot.matching(replace(query, config="", sort=Query.sort)) if named else ()
    rows = tuple(row for row in rows if row.config is not None)
    for option, name in named:
        is_metric = option != "--where" and name.startswith(METRICS)
        if rows and not is_metric and not snapshot.has_field(rows, name):
            known = snapshot.config_fields(rows[:_SAMPLE])
            near = difflib.get_close_matches(name, known) or known[:_MAX_NEAR]
            raise HuldraQueryError(
                f"{option}: none of the selected artifacts has a field {name!r}"
                + (f"; near it: {', '.join(near)}" if near else ""),
                field="config",
                value=name,
            )


def _page(catalog: Catalog, snapshot: Snapshot, query: Query) -> Page:
    """Ask the snapshot, or sort by a metric, which only the files of each artifact tell."""
    name = query.sort.lstrip("-")
    if not name.startswith(METRICS):
        return snapshot.query(query)
    rows = snapshot.matching(replace(query, sort=Query.sort))
    values = {id(row): catalog.metrics(row).values.get(name.removeprefix(METRICS)) for row in rows}
    known = [row for row in rows if values[id(row)] is not None]
    known.sort(key=lambda row: order_key(values[id(row)]), reverse=query.sort.startswith("-"))
    rows = (*known, *(row for row in rows if values[id(row)] is None))
    page = rows[query.offset : query.offset + query.limit]
    return Page(page, len(rows), query.offset, query.limit)


class _Columns:
    """What a line of the table has, beyond what every line has."""

    def __init__(self, catalog: Catalog, snapshot: Snapshot, options: argparse.Namespace) -> None:
        self._catalog = catalog
        self._snapshot = snapshot
        self._fields = _fields(options)
        asked = {*options.result, *options.attempt}
        self._errors = bool(asked & {"failed", "crashed"})

    def header(self) -> list[str]:
        """The names of the columns."""
        return [*_COLUMNS, *self._fields, *(("error",) if self._errors else ())]

    def line(self, row: Row) -> list[str]:
        """One artifact's cells."""
        for_a_person = output.is_terminal()
        return [
            "unreadable" if row.problem else row.status,
            row.class_name if for_a_person else row.namespace,
            row.digest[:12] if for_a_person else row.digest,
            output.age(row.updated_at, self._snapshot.taken_at),
            _took(row, for_a_person),
            row.hostname,
            row.backend,
            *(output.value_text(self._value(row, name)) for name in self._fields),
            *((presentation.error_text(row, on_one_line=True),) if self._errors else ()),
        ]

    def _value(self, row: Row, name: str) -> object:
        """A config field, else a metric."""
        value = self._snapshot.config_value(row, name)
        if value is None and name.startswith(METRICS):
            return self._catalog.metrics(row).values.get(name.removeprefix(METRICS))
        return value


def _write_table(columns: _Columns, page: Page, roots: tuple[str, ...]) -> None:
    lines = [columns.line(row) for row in page.rows]
    header = columns.header()
    if any(code := _code_cells(page)):
        header.append("code")
        lines = [[*line, cell] for line, cell in zip(lines, code, strict=True)]
    last = page.offset + len(page.rows)
    note = f"{page.offset + 1 if lines else 0}–{last} of {page.total} in {', '.join(roots)}"
    output.write_table(header, lines, output.clean(note))


def _code_cells(page: Page) -> list[str]:
    """Return for each line what other code computed it, if any; a long page is not looked at."""
    if len(page.rows) > _MAX_CODE_CELLS:
        return []
    found = (
        code_difference.of_disk(paths, code_store.read_metadata(paths))
        for paths in (ArtifactPaths(row.directory) for row in page.rows)
    )
    return ["" if difference is None else str(difference) for difference in found]


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
