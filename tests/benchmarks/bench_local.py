"""The local executor with two workers, against the misses themselves and against joblib.

The pools of both are warm: started, and the code imported. One row measures from a cold start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import huldra
from huldra.engines.protocol import OnSubmitted, TaskGraph
from huldra_local import LocalExecutor
from tests.benchmarks import joblib_sweeps
from tests.benchmarks.configs import Item, Step
from tests.benchmarks.measure import Subject, Timing, interleave
from tests.benchmarks.table import Row

_WORKERS = 2
_NODES = 200
_FAN = 100
_ROUNDS = 9


def rows() -> Iterator[Row]:
    """Sweep, chain and fan: what a node costs beyond its miss, and joblib doing the same."""
    executor = LocalExecutor(_WORKERS)
    pool = ProcessPoolExecutor(_WORKERS)
    try:
        _warm(executor)
        timings = interleave(_subjects(executor, pool), rounds=_ROUNDS)
        yield from _beyond(timings)
        yield from _against_joblib(timings)
    finally:
        executor.close()
        pool.shutdown()
    yield from _cold()


def _beyond(timings: dict[str, Timing]) -> Iterator[Row]:
    miss_ms = timings["misses"].wall_ms / _NODES
    sweep_ms = timings["sweep"].wall_ms / _NODES
    chain_ms = timings["chain"].wall_ms / _NODES
    here_ms = timings["chain here"].wall_ms / _NODES
    alone_ms = timings["pool"].wall_ms / _NODES
    sent_ms = timings["send"].wall_ms / _NODES
    yield Row(
        "local:2, a node beyond its miss",
        sweep_ms - miss_ms / _WORKERS,
        "ms",
        None,
        0.15,
        f"sweep {sweep_ms:.2f} ms a node, miss {miss_ms:.2f} ms on each of two workers;"
        f" compile, plan, queue {sent_ms:.2f} ms; ProcessPoolExecutor alone {alone_ms:.2f} ms",
    )
    yield Row(
        "local:2, a hop beyond the miss",
        chain_ms - here_ms,
        "ms",
        None,
        0.3,
        f"chain {chain_ms:.2f} ms a node, here {here_ms:.2f} (each config holds all below)",
    )


def _against_joblib(timings: dict[str, Timing]) -> Iterator[Row]:
    names = {
        "sweep": f"sweep of {_NODES}",
        "fan": f"1 → {_FAN} → 1",
        "chain": f"chain of {_NODES}",
    }
    for name, what in names.items():
        yield Row(
            f"local:2, {what} (floor: joblib)",
            timings[name].wall_ms,
            "ms",
            timings[f"joblib {name}"].wall_ms,
            1.0,
        )


def _subjects(executor: LocalExecutor, pool: ProcessPoolExecutor) -> dict[str, Subject]:
    joblib = joblib_sweeps.Sweeps(f"{os.environ['HULDRA_PATH']}-joblib", _WORKERS)
    list(pool.map(abs, range(_NODES)))
    return {
        "misses": lambda attempt: lambda: _make_here(_items(attempt, 1)),
        "sweep": lambda attempt: _run(_items(attempt, 2), executor),
        "chain": lambda attempt: _run([_chain(attempt, 0)], executor),
        "chain here": lambda attempt: _chain(attempt, 1).load_or_create,
        "fan": lambda attempt: _run([_fan(attempt)], executor),
        "send": lambda attempt: _send_only(_items(attempt, 3)),
        "pool": lambda _: (
            lambda: [f.result() for f in [pool.submit(abs, i) for i in range(_NODES)]]
        ),
        "joblib sweep": lambda attempt: lambda: joblib.sweep(attempt, _NODES),
        "joblib chain": lambda attempt: lambda: joblib.chain(attempt, _NODES),
        "joblib fan": lambda attempt: lambda: joblib.fan(attempt, _FAN),
    }


def _run(objects: list[Any], executor: LocalExecutor) -> Callable[[], object]:
    return lambda: huldra.load_or_create(objects, executor=executor).results(timeout=120)


def _make_here(objects: list[Item]) -> None:
    for obj in objects:
        obj.load_or_create()


def _items(attempt: int, kind: int) -> list[Item]:
    return [Item(number=(attempt * 10 + kind) * _NODES + i) for i in range(_NODES)]


def _chain(attempt: int, kind: int) -> Step:
    first = attempt * 1_000_000 + kind * 100_000
    top = Step(number=first)
    for number in range(1, _NODES):
        top = Step(number=first + number, parents=[top])
    return top


def _fan(attempt: int) -> Step:
    source = Step(number=attempt * 1_000_000 + 500_000)
    middle = [Step(number=source.number + 1 + i, parents=[source]) for i in range(_FAN)]
    return Step(number=source.number + 1 + _FAN, parents=list(middle))


def _warm(executor: LocalExecutor) -> None:
    for attempt in (-2, -1):
        _run(_items(attempt, 0), executor)()


# ---- what the driver does ------------------------------------------------------------------------


class _Nowhere(LocalExecutor):
    """A pool that takes everything and runs nothing."""

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Forget it."""


def _send_only(objects: list[Item]) -> Callable[[], object]:
    nowhere = _Nowhere(_WORKERS)
    return lambda: huldra.load_or_create(objects, executor=nowhere)


# ---- from a cold start ---------------------------------------------------------------------------

_COLD = {
    "huldra": """
import sys, huldra
from tests.benchmarks.configs import Item
first = 10**9 + int(sys.argv[1]) * 200
huldra.load_or_create([Item(number=first + i) for i in range(200)], executor="local:2").results()
""",
    "joblib": """
import os, sys
from tests.benchmarks.joblib_sweeps import Sweeps
Sweeps(os.environ["HULDRA_PATH"] + "-joblib", 2).sweep(10**6 + int(sys.argv[1]), 200)
""",
}


def _cold() -> Iterator[Row]:
    subjects: dict[str, Subject] = {
        name: lambda attempt, program=program: (
            lambda: subprocess.run(  # type: ignore[misc]  # the default binds the loop's variable
                [sys.executable, "-c", program, str(attempt)], check=True, timeout=120
            )
        )
        for name, program in _COLD.items()
    }
    timings = interleave(subjects, rounds=3)
    yield Row(
        f"a new process: sweep of {_NODES} on local:2 (floor: joblib)",
        timings["huldra"].wall_ms,
        "ms",
        timings["joblib"].wall_ms,
        1.0,
    )
