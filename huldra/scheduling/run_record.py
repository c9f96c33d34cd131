"""The record of one dispatch on disk: `graph.json` for those who look, `nodes.jsonl` for workers.

A worker reads its node and the configs in it, not the whole run: a sweep of large configs would
else fill the memory of every worker. So the file for workers has an index at its end, in lines of
one width, in which a config is found by bisection:

    facts of the run                                    what all nodes have in common
    {"ref": "<hash>", "object": {…}, "node": {…}}       each config, nodes among them
    …
    ["<hash>", offset, length]                          sorted by hash
    …
    {"index": offset, "count": count}                   the last line

Up to the version before this one, workers read all of it from `graph.json`, and that is still read.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from huldra.store import files
from huldra.store.layout import StorePaths

_INDEX_ENTRY = '["{:32}",{:15d},{:15d}]\n'
_TRAILER = '{{"index":{:15d},"count":{:15d}}}\n'
_ENTRY_BYTES = len(_INDEX_ENTRY.format("", 0, 0))
_TRAILER_BYTES = len(_TRAILER.format(0, 0))
_REF_BYTES = 32
_KEPT_BYTES = 4 << 20  # a file up to this size stays in memory; of a larger one a node is read


def write(
    paths: StorePaths,
    facts: Mapping[str, Any],
    graph: Mapping[str, Any],
    nodes: Iterable[tuple[str, Mapping[str, Any]]],
    node_of: Callable[[str], Mapping[str, Any] | None],
    objects: Iterable[tuple[str, Mapping[str, Any]]],
) -> None:
    """Write both files of the run that the facts name; `graph.json` comes last.

    `facts` are what all nodes have in common; `graph` is what is of use to those who look, beside
    the facts and `nodes`, which are the nodes' records by their keys. `node_of` gives the record
    for a worker of the node of a hash, None for a config that is no node; `objects` are all configs
    in the nodes. All are written as they come and not held. Raises `HuldraStoreError`.
    """
    run_id = facts["run_id"]
    files.write_parts(paths.run_nodes(run_id), _lines(facts, node_of, objects))
    files.write_parts(paths.run_record(run_id), _graph_parts({**facts, **graph}, nodes))


def _graph_parts(
    record: Mapping[str, Any], nodes: Iterable[tuple[str, Mapping[str, Any]]]
) -> Iterator[bytes]:
    """The JSON object `{…record, "nodes": {…}}`, a node at a time."""
    yield files.object_bytes(dict(record)).rstrip().removesuffix(b"}")
    yield b', "nodes": {'
    separator = b""
    for key, node in nodes:
        yield separator + files.object_bytes({key: dict(node)}).rstrip()[1:-1]
        separator = b", "
    yield b"}}\n"


def _lines(
    facts: Mapping[str, Any],
    node_of: Callable[[str], Mapping[str, Any] | None],
    objects: Iterable[tuple[str, Mapping[str, Any]]],
) -> Iterator[bytes]:
    line = files.object_bytes(dict(facts))
    offset = len(line)
    yield line
    index = []
    for ref, written in objects:
        node = node_of(ref)
        words = {"ref": ref, "object": written}
        if node is not None:
            words = {"ref": ref, "node": node, "object": written}
        line = files.object_bytes(words)
        index.append((ref, offset, len(line)))
        offset += len(line)
        yield line
    for entry in sorted(index):
        yield _INDEX_ENTRY.format(*entry).encode("ascii")
    yield _TRAILER.format(offset, len(index)).encode("ascii")


class RunRecord(Protocol):
    """What a worker reads of a run."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What all nodes have in common."""
        ...

    @property
    def read_bytes(self) -> int:
        """How much was read from disk so far, of a record that is not in memory."""
        ...

    def node(self, key: str) -> Mapping[str, Any] | None:
        """The record of a node, None for a key that is not in the run."""
        ...

    def objects(self) -> Mapping[str, dict[str, Any]]:
        """The configs by their hashes, each read when it is asked for; for one use."""
        ...

    def dependents(self, key: str) -> Iterable[str]:
        """The nodes of the run that need this one straight."""
        ...


