"""A hit: the artifact is there, and a new object asks for it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator

from tests.benchmarks import floor, others
from tests.benchmarks.configs import Item
from tests.benchmarks.console import console
from tests.benchmarks.measure import Subject, Timing, interleave
from tests.benchmarks.table import Row

TIMEOUT_S = 600.0

_GOAL = 3.0
_ROUNDS = 31
_MANY = 100_000
_ASKED = 300  # artifacts that are asked for in a round


def rows() -> Iterator[Row]:
    """Hits among few and many artifacts, quiet and with the console."""
    for count in (10, 10_000, _MANY):
        fill(count)
        timings = interleave(_subjects(count), rounds=_ROUNDS, operations=_ASKED)
        yield _row(f"hit, new object, among {count:,} artifacts", timings)
    yield _flatness()
    with console():
        subjects: dict[str, Subject] = {
            "floor": _in_attempt(_told_hit, _directories(10)),
            "huldra": lambda _: lambda: _ask(10),
        }
        yield _row(
            "hit, INFO console (floor: a line of logging's too)",
            interleave(subjects, rounds=_ROUNDS, operations=_ASKED),
        )
    yield from _beside()


def _row(what: str, timings: dict[str, Timing]) -> Row:
    ours, least = timings["huldra"], timings["floor"]
    beside = f"CPU {ours.cpu_us:.1f} of {least.cpu_us:.1f} µs"
    return Row(what, ours.wall_us, "µs", least.wall_us, _GOAL, beside)


def _flatness() -> Row:
    """Ten of many artifacts against three hundred of them, so that caches of the kernel count."""
    few, many = _subjects(10), _subjects(_MANY)
    subjects = {f"{name} few": few[name] for name in few} | {
        f"{name} many": many[name] for name in many
    }
    timings = interleave(subjects, rounds=_ROUNDS, operations=_ASKED)
    grown = timings["floor many"].wall_s / timings["floor few"].wall_s
    return Row(
        f"hit, any of {_MANY:,} (floor: always the same ten)",
        timings["huldra many"].wall_us,
        "µs",
        timings["huldra few"].wall_us,
        1.25,
        f"the file work alone grows {grown:.2f} ×",
    )


def _subjects(count: int) -> dict[str, Subject]:
    return {
        "floor": _in_attempt(floor.hit, _directories(count)),
        "huldra": lambda _: lambda: _ask(count),
    }


def _numbers(count: int) -> list[int]:
    """Which artifacts a round asks for: spread over all of them."""
    step = max(1, count // _ASKED)
    return [(i * step) % count for i in range(_ASKED)]


def _ask(count: int) -> None:
    for number in _numbers(count):
        Item(number=number).load_or_create()


def _directories(count: int) -> list[str]:
    return [str(Item(number=number).huldra_dir) for number in _numbers(count)]


def _in_attempt(work: Callable[[str], object], directories: list[str]) -> Subject:
    def run() -> None:
        for directory in directories:
            work(directory)

    return lambda _: run


def fill(count: int) -> None:
    """See that the artifacts 0 … `count` - 1 are there: one made, the others like it."""
    Item(number=0).load_or_create()
    first = str(Item(number=0).huldra_dir)
    miss = floor.Miss.of(first)
    for number in range(1, count):
        obj = Item(number=number)
        directory = str(obj.huldra_dir)
        if not os.path.isdir(directory):
            copy_artifact(miss, directory, os.path.basename(first), obj.huldra_hash)


def copy_artifact(miss: floor.Miss, directory: str, digest: str, own: str) -> None:
    """Put what decides on a hit into `directory`, in the name of another digest."""
    os.makedirs(f"{directory}/.huldra/claims")
    for name, data in (("claims/1", miss.claim), ("SUCCESS.json", miss.success)):
        with open(f"{directory}/.huldra/{name}", "wb") as file:
            file.write(data.replace(digest.encode(), own.encode()))


def _told_hit(directory: str) -> None:
    floor.hit(directory)
    logging.getLogger("floor").info("hit %s %s (%s)", "Item", directory[-32:-23], "success->load")


# ---- others ------------------------------------------------------------------------------------


def _beside() -> Iterator[Row]:
    """What other caches take for the same, where they are installed."""
    fill(10)
    subjects = {"huldra": _subjects(10)["huldra"], **others.hits(_numbers(10))}
    timings = interleave(subjects, rounds=7, operations=_ASKED)
    for name in others.NAMES:
        if name in timings:
            yield Row(
                f"hit, huldra (floor: {name})",
                timings["huldra"].wall_us,
                "µs",
                timings[name].wall_us,
            )
