"""How far a running `_create` is, as it says itself: one line a report, in a file of the artifact.

Others draw the numbers while it runs: the dashboard as curves, sweeps as progress. Nothing depends
on the file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from huldra.attempts import context
from huldra.catalog.progress import REPORTS
from huldra.errors import HuldraError
from huldra.store.records import now_text

T = TypeVar("T")


def report(step: float | None = None, of: float | None = None, **values: float) -> None:
    """Report how far the running `_create` is, and numbers such as `loss=0.3`.

    Appends one line to `progress.jsonl` in the artifact that this thread makes: the innermost one.
    Also for processes that `_create` starts. `step` counts up to `of`; with both the remaining
    time is known. Each call opens, writes and closes the file: on a shared disk call it a few times
    a second at most.

    Raises:
        HuldraError: No `_create` runs in this thread.
        TypeError: A value is not a number.
        OSError: The disk refused the line.
    """
    numbers = {"step": step, "of": of, **values}
    record = {name: _plain(name, value) for name, value in numbers.items() if value is not None}
    line = json.dumps({**record, "at": now_text()}) + "\n"
    path = f"{_directory()}/{REPORTS}"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, line.encode())  # in one call, so that two processes mix no lines
    finally:
        os.close(descriptor)


def track(items: Iterable[T], of: int | None = None, *, every_s: float = 1.0) -> Iterator[T]:
    """Go through `items`, and report the count at most once in `every_s` seconds, and at the end.

    `of` is how many there will be, `len(items)` when not given and known. Takes a `tqdm(...)` as
    well as any other iterable: `for batch in huldra.track(tqdm(batches)):`.
    """
    if of is None and isinstance(items, Sized):
        of = len(items)
    last_s = float("-inf")
    for step, item in enumerate(items, 1):
        yield item
        if time.monotonic() - last_s >= every_s or step == of:
            last_s = time.monotonic()
            report(step=step, of=of)


def _directory() -> str:
    """The directory of the artifact that is being made here."""
    making = context.innermost()
    if making is None:
        raise HuldraError(
            "huldra.report was called where no _create runs: call it in _create, in its own thread"
            " or in a process that it starts"
        )
    return making.directory


def _plain(name: str, value: object) -> float:
    """A number of any library (numpy, torch) as Python's own."""
    if isinstance(value, bool | int | float):
        return value
    try:
        return float(value)  # type: ignore[arg-type]  # what has no float raises
    except (TypeError, ValueError) as error:
        raise TypeError(f"huldra.report: {name} must be a number, not {value!r}") from error