def read(run_path: str) -> RunRecord | None:
    """The record whose `graph.json` this is; None where it is gone or no record."""
    try:
        return _Indexed(StorePaths.nodes_beside(run_path))
    except FileNotFoundError:
        record = files.read_object(run_path)  # of a version before this one, perhaps
        return _Whole(record) if record is not None and "objects" in record else None
    except (ValueError, KeyError, TypeError):
        return None  # cut off, or something else
    except OSError as error:
        raise files.store_error(error, "read", run_path) from error


class _Whole:
    """The record of a version before this one: all of it is in memory."""

    read_bytes = 0

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.facts = record
        self._by_need: dict[str, list[str]] = {}
        for key, node in record["nodes"].items():
            for need in node["after"]:
                self._by_need.setdefault(need, []).append(key)

    def node(self, key: str) -> Mapping[str, Any] | None:
        node: Mapping[str, Any] | None = self.facts["nodes"].get(key)
        if node is None:
            return None
        directories = self.facts["directories"]
        return {**node, "directories": {need: directories[need] for need in node["needs"]}}

    def objects(self) -> Mapping[str, dict[str, Any]]:
        objects: Mapping[str, dict[str, Any]] = self.facts["objects"]
        return objects

    def dependents(self, key: str) -> Iterable[str]:
        return self._by_need.get(key, ())


class _Indexed:
    """A record of which a worker has the facts and the index in memory, and reads a node at a time.

    The file is open only while something is read: user code may close descriptors of others.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.read_bytes = 0
        self._last: tuple[str, dict[str, Any] | None] = ("", None)
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TRAILER_BYTES))
            trailer = json.loads(file.read())
            file.seek(trailer["index"])
            self._index = file.read(trailer["count"] * _ENTRY_BYTES)
            file.seek(0)
            self.facts: Mapping[str, Any] = json.loads(file.readline())
            file.seek(0)
            self._kept = file.read() if size <= _KEPT_BYTES else None

    def node(self, key: str) -> Mapping[str, Any] | None:
        line = self.line(key.rpartition("/")[2])
        node: Mapping[str, Any] | None = line.get("node") if line else None
        return node if node is not None and node["key"] == key else None

    def objects(self) -> Mapping[str, dict[str, Any]]:
        return _Objects(self)

    def dependents(self, key: str) -> Iterable[str]:
        node = self.node(key)
        return node["dependents"] if node else ()

    def line(self, ref: str) -> dict[str, Any] | None:
        """What the file says of the config of this hash; None for one that is not in the run."""
        if self._last[0] != ref:
            self._last = ref, self._read(ref)  # a node is asked for, and then its config
        return self._last[1]

    def _read(self, ref: str) -> dict[str, Any] | None:
        place = self._find(ref.encode("ascii", "replace"))
        if place is None:
            return None
        offset, length = place
        if self._kept is not None:
            return files.parse_object(self._kept[offset : offset + length])
        self.read_bytes += length
        return files.parse_object(files.read_piece(self._path, offset, length))

    def _find(self, ref: bytes) -> tuple[int, int] | None:
        count = len(self._index) // _ENTRY_BYTES
        number = bisect_left(range(count), ref, key=self._ref_at)
        if number == count or self._ref_at(number) != ref:
            return None
        entry = self._index[number * _ENTRY_BYTES : (number + 1) * _ENTRY_BYTES]
        _, offset, length = json.loads(entry)
        return offset, length

    def _ref_at(self, number: int) -> bytes:
        at = number * _ENTRY_BYTES + 2  # behind the bracket and the quote
        return self._index[at : at + _REF_BYTES]


class _Objects(Mapping[str, dict[str, Any]]):
    """The configs of a run, read when they are asked for, and held as long as this is."""

    def __init__(self, record: _Indexed) -> None:
        self._record = record
        self._read: dict[str, dict[str, Any]] = {}

    def __getitem__(self, ref: str) -> dict[str, Any]:
        if ref not in self._read:
            line = self._record.line(ref)
            if line is None:
                raise KeyError(ref)
            self._read[ref] = line["object"]
        return self._read[ref]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)
