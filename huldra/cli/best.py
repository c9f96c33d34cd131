"""`huldra best`: the artifacts of a class with the best value of a metric."""

from __future__ import annotations

import argparse
import difflib
import math
from collections.abc import Mapping

from huldra.catalog import Catalog, Query, Row, Snapshot
from huldra.catalog.query import METRICS
from huldra.cli import output
from huldra.cli.output import CommandError

_MAX_FIELDS = 8


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """Print the complete artifacts of a class, the best value first, and the fields that vary."""
    snapshot = catalog.snapshot(max_age_s=0)
    rows = _of_class(snapshot, options)
    values = _values(catalog, rows, options.metric.removeprefix(METRICS))
    ranked = sorted(
        (row for row in rows if row.key in values),
        key=lambda row: values[row.key],
        reverse=not options.min,
    )[: options.limit or None]
    fields = snapshot.varying_fields(rows)[:_MAX_FIELDS]
    if options.json:
        output.write_json([_as_json(snapshot, row, values, fields) for row in ranked])
        return 0
    lines = [
        [
            f"{values[row.key]:.6g}",
            row.digest[:12] if output.is_terminal() else row.digest,
            *(output.value_text(snapshot.config_value(row, field)) for field in fields),
        ]
        for row in ranked
    ]
    output.write_table((options.metric, "hash", *fields), lines)
    return 0


def _as_json(
    snapshot: Snapshot, row: Row, values: Mapping[str, float], fields: tuple[str, ...]
) -> dict[str, object]:
    return {
        "key": row.key,
        "value": values[row.key],
        "directory": row.directory,
        "fields": {field: snapshot.config_value(row, field) for field in fields},
    }


def _of_class(snapshot: Snapshot, options: argparse.Namespace) -> list[Row]:
    """The complete artifacts of the class, by its name alone or with its module."""
    wanted = options.kind.replace(":", "/")
    query = Query(result_status=("success",), config=options.where)
    everything = snapshot.matching(query)
    named = {
        row.namespace
        for row in snapshot.rows
        if wanted in (row.class_name, row.namespace, row.namespace.replace("/", "."))
    }
    if not named:
        known = sorted({row.class_name for row in snapshot.rows})
        near = difflib.get_close_matches(wanted.rpartition("/")[2], known)
        raise CommandError(
            f"no artifact of a class {options.kind!r}"
            + (f"; near it: {', '.join(near)}" if near else "")
        )
    if len(named) > 1:
        raise CommandError(f"{options.kind!r} may mean {', '.join(sorted(named))}; name one")
    return [row for row in everything if row.namespace in named]


def _values(catalog: Catalog, rows: list[Row], metric: str) -> dict[str, float]:
    """The values of the metric by key; NaN is no value. Raises where no artifact has one."""
    measured = {row.key: catalog.metrics(row).values for row in rows}
    values = {
        key: found[metric]
        for key, found in measured.items()
        if metric in found and not math.isnan(found[metric])
    }
    if not values:
        known = sorted({name for found in measured.values() for name in found})
        near = difflib.get_close_matches(metric, known) or known[:_MAX_FIELDS]
        raise CommandError(
            f"none of {len(rows)} complete artifacts has a metric {metric!r}"
            + (f"; near it: {', '.join(near)}" if near else "")
        )
    return values
