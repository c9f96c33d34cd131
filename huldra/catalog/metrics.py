"""Metrics: the numbers in an artifact's top-level .json, .jsonl and .csv files."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from huldra.catalog.reading import parse_json
from huldra.catalog.records import Metrics
from huldra.catalog.safe_open import OutsideError, read_inside

MAX_FILES = 20
MAX_FILE_BYTES = 4 << 20
MAX_NAMES = 500
MAX_POINTS = 2000
_MAX_DEPTH = 5
STEP_COLUMNS = ("step", "global_step", "epoch", "iteration", "iter")


class Source(NamedTuple):
    """A file that may hold metrics, and the version of it."""

    name: str
    mtime_ns: int
    size: int


@dataclass(slots=True)
class _Found:
    """The numbers of one file."""

    values: dict[str, float] = field(default_factory=dict)
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


def sources(directory: str) -> tuple[Source, ...]:
    """The files of `directory` that may hold metrics, sorted by name."""
    try:
        with os.scandir(directory) as entries:
            found = [_source(e) for e in entries if e.name.endswith((".json", ".jsonl", ".csv"))]
    except OSError:
        return ()
    return tuple(sorted(source for source in found if source is not None))[:MAX_FILES]


def _source(entry: os.DirEntry[str]) -> Source | None:
    try:
        stat = entry.stat()
        return Source(entry.name, stat.st_mtime_ns, stat.st_size) if entry.is_file() else None
    except OSError:
        return None


def read_metrics(directory: str, files: Iterable[Source]) -> Metrics:
    """The numbers in these files; names that stand in several get the file's before them."""
    found: dict[str, _Found] = {}
    problems = []
    for source in files:
        try:
            found[source.name] = _read(directory, source)
        except (OSError, ValueError, csv.Error) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(f"{source.name}: {why}")
    uses = Counter(name for one in found.values() for name in one.values)
    values: dict[str, float] = {}
    series: dict[str, tuple[tuple[float, float], ...]] = {}
    for file, one in found.items():
        for name, value in one.values.items():
            full = name if uses[name] == 1 else f"{file.rpartition('.')[0]}.{name}"
            full = f"{file}.{name}" if full in values else full
            values[full] = value
            if len(one.series.get(name, ())) > 1:
                series[full] = _thin(one.series[name])
    return Metrics(values, series, tuple(problems))


def _read(directory: str, source: Source) -> _Found:
    if source.size > MAX_FILE_BYTES:
        raise OutsideError(f"{source.size} bytes are too many for metrics")
    data = read_inside(directory, source.name, MAX_FILE_BYTES)
    reader = _READERS[source.name.rpartition(".")[2]]
    return reader(data)


def _from_json(data: bytes) -> _Found:
    value, problem = parse_json(data)
    if problem:
        raise ValueError(problem)
    found = _Found()
    if isinstance(value, list):
        _add_records(found, (item for item in value if isinstance(item, dict)))
    else:
        for name, item in _leaves(value, "", 0):
            if isinstance(item, list):
                found.series[name] = [(float(i), float(v)) for i, v in enumerate(item)]
                found.values[name] = float(item[-1])
            else:
                found.values[name] = float(item)
            if len(found.values) >= MAX_NAMES:
                break
    return found


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if is_number(value):
        if path:
            yield path, value
    elif isinstance(value, dict) and depth < _MAX_DEPTH:
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, list) and path and value and all(map(is_number, value)):
        yield path, value


def is_number(value: Any) -> bool:
    """Return True if it is a number that a float can hold; a bool is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or value.bit_length() < 1000


def _from_jsonl(data: bytes) -> _Found:
    found = _Found()
    _add_records(found, _records(data))
    return found


def _records(data: bytes) -> Iterator[Mapping[str, Any]]:
    for line in data.decode("utf-8", "replace").splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue  # the last line may be half written
        if isinstance(record, dict):
            yield record


def _add_records(found: _Found, records: Iterable[Mapping[str, Any]]) -> None:
    for index, record in enumerate(records):
        numbers = {n: float(v) for n, v in _leaves(record, "", 0) if not isinstance(v, list)}
        step = next((numbers[c] for c in STEP_COLUMNS if c in numbers), float(index))
        for name, value in numbers.items():
            is_full = len(found.values) >= MAX_NAMES and name not in found.values
            if name in STEP_COLUMNS or is_full:
                continue
            found.values[name] = value
            found.series.setdefault(name, []).append((step, value))


def _from_csv(data: bytes) -> _Found:
    found = _Found()
    lines = data.decode("utf-8", "replace").replace("\0", "").splitlines()
    rows = csv.DictReader(lines)
    _add_records(found, ({n: v for n, v in map(_cell, row.items()) if n} for row in rows))
    return found


def _cell(item: tuple[str | Any, str | Any]) -> tuple[str, Any]:
    name, text = item
    if not isinstance(name, str) or not isinstance(text, str):
        return "", None  # more cells than columns, or fewer
    try:
        return name.strip(), float(text)
    except ValueError:
        return "", None


_READERS: dict[str, Callable[[bytes], _Found]] = {
    "json": _from_json,
    "jsonl": _from_jsonl,
    "csv": _from_csv,
}


def _thin(points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """At most `MAX_POINTS` of the points, evenly, the last one among them."""
    if len(points) <= MAX_POINTS:
        return tuple(points)
    stride = -(-len(points) // MAX_POINTS)
    return tuple(points[(len(points) - 1) % stride :: stride])
