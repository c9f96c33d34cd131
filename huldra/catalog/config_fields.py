"""The config fields of many artifacts: which there are, and which tell them apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from huldra.catalog.filters import Lookup
from huldra.catalog.records import Row

_MAX_FIELDS = 2000  # per artifact: a config with more is data, not parameters
_MAX_LIST = 20


def flatten(config: Mapping[str, Any], depth: int, lookup: Lookup) -> dict[str, Any]:
    """Dotted path → value, for every leaf; nested artifacts entered `depth` deep."""
    leaves: dict[str, Any] = {}
    for path, value in _walk(config, "", depth, lookup):
        leaves[path] = value
        if len(leaves) >= _MAX_FIELDS:
            break
    return leaves


def _walk(value: Any, path: str, depth: int, lookup: Lookup) -> Iterator[tuple[str, Any]]:
    key = value.get("$ref") if isinstance(value, dict) else None
    if isinstance(key, str):
        inner = lookup(key) if depth > 0 else None
        if inner is None:
            yield path, value
            return
        yield from _walk(inner, path, depth - 1, lookup)
    elif isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _walk(item, _join(path, name), depth, lookup)
    elif isinstance(value, list) and 0 < len(value) <= _MAX_LIST and _has_structure(value):
        for index, item in enumerate(value):
            yield from _walk(item, f"{path}[{index}]", depth, lookup)
    elif path:
        yield path, value


def _join(path: str, name: str) -> str:
    if name.isidentifier():
        return f"{path}.{name}" if path else name
    quote = '"' if "'" in name else "'"
    return f"{path}[{quote}{name}{quote}]"


def _has_structure(items: list[Any]) -> bool:
    return any(isinstance(item, dict | list) for item in items)


def paths_of(rows: Sequence[Row], depth: int, lookup: Lookup) -> set[str]:
    """All paths that occur."""
    found: set[str] = set()
    for row in rows:
        found.update(flatten(row.config or {}, depth, lookup))
    return found


def differing(rows: Sequence[Row], depth: int, lookup: Lookup) -> set[str]:
    """The paths whose values are not the same in all rows."""
    if len(rows) < 2:
        return set()
    flat = [flatten(row.config or {}, depth, lookup) for row in rows]
    first, others = flat[0], flat[1:]
    paths = set().union(*flat)
    return {path for path in paths if any(not _same(path, first, other) for other in others)}


def _same(path: str, one: dict[str, Any], other: dict[str, Any]) -> bool:
    return path in one and path in other and same(one[path], other[path])


def same(one: Any, other: Any) -> bool:
    """Equal in value and type: 1, 1.0 and True are three values, NaN equals itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping):
        return set(one) == set(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)
