"""Metrics: the numbers in an artifact's top-level .json, .jsonl and .csv files.

A metric's name follows from the file's name and the name in the file alone, whatever other files
lie beside it, so that one name is the same quantity in every artifact of a class. In the files
`PLAIN_FILES` it is the name itself (`loss`); in all others the file's name stands before it
(`test.loss` in `test.json`). Where two of the `PLAIN_FILES` have a name, the summary (`*.json`)
gives the value and the lines (`*.jsonl`, `*.csv`) give the curve.
"""

from __future__ import annotations

import csv
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from huldra.catalog.curves import MAX_NAMES, MAX_WHOLE_BYTES, Curve, Lines, leaves, read_lines
from huldra.catalog.reading import parse_json
from huldra.catalog.records import Extent, Metrics, Row
from huldra.catalog.safe_open import OutsideError, open_inside, read_inside

PLAIN_FILES = ("metrics", "summary", "results", "history", "progress")
"""Names of files, without ending, whose metrics have no file's name; the first ones win."""
MAX_FILES = 20
MAX_FILE_BYTES = 4 << 20
"""Of a .json file, which must be read whole."""
_ENDINGS = (".json", ".jsonl", ".csv")
_MAX_KEPT = 2000  # artifacts whose curves are kept
_MAX_SUMMARIES = 200_000
_TRUSTED_S = 60.0  # a list looks again at the files of what is over after this time


class Source(NamedTuple):
    """A file that may hold metrics, and the version of it."""

    name: str
    mtime_ns: int
    size: int
    inode: int


@dataclass(slots=True)
class _Found:
    """The numbers of one file."""

    values: dict[str, float] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)


