"""How far a running artifact is, by what its `_create` reported."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from huldra.catalog.reading import as_time
from huldra.catalog.safe_open import OutsideError, open_inside

REPORTS = "progress.jsonl"
_TAIL_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Progress:
    """The last report: `step` of `of` steps, and the seconds that the rest takes at this pace.

    `of` and `remaining_s` are None where they are not known.
    """

    step: float
    of: float | None
    remaining_s: float | None

    @property
    def fraction(self) -> float | None:
        """The part that is done, from 0 to 1."""
        return min(1.0, max(0.0, self.step / self.of)) if self.of else None


def read_progress(directory: str) -> Progress | None:
    """Return how far the artifact in `directory` is; None where it has reported no step.

    The pace is that of the last reports. An attempt that began again counts from its beginning.
    """
    reports = _rising(list(_tail(directory)))
    if not reports:
        return None
    (first_step, _, first_s), (step, of, last_s) = reports[0], reports[-1]
    remaining_s = None
    if of is not None and step > first_step and last_s is not None and first_s is not None:
        remaining_s = max(0.0, (of - step) * (last_s - first_s) / (step - first_step))
    return Progress(step, of, remaining_s)


_Report = tuple[float, float | None, float | None]  # step, of, seconds since 1970


def _tail(directory: str) -> Iterator[_Report]:
    try:
        with open_inside(directory, REPORTS) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")
    except (OSError, OutsideError):
        return
    for line in lines:  # the first may be a half of one, the last half written
        try:
            record = json.loads(line)
        except ValueError:
            continue
        step = _number(record, "step")
        if step is not None:
            at = as_time(record.get("at"))
            yield step, _number(record, "of"), at.timestamp() if at is not None else None


def _number(record: Any, name: str) -> float | None:
    value = record.get(name) if isinstance(record, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _rising(reports: list[_Report]) -> list[_Report]:
    """The reports since the steps last began again."""
    start = len(reports) - 1
    while start > 0 and reports[start - 1][0] <= reports[start][0]:
        start -= 1
    return reports[max(0, start) :]
