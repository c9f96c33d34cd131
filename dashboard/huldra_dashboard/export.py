"""All matching rows as a file: every config field and every metric, as text that is no formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from huldra.catalog import Catalog, Row, Snapshot, presentation
from huldra.catalog.config_fields import flatten

_FIXED = ("namespace", "hash", "name", "status", "updated_at", "started_at", "duration_s", "host")
_FORMULA = ("=", "+", "-", "@", "\t")


def records(
    rows: Sequence[Row], names: dict[str, str], catalog: Catalog, snapshot: Snapshot
) -> list[dict[str, Any]]:
    """One record for each row: what it is, `config.<path>` and `metrics.<name>`."""
    found = []
    for row in rows:
        fixed = (row.namespace, row.digest, names.get(row.key, ""), row.status)
        times = (row.updated_at, row.started_at, row.duration_s, row.hostname)
        record = dict(zip(_FIXED, presentation.plain([*fixed, *times]), strict=True))
        config = flatten(row.config or {}, 1, snapshot.config_of)
        record |= {f"config.{path}": presentation.plain(value) for path, value in config.items()}
        metrics = catalog.metrics_summary(row)
        for name, value in metrics.values.items():
            record[f"metrics.{name}"] = presentation.plain(value)
        for name, extent in metrics.extents.items():
            record[f"metrics.{name}:min"] = presentation.plain(extent.min)
            record[f"metrics.{name}:max"] = presentation.plain(extent.max)
        found.append(record)
    return found


def as_json(records_: Sequence[dict[str, Any]]) -> bytes:
    """A JSON array."""
    return json.dumps(records_, indent=1, ensure_ascii=False).encode("utf-8", "replace")


def as_csv(records_: Sequence[dict[str, Any]]) -> bytes:
    """A table with a column for each name that occurs; text that begins a formula is quoted."""
    columns = dict.fromkeys(name for record in records_ for name in record)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="")
    writer.writeheader()
    for record in records_:
        writer.writerow({name: _cell(value) for name, value in record.items()})
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        value = value.replace("\0", "")
        return f"'{value}" if value.startswith(_FORMULA) else value
    return "" if value is None else value
