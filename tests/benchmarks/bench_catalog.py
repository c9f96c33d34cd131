"""The catalog on a generated store: first build, refresh, a filtered page, memory.

`python -m tests.benchmarks.bench_catalog [COUNT]` measures COUNT artifacts (10,000). The floor
is the same files read and parsed in plain standard library, in the same run.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from huldra.catalog import Catalog, Query
from tests.dashboard.store import example_store

COUNT = 10_000
T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """One row of the table: `value` is in `unit`; `goal` is the most that it should be."""

    what: str
    value: float
    unit: str
    goal: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached, or there is none."""
        return self.goal is None or self.value <= self.goal


def measure(count: int = COUNT) -> Iterator[Line]:
    """Make a store of `count` artifacts in a temporary folder and measure the catalog on it."""
    with tempfile.TemporaryDirectory(prefix="huldra-bench-") as folder:
        example_store(folder, count)
        # A process of its own: its memory and its caches are the catalog's alone.
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name if __spec__ else __name__, "--child", folder],
            capture_output=True,
            text=True,
            timeout=1800,
            check=True,
        )
    for fields in json.loads(done.stdout):
        yield Line(*fields)


def _child(folder: str) -> list[Line]:
    _floor(folder)  # from now on the files are in memory
    floor, read = _best(lambda: _floor(folder))
    before_mb = _peak_mb()
    build, _ = _best(lambda: Catalog([folder]).snapshot())
    catalog = Catalog([folder])
    snapshot = catalog.snapshot()
    assert read == len(snapshot.rows)
    refresh, _ = _best(lambda: catalog.snapshot(max_age_s=0))
    lines = [
        Line("artifacts", read, ""),
        Line("floor: read and parse their files", floor.wall_s, "s"),
        Line("first build, files in memory", build.wall_s, "s", 2.0),
        Line("first build, processor time", build.cpu_s, "s", 2.0),
        Line("first build / floor, processor time", build.cpu_s / floor.cpu_s, "×"),
        Line("refresh, nothing changed", refresh.wall_s, "s", 0.2),
        Line("refresh, processor time", refresh.cpu_s, "s", 0.2),
        Line("memory beyond the empty process", _peak_mb() - before_mb, "MB", 300),
    ]
    questions: dict[str, Callable[[], object]] = {
        "page, filtered by status": lambda: snapshot.query(Query(result_status=("failed",))),
        "page, filtered by config": lambda: snapshot.query(
            Query(config="lr<1e-3 and opt.name=adam")
        ),
        "page, filtered by a nested artifact's config": lambda: snapshot.query(
            Query(config="model.dataset.name=toy or dataset.name=toy")
        ),
        "page, sorted by a config field": lambda: snapshot.query(Query(sort="config.lr")),
        "page, filtered by text": lambda: snapshot.query(Query(text="memory")),
        "totals": lambda: snapshot.stats(snapshot.rows),
        "class graph": snapshot.class_graph,
        "failures": lambda: snapshot.failures(snapshot.rows),
    }
    for what, ask in questions.items():
        goal_ms = 50.0 if what.startswith("page, filtered") else None
        lines.append(Line(f"{what}, processor time", _best(ask)[0].cpu_s * 1000, "ms", goal_ms))
    return lines


def _floor(folder: str) -> int:
    """Read and parse state.json and metadata.json of every artifact, with nothing kept."""
    count = 0
    for top in ("data", "git"):
        for artifact in Path(folder, top).glob("*/*/*/.huldra"):
            for name in ("state.json", "metadata.json"):
                with open(os.path.join(artifact, name), "rb") as file:
                    json.loads(file.read())
            count += 1
    return count


@dataclass(frozen=True)
class Took:
    """Seconds by the clock, and seconds of the processor: other processes add to the former."""

    wall_s: float
    cpu_s: float


def _best(call: Callable[[], T], times: int = 3) -> tuple[Took, T]:
    """The shortest of some calls, by each measure, and what the last one returned."""
    walls, cpus = [], []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        value = call()
        cpus.append(time.process_time() - cpu)
        walls.append(time.perf_counter() - wall)
    return Took(min(walls), min(cpus)), value


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the table, or (as a child) its rows as JSON."""
    if sys.argv[1:2] == ["--child"]:
        rows = [(line.what, line.value, line.unit, line.goal) for line in _child(sys.argv[2])]
        print(json.dumps(rows))
        return
    for line in measure(int(sys.argv[1]) if sys.argv[1:] else COUNT):
        goal = f"≤ {line.goal:g}" if line.goal is not None else ""
        print(
            f"{line.what:<46} {line.value:>10.3f} {line.unit:<3} {goal:<8}"
            f" {'' if line.is_met else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
