"""Configs as rows of a table: what the store says of each, and in what they differ.

To look changes nothing: no attempt is queued, retried or released, no byte is written, no engine
is asked and no `_load` runs.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from huldra.catalog import presentation
from huldra.catalog.config_fields import flatten, same
from huldra.catalog.progress import read_progress
from huldra.catalog.query import METRICS
from huldra.catalog.records import Row
from huldra.catalog.runs import status_of
from huldra.catalog.scan import Catalog
from huldra.catalog.walk import Place
from huldra.config import documents
from huldra.config.config_object import ConfigObject
from huldra.config.hashing import children_of, digest_of, key_of, namespace_of
from huldra.settings import HULDRA_CONFIG

_DEPTH = 8  # how deep configs in configs are taken apart into columns


def statuses(members: Mapping[str, Any]) -> dict[str, str]:
    """Return how far each config is, by name; one without any attempt is `absent`."""
    found = _looked_up(Catalog([HULDRA_CONFIG.root]), members.values())
    return {name: status_of(row) for name, row in zip(members, found, strict=True)}


def _looked_up(catalog: Catalog, objects: Iterable[Any]) -> list[Row]:
    """Return the catalog's row of each config, in their order, read now."""
    return catalog.rows_at([_place_of(catalog.roots[0], obj) for obj in objects])


def _place_of(root: str, obj: ConfigObject) -> Place:
    cls = type(obj)
    return Place(root, cls.__huldra_version_controlled__, namespace_of(cls), digest_of(obj))


def rows(members: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row per config, by what the store says.

    The columns: `name`, `class`, `hash`, `status`, `duration_s` (of the last attempt, seconds),
    `error` (None without one), the config fields that differ between members, those of nested
    configs by their paths (`data.name`), and `metrics.<name>`: the last value of each number in
    the artifact's `.json`, `.jsonl` and `.csv` files.
    """
    catalog = Catalog([HULDRA_CONFIG.root])
    found = _looked_up(catalog, members.values())
    configs = config_columns(members.values())
    return [
        {
            "name": name,
            "class": row.class_name,
            "hash": row.digest,
            "status": status_of(row),
            "duration_s": row.duration_s,
            "error": presentation.error_text(row) or None,
            **_progress(row),
            **config,
            **_metrics(catalog, row),
        }
        for name, row, config in zip(members, found, configs, strict=True)
    ]


def _progress(row: Row) -> dict[str, float]:
    """How far a running artifact is, where it has reported that."""
    found = read_progress(row.directory) if status_of(row) == "running" else None
    if found is None or found.fraction is None:
        return {}
    left = {} if found.remaining_s is None else {"remaining_s": round(found.remaining_s, 1)}
    return {"progress": round(found.fraction, 4), **left}


def _metrics(catalog: Catalog, row: Row) -> dict[str, float]:
    if status_of(row) == "absent":
        return {}
    values = catalog.metrics(row).values
    return {f"{METRICS}{name}": value for name, value in values.items()}


def config_columns(objects: Iterable[Any]) -> list[dict[str, Any]]:
    """Return for each config its values of the fields that differ among all of them."""
    objects = list(objects)
    known: dict[str, Mapping[str, Any]] = {}
    for obj in objects:
        _remember(obj, known)
    flat = [flatten(known[key_of(obj)], _DEPTH, known.get) for obj in objects]
    varying = [
        path for path in dict.fromkeys(p for one in flat for p in one) if _varies(path, flat)
    ]
    return [{path: one.get(path) for path in varying} for one in flat]


def _remember(obj: ConfigObject, known: dict[str, Mapping[str, Any]]) -> None:
    """Add the plain view of a config, and of all configs in it, under their keys."""
    rest = [obj]
    while rest:
        one = rest.pop()
        key = key_of(one)
        if key not in known:
            known[key] = documents.plain_config(one)
            rest += [child for _, child in children_of(one)]


def _varies(path: str, flat: list[dict[str, Any]]) -> bool:
    first = flat[0]
    return any(
        (path in one) != (path in first) or not same(one.get(path), first.get(path)) for one in flat
    )


def frame(table: list[dict[str, Any]]) -> Any:
    """Return the rows as a `pandas.DataFrame`; raise `ImportError` where pandas is missing."""
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise ImportError(
            "frame() needs pandas, which is not installed: pip install 'pandas>=2.2';"
            " rows() gives the same as a list of dicts"
        ) from error
    return pandas.DataFrame(table)
