"""Curves in files of lines (.jsonl, .csv), of any length, read on from where they were read to."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from huldra.catalog.records import Extent

MAX_POINTS = 2000
MAX_NAMES = 500
MAX_WHOLE_BYTES = 16 << 20
"""Of a file that is read from end to end; of a longer one, parts are."""
_PART_BYTES = 2 << 20  # of the beginning and of the end of a longer file
_WINDOW_BYTES = 64 << 10  # of each look into its middle
_WINDOWS = 64
_CHECKED_BYTES = 4096  # before the place to go on from: are they those that were read?
_MAX_DEPTH = 5
TOTAL = "of"  # how many steps there will be, as `huldra.report` writes it
STEP_COLUMNS = ("step", "global_step", "epoch", "iteration", "iter")

Point = tuple[float, float]


def is_number(value: Any) -> bool:
    """Return True if it is a number that a float can hold; a bool is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or value.bit_length() < 1000


def leaves(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Dotted path → number, or list of numbers, for each one in `value`."""
    if is_number(value):
        if path:
            yield path, value
    elif isinstance(value, dict) and depth < _MAX_DEPTH:
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, list) and path and value and all(map(is_number, value)):
        yield path, value


@dataclass(slots=True)
class Curve:
    """One number over steps: the whole extent, and at most `MAX_POINTS` of the points."""

    points: list[Point] = field(default_factory=list)
    count: int = 0
    last: Point = (0.0, 0.0)
    low: Point | None = None
    high: Point | None = None
    _stride: int = 1

    def add(self, step: float, value: float) -> None:
        """Add a point at the end."""
        if self.count % self._stride == 0:
            self.points.append((step, value))
            if len(self.points) >= MAX_POINTS:
                self.points = self.points[::2]
                self._stride *= 2
        self.count += 1
        self.last = step, value
        # NaN is neither smaller nor larger than anything.
        if value == value:  # noqa: PLR0124  NaN has no order
            if self.low is None or value < self.low[1]:
                self.low = step, value
            if self.high is None or value > self.high[1]:
                self.high = step, value

    def copy(self) -> Curve:
        """A curve that grows by itself."""
        return replace(self, points=list(self.points))

    def series(self) -> tuple[Point, ...]:
        """The points that are kept, evenly thinned, the last one among them."""
        kept = self.points if self.points[-1] == self.last else [*self.points, self.last]
        return tuple(kept)

    def extent(self) -> Extent:
        """Where the curve ends, and its smallest and largest value."""
        low, high = self.low or self.last, self.high or self.last
        return Extent(self.last[0], low[1], low[0], high[1], high[0])


@dataclass
class Lines:
    """What was read of one file of lines, and where to go on."""

    curves: dict[str, Curve] = field(default_factory=dict)
    records: int = 0
    offset: int = 0
    header: tuple[str, ...] = ()
    inode: int = 0
    is_partial: bool = False
    _before: bytes = b""

    def copy(self) -> Lines:
        """The same, to be gone on with; the one that is shown stays as it is."""
        return replace(self, curves={name: curve.copy() for name, curve in self.curves.items()})

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Add one point for each number of each record."""
        for record in records:
            numbers = {n: float(v) for n, v in leaves(record) if not isinstance(v, list)}
            step = next((numbers[c] for c in STEP_COLUMNS if c in numbers), float(self.records))
            self.records += 1
            for name, value in numbers.items():
                if name in STEP_COLUMNS or name == TOTAL:
                    continue
                curve = self.curves.get(name)
                if curve is None:
                    if len(self.curves) >= MAX_NAMES:
                        continue
                    curve = self.curves[name] = Curve()
                curve.add(step, value)

    def remember(self, read: bytes) -> None:
        """Keep what the bytes before the offset are known by."""
        self._before = _digest(read[-_CHECKED_BYTES:])

    def goes_on_in(self, file: BinaryIO) -> bool:
        """Return True if the file is the one that was read, and only longer."""
        found = os.fstat(file.fileno())
        if not self.offset or found.st_ino != self.inode or found.st_size < self.offset:
            return False
        file.seek(max(0, self.offset - _CHECKED_BYTES))
        return _digest(file.read(min(_CHECKED_BYTES, self.offset))) == self._before


def _digest(data: bytes) -> bytes:
    return hashlib.blake2s(data).digest()


def read_lines(file: BinaryIO, kind: str, before: Lines | None) -> tuple[Lines, Lines]:
    """Read a file of lines, or only what was added since `before`.

    Returns what to go on from, and what to show: a last line without its end may be half
    written, so it is shown where it can be read, and read again the next time.
    """
    kept = before.copy() if before is not None and before.goes_on_in(file) else Lines()
    size = os.fstat(file.fileno()).st_size
    kept.inode = os.fstat(file.fileno()).st_ino
    if size - kept.offset > MAX_WHOLE_BYTES:
        rest = _read_parts(file, kind, kept, size)
    else:
        file.seek(kept.offset)
        rest = _take(kept, file.read(size - kept.offset), kind)
    file.seek(max(0, kept.offset - _CHECKED_BYTES))
    kept.remember(file.read(min(_CHECKED_BYTES, kept.offset)))
    shown = kept
    if rest.strip():
        shown = kept.copy()
        shown.add(_records(shown, rest, kind))
    return kept, shown


def _read_parts(file: BinaryIO, kind: str, kept: Lines, size: int) -> bytes:
    """Read the beginning, evenly spread parts of the middle, and the end, of what is not read."""
    kept.is_partial = True
    file.seek(kept.offset)
    _take(kept, file.read(_PART_BYTES), kind)
    bytes_a_line = max(1.0, kept.offset / max(1, kept.records))
    tail = size - _PART_BYTES
    stride = (tail - kept.offset) // _WINDOWS
    first = kept.offset
    starts = [(first + stride * n, _WINDOW_BYTES) for n in range(_WINDOWS)]
    rest = b""
    for start, length in [*starts, (tail, _PART_BYTES)]:
        file.seek(start)
        data = file.read(length)
        kept.records = max(kept.records, round(start / bytes_a_line))  # steps of lines without one
        cut = data.find(b"\n") + 1
        kept.offset = start + cut
        rest = _take(kept, data[cut:], kind)
    return rest


def _take(kept: Lines, data: bytes, kind: str) -> bytes:
    """Add the whole lines of `data`; return what stands behind the last line's end."""
    end = data.rfind(b"\n") + 1
    kept.offset += end
    kept.add(_records(kept, data[:end], kind))
    return data[end:]


def _records(kept: Lines, data: bytes, kind: str) -> Iterator[Mapping[str, Any]]:
    text = data.decode("utf-8-sig" if kept.records == 0 else "utf-8", "replace")
    return _csv_records(kept, text) if kind == "csv" else _json_records(text)


def _json_records(text: str) -> Iterator[Mapping[str, Any]]:
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue  # the last line may be half written
        if isinstance(record, dict):
            yield record


def _csv_records(kept: Lines, text: str) -> Iterator[Mapping[str, Any]]:
    rows = csv.reader(text.replace("\0", "").splitlines())
    for row in rows:
        if not row:
            continue
        if not kept.header:
            kept.header = tuple(name.strip() for name in row)
            continue
        cells = zip(kept.header, row, strict=False)  # more cells than columns, or fewer
        yield {name: _number(cell) for name, cell in cells if name}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