class MetricsReader:
    """Reads metrics, and reads files that grew from where they were read to.

    All methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[tuple[Source, ...], Metrics, dict[str, Lines]]] = (
            OrderedDict()
        )
        self._summaries: OrderedDict[str, tuple[Row, float, Metrics]] = OrderedDict()

    def read(self, directory: str) -> Metrics:
        """The metrics of an artifact as they are now; unchanged files cost one `stat` each."""
        found = sources(directory)
        with self._lock:
            kept = self._kept.get(directory)
            if kept is not None and kept[0] == found:
                self._kept.move_to_end(directory)
                return kept[1]
        lines = dict(kept[2]) if kept else {}
        metrics = read_metrics(directory, found, lines)
        with self._lock:
            self._kept[directory] = found, metrics, lines
            while len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        return metrics

    def summary(self, row: Row) -> Metrics:
        """The same without `series`, for lists of very many rows.

        The files of an artifact that is over and has not changed are looked at once a minute.
        """
        with self._lock:
            known = self._summaries.get(row.directory)
        if known is not None and known[0] is row and time.monotonic() < known[1]:
            return known[2]
        metrics = self.read(row.directory)
        short = Metrics(metrics.values, {}, metrics.problems, metrics.extents)
        until = 0.0 if row.is_open else time.monotonic() + _TRUSTED_S
        with self._lock:
            self._summaries[row.directory] = row, until, short
            while len(self._summaries) > _MAX_SUMMARIES:
                self._summaries.popitem(last=False)
        return short


def sources(directory: str) -> tuple[Source, ...]:
    """The files of `directory` that may hold metrics, sorted by name."""
    try:
        with os.scandir(directory) as entries:
            found = [_source(e) for e in entries if e.name.endswith(_ENDINGS)]
    except OSError:
        return ()
    return tuple(sorted(source for source in found if source is not None))[:MAX_FILES]


def _source(entry: os.DirEntry[str]) -> Source | None:
    try:
        stat = entry.stat()
        if not entry.is_file():
            return None
        return Source(entry.name, stat.st_mtime_ns, stat.st_size, stat.st_ino)
    except OSError:
        return None


def read_metrics(
    directory: str, files: Iterable[Source], lines: dict[str, Lines] | None = None
) -> Metrics:
    """The numbers in these files; `lines` is what was read of files of lines, and is updated."""
    lines = {} if lines is None else lines
    found: list[tuple[str, _Found]] = []
    problems = []
    for source in sorted(files, key=_precedence):
        try:
            one, problem = _read(directory, source, lines)
        except (OSError, ValueError, csv.Error) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(f"{source.name}: {why}")
            continue
        problems += [f"{source.name}: {problem}"] if problem else []
        found.append((source.name, one))
    return _merged(found, tuple(sorted(problems)))


def _precedence(source: Source) -> tuple[bool, int, str]:
    """Summaries before lines, the plain files in their order, then the others by name."""
    stem, _, ending = source.name.rpartition(".")
    order = PLAIN_FILES.index(stem) if stem in PLAIN_FILES else len(PLAIN_FILES)
    return ending != "json", order, source.name


def _merged(found: list[tuple[str, _Found]], problems: tuple[str, ...]) -> Metrics:
    values: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    for file, one in found:
        stem = file.rpartition(".")[0]
        prefix = "" if stem in PLAIN_FILES else f"{stem}."
        for name, value in one.values.items():
            values.setdefault(prefix + name, value)
        for name, curve in one.curves.items():
            curves.setdefault(prefix + name, curve)
    return Metrics(
        values,
        {name: curve.series() for name, curve in curves.items() if curve.count > 1},
        problems,
        {name: curve.extent() for name, curve in curves.items() if curve.count > 1},
    )


def _read(directory: str, source: Source, lines: dict[str, Lines]) -> tuple[_Found, str]:
    """The numbers of a file, and what is wrong with it all the same."""
    kind = source.name.rpartition(".")[2]
    if kind == "json":
        if source.size > MAX_FILE_BYTES:
            raise OutsideError(f"{source.size} bytes are too many for metrics")
        return _from_json(read_inside(directory, source.name, MAX_FILE_BYTES)), ""
    with open_inside(directory, source.name) as file:
        kept, shown = read_lines(file, kind, lines.get(source.name))
    lines[source.name] = kept
    values = {name: curve.last[1] for name, curve in shown.curves.items()}
    problem = (
        f"longer than {MAX_WHOLE_BYTES >> 20} MB, so its beginning, its end and parts between are"
        " read: min and max are those of what was read"
        if kept.is_partial
        else ""
    )
    return _Found(values, dict(shown.curves)), problem


def _from_json(data: bytes) -> _Found:
    value, problem = parse_json(data.removeprefix(b"\xef\xbb\xbf"))
    if problem:
        raise ValueError(problem)
    if isinstance(value, list):
        records = Lines()
        records.add(item for item in value if isinstance(item, dict))
        last = {name: curve.last[1] for name, curve in records.curves.items()}
        return _Found(last, records.curves)
    found = _Found()
    for name, item in leaves(value):
        if isinstance(item, list):
            curve = Curve()
            for index, number in enumerate(item):
                curve.add(float(index), float(number))
            found.curves[name] = curve
            found.values[name] = float(item[-1])
        else:
            found.values[name] = float(item)
        if len(found.values) >= MAX_NAMES:
            break
    return found


def value_of(metrics: Metrics, name: str) -> float | None:
    """The last number of a metric, or what a suffix asks for; None where it is not known.

    `loss:min` and `loss:max` are the smallest and the largest number of its curve (of a metric
    without a curve, the number itself), `loss:min_step` and `loss:max_step` the steps of them,
    `loss:step` the last step.
    """
    if name in metrics.values:
        return metrics.values[name]
    base, _, suffix = name.rpartition(":")
    extent = metrics.extents.get(base)
    if suffix in Extent._fields and extent is not None:
        return float(getattr(extent, suffix))
    return metrics.values.get(base) if suffix in ("min", "max") else None


def names_of(all_metrics: Iterable[Metrics]) -> list[str]:
    """The names of metrics, those that most artifacts have first."""
    counts: dict[str, int] = {}
    for metrics in all_metrics:
        for name in metrics.values:
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))
