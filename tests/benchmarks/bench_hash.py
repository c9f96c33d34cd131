"""Hashing deep configs: each nested config is hashed once, and nothing recurses."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.benchmarks.bench_counts import counted
from tests.benchmarks.configs import Step
from tests.benchmarks.measure import interleave
from tests.benchmarks.table import Row

_DEPTH = 40
_LENGTH = 5_000
_ROUNDS = 9


def diamond() -> Step:
    """Forty levels, each of which names the one below twice: 2⁴⁰ paths, 41 configs."""
    top = Step(number=0)
    for number in range(1, _DEPTH + 1):
        top = Step(number=number, parents=[top, top])
    return top


def chain(length: int = _LENGTH) -> Step:
    """Each step on the one before."""
    top = Step(number=0)
    for number in range(1, length):
        top = Step(number=number, parents=[top])
    return top


def rows() -> Iterator[Row]:
    """Time and number of hashes; the floor is so many configs on their own."""
    yield from _rows(f"diamond of depth {_DEPTH}", diamond, _DEPTH + 1)
    yield from _rows(f"chain of {_LENGTH:,}", chain, _LENGTH)


def _rows(what: str, build: Callable[[], Step], count: int) -> Iterator[Row]:
    def whole(_: int) -> Callable[[], object]:
        top = build()
        return lambda: top.huldra_hash

    def apart(_: int) -> Callable[[], object]:
        objects = [Step(number=i, parents=[]) for i in range(count)]
        return lambda: [obj.huldra_hash for obj in objects]

    timings = interleave({"whole": whole, "apart": apart}, rounds=_ROUNDS)
    yield Row(
        f"{what}: hash (floor: {count:,} configs alone)",
        timings["whole"].wall_ms,
        "ms",
        timings["apart"].wall_ms,
        3.0,
    )
    top = build()
    hashes = counted(lambda: top.huldra_hash)["blake2s"]
    yield Row(f"{what}: hashes computed", hashes, "", None, count)
