"""Configs of nodes that never began: no metadata has them, but the record of their run does."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from huldra.catalog import reading
from huldra.catalog.config_fields import flatten
from huldra.catalog.reading import Mark, as_mapping, as_text
from huldra.catalog.records import (
    Dependencies,
    PackedConfig,
    pack_config,
    pack_dependencies,
)
from huldra.store.layout import StorePaths

MAX_BYTES = 64 << 20  # of a record that a list may wait for
_MAX_KEPT = 20  # runs
_FIELDS = frozenset({"chz", "dataclass", "namedtuple", "pydantic"})
_LISTS = frozenset({"tuple", "set", "frozenset"})
_PAIRS = frozenset({"dict", "ordereddict"})


class Planned(NamedTuple):
    """What a run's record says of one of its nodes."""

    config: PackedConfig
    dependencies: Dependencies


class RunConfigs:
    """The configs in the records of runs, read again only where a record has changed.

    One that is missing, or too large, is not opened for each of its nodes either. May be asked
    from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], tuple[Mark | None, Mapping[str, Planned]]] = (
            OrderedDict()
        )

    def of(self, root: str, run_id: str) -> Mapping[str, Planned]:
        """Key → config of each node of a run, as `planned_of`."""
        mark = reading.mark_of(StorePaths(root).run_nodes(run_id))
        with self._lock:
            kept = self._kept.get((root, run_id))
        if kept is not None and kept[0] == mark:
            return kept[1]
        planned = planned_of(root, run_id)
        with self._lock:
            self._kept[root, run_id] = mark, planned
            while len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        return planned


def planned_of(root: str, run_id: str) -> Mapping[str, Planned]:
    """Key → config of each node of a run; empty where the record cannot be read, or is too large.

    The configs are in the same plain form as in `metadata.json`, as far as that can be had
    without the classes.
    """
    keys: dict[str, str] = {}
    objects: dict[str, Mapping[str, Any]] = {}
    nodes: list[str] = []
    for line in _lines(StorePaths(root).run_nodes(run_id)):
        value, ref = as_mapping(line), as_text(as_mapping(line).get("ref"))
        objects[ref] = as_mapping(value.get("object"))
        node = as_mapping(value.get("node"))
        known = [as_text(node.get("key")), *as_mapping(node.get("directories"))]
        keys.update({key.rpartition("/")[2]: key for key in known})
        if node:
            nodes.append(ref)
    return {keys[ref]: _planned(objects[ref], objects, keys) for ref in nodes if ref in keys}


def _planned(
    entry: Mapping[str, Any], objects: Mapping[str, Mapping[str, Any]], keys: Mapping[str, str]
) -> Planned:
    config = {
        name: _plain(value, objects, keys)
        for name, value in as_mapping(entry.get("fields")).items()
    }
    found = []
    for path, leaf in flatten(config, 0, lambda _key: None).items():
        if isinstance(leaf, dict) and isinstance(leaf.get("$ref"), str):
            namespace, _, digest = leaf["$ref"].rpartition("/")
            found.append((path, namespace, digest))
    return Planned(pack_config(config), pack_dependencies(found))


def _lines(path: str) -> Iterator[Any]:
    """The lines of a record that are objects with a `ref`."""
    handle, _, _ = reading.open_regular(path, MAX_BYTES)
    if handle < 0:
        return
    with os.fdopen(handle, "rb") as file:
        for line in file:
            value, problem = reading.parse_json(line) if line.startswith(b"{") else (None, "-")
            if not problem and isinstance(value, dict) and "ref" in value:
                yield value


def _plain(value: Any, objects: Mapping[str, Mapping[str, Any]], keys: Mapping[str, str]) -> Any:
    """A value of a document for reading: forms of one key, `$path` and the like, are opened."""
    if isinstance(value, list):
        return [_plain(item, objects, keys) for item in value]
    if not isinstance(value, dict):
        return value
    ((name, body),) = value.items() if len(value) == 1 else (("", None),)
    if name == "$huldra":
        return {"$ref": keys.get(str(body)) or _key_of(str(body), objects)}
    if name[:1] == "$":
        return _plain_form(name[1:], body, objects, keys)
    return {key: _plain(item, objects, keys) for key, item in value.items()}


def _plain_form(
    tag: str, body: Any, objects: Mapping[str, Mapping[str, Any]], keys: Mapping[str, str]
) -> Any:
    if tag in _FIELDS:
        return _plain(dict(as_mapping(as_mapping(body).get("fields"))), objects, keys)
    inner = _plain(body, objects, keys)
    if tag in _PAIRS and isinstance(inner, list):
        return {
            str(pair[0]): pair[1] for pair in inner if isinstance(pair, list) and len(pair) == 2
        }
    if tag == "enum" and isinstance(inner, list):
        return inner[-1] if inner else None
    if tag == "lost":
        return f"<{inner}>"
    return inner


def _key_of(digest: str, objects: Mapping[str, Mapping[str, Any]]) -> str:
    named = as_text(objects.get(digest, {}).get("class"))
    return f"{named.replace(':', '/')}/{digest}"
