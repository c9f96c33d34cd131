"""A miss: an artifact with an empty `_create` is made, outside of any git repository."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator

import huldra
from tests.benchmarks import floor, others
from tests.benchmarks.configs import Item
from tests.benchmarks.console import console
from tests.benchmarks.measure import Subject, Timing, interleave
from tests.benchmarks.table import Row

_GOAL = 4.0
_ROUNDS = 1001  # many and short: most are over before anything else gets the processor
_MADE = 1  # artifacts that are made in a round
_COLLECT_EVERY = 50


def rows() -> Iterator[Row]:
    """Misses in memory, with the console, and on the disk."""
    yield _row("miss, empty _create", _measure(_subjects(), _ROUNDS))
    with console():
        timings = _measure(_subjects(tells=True), _ROUNDS)
        yield _row("miss, INFO console (floor: a line of logging's too)", timings)
    with _store_on_disk():
        timings = _measure(_subjects(), 151)
        yield _row("miss, store on a disk", timings)
    yield from _beside()


def _measure(subjects: dict[str, Subject], rounds: int) -> dict[str, Timing]:
    return interleave(
        subjects, rounds=rounds, operations=_MADE, warm_up=20, collect_every=_COLLECT_EVERY
    )


def _row(what: str, timings: dict[str, Timing]) -> Row:
    ours, least = timings["huldra"], timings["floor"]
    beside = f"CPU {ours.cpu_ms:.3f} of {least.cpu_ms:.3f} ms, {ours.cpu_s / least.cpu_s:.1f} ×"
    return Row(what, ours.wall_ms, "ms", least.wall_ms, _GOAL, beside)


def _subjects(tells: bool = False) -> dict[str, Subject]:
    example = Item(number=-1)
    example.load_or_create()
    store = os.path.dirname(example.huldra_dir)
    miss = floor.Miss.of(str(example.huldra_dir))

    def plain(attempt: int) -> Callable[[], None]:
        directories = [f"{store}/floor-{tells}-{attempt}-{i}" for i in range(_MADE)]
        return lambda: _make_plainly(miss, directories, tells)

    def ours(attempt: int) -> Callable[[], None]:
        first = (2 * attempt + tells) * _MADE
        return lambda: _make(first)

    return {"floor": plain, "huldra": ours}


def _make(first: int) -> None:
    for number in range(first, first + _MADE):
        Item(number=number).load_or_create()


def _make_plainly(miss: floor.Miss, directories: list[str], tells: bool) -> None:
    for directory in directories:
        if tells:
            logging.getLogger("floor").info("miss %s %s (%s)", "Item", "012345678", "create")
        miss.make(directory)


@contextlib.contextmanager
def _store_on_disk() -> Iterator[None]:
    before = huldra.get_huldra_root()
    huldra.set_huldra_root(f"{os.environ['BENCH_DISK']}/store")
    try:
        yield
    finally:
        huldra.set_huldra_root(before)


def _beside() -> Iterator[Row]:
    """What other caches take for the same, where they are installed."""

    def ours(attempt: int) -> Callable[[], None]:
        return lambda: _make(10_000_000 + attempt * _MADE)

    subjects: dict[str, Subject] = {"huldra": ours, **others.misses(_MADE)}
    timings = _measure(subjects, 151)
    for name in others.NAMES:
        if name in timings:
            yield Row(
                f"miss, huldra (floor: {name})",
                timings["huldra"].wall_ms,
                "ms",
                timings[name].wall_ms,
            )
