"""Values of configs and metrics as the cells of tables, and the fields that are worth a column."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from huldra.catalog import Row, Snapshot
from huldra_dashboard.markup import plain, shorten

MAX_CONFIG_COLUMNS = 8
_CELL = 300  # characters of a value in a table


def telling_fields(rows: Sequence[Row], snapshot: Snapshot) -> list[str]:
    """The config fields worth a column: those that vary and that most of `rows` have."""
    coverage = {}
    for path in snapshot.varying_fields(rows):
        texts = [cell(v) for row in rows if (v := snapshot.config_value(row, path)) is not None]
        if len(set(texts)) > 1:
            coverage[path] = len(texts)
    ranked = sorted(coverage, key=lambda path: (-coverage[path], path.count("."), path))
    return ranked[:MAX_CONFIG_COLUMNS]


def column(values: Sequence[object]) -> list[Any]:
    """Values of one type for a column: numbers and booleans as such, all else as short text."""
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, bool) for value in present):
        return [None if value is None else bool(value) for value in values]
    if present and all(is_number(value) for value in present):
        return [math.nan if value is None else value for value in values]
    return [None if value is None else cell(value) for value in values]


def is_number(value: object) -> bool:
    """Return True if a table's column of numbers can hold it (no integer beyond 64 bits)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < 2**53


def cell(value: object) -> str:
    """One value as short text; a nested artifact as class and hash."""
    if isinstance(value, str):
        return shorten(plain(value), _CELL)
    if isinstance(value, Mapping) and set(value) == {"$ref"}:
        return reference_label(str(value["$ref"]))
    return shorten(plain(json.dumps(_jsonable(value), ensure_ascii=False, default=str)), _CELL)


def _jsonable(value: object) -> object:
    """The value with nested artifacts as their labels."""
    if isinstance(value, Mapping):
        if set(value) == {"$ref"}:
            return reference_label(str(value["$ref"]))
        return {str(name): _jsonable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return value


def reference_label(key: str) -> str:
    """`Dataset 1a2b3c4d` for `my_project.data/Dataset/1a2b3c4d…`."""
    namespace, _, digest = key.rpartition("/")
    return plain(f"{namespace.rpartition('/')[2]} {digest[:8]}")


def cell_or_number(value: object) -> object:
    """A number as it is, anything else as short text."""
    return value if is_number(value) else "" if value is None else cell(value)
