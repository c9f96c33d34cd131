"""Graphs: compiling and planning ten thousand nodes, missing and made.

The goals are seconds of an idle machine, so what counts here is CPU: nothing waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import huldra
from tests.benchmarks import bench_hit, floor
from tests.benchmarks.configs import Item, Step
from tests.benchmarks.measure import Subject, interleave
from tests.benchmarks.table import Row

_NODES = 10_000
_PER_LAYER = 100
_ROUNDS = 5


def layers(seed: int) -> list[Step]:
    """10,000 nodes, each on two of the layer before; the last layer is given back."""
    before: list[Step] = []
    for layer in range(_NODES // _PER_LAYER):
        before = [
            Step(
                number=(seed * _NODES + layer) * _PER_LAYER + i,
                parents=[before[i], before[(i + 1) % _PER_LAYER]] if before else [],
            )
            for i in range(_PER_LAYER)
        ]
    return before


def rows() -> Iterator[Row]:
    """Plans of what is missing, and hits of what is made."""
    planned = {
        "layers": lambda attempt: _plan(layers(attempt)),
        "flat": lambda attempt: _plan([Item(number=attempt * _NODES + i) for i in range(_NODES)]),
    }
    timings = interleave(planned, rounds=_ROUNDS)
    for name, what in (
        ("layers", "graph of 10,000 nodes, 19,800 edges"),
        ("flat", "10,000 independent nodes"),
    ):
        wall_s = timings[name].wall_s
        yield Row(
            f"{what}: compile, plan",
            timings[name].cpu_s,
            "s CPU",
            None,
            1.0,
            f"wall {wall_s:.2f} s; hashing included, building the objects not",
        )
    yield from _hits()


def _plan(objects: list[huldra.Huldra[None]]) -> Callable[[], object]:
    return lambda: huldra.plan(objects)


def _hits() -> Iterator[Row]:
    bench_hit.fill(_NODES)
    directories = [str(Item(number=i).huldra_dir) for i in range(_NODES)]

    def ours(_: int) -> Callable[[], object]:
        objects = [Item(number=i) for i in range(_NODES)]
        return lambda: huldra.load_or_create(objects)

    def dispatched(_: int) -> Callable[[], object]:
        objects = [Item(number=i) for i in range(_NODES)]
        return lambda: huldra.load_or_create(objects, executor="inline").results()

    subjects: dict[str, Subject] = {
        "floor": lambda _: lambda: [floor.hit(directory) for directory in directories],
        "huldra": ours,
        "executor": dispatched,
    }
    timings = interleave(subjects, rounds=_ROUNDS)
    for name, what in (
        ("huldra", "10,000 hits in one call"),
        ("executor", "10,000 hits through an executor, with results"),
    ):
        yield Row(
            what,
            timings[name].cpu_s,
            "s CPU",
            None,
            1.0,
            f"wall {timings[name].wall_s:.2f} s; the file work alone"
            f" {timings['floor'].cpu_s:.2f} s CPU, wall {timings['floor'].wall_s:.2f} s",
        )
