"""The catalog on a generated store: first build, from its index, refresh, pages, memory.

10,000 artifacts, and 100,000 as well with `BENCH_LARGE=1` (minutes to generate). The floor
is the same files read and parsed in plain standard library, in the same run. Goals are for the
processor's time: what a page waits for is the interpreter, once the files are in memory.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import huldra
from huldra.catalog import Catalog, Query, Snapshot
from tests.benchmarks.table import Row
from tests.dashboard.store import example_store

TIMEOUT_S = 1800.0
T = TypeVar("T")


def rows() -> Iterator[Row]:
    """The table's rows, for one or two sizes of store."""
    yield from _measure(10_000)
    if os.environ.get("BENCH_LARGE"):
        yield from _measure(100_000, has_goals=False)


@dataclass(frozen=True)
class Took:
    """Seconds by the clock, and seconds of the processor: other processes add to the former."""

    wall_s: float
    cpu_s: float


def _measure(count: int, *, has_goals: bool = True) -> Iterator[Row]:
    folder = f"{os.environ['HULDRA_PATH']}-{count}"
    example_store(folder, count)
    huldra.HULDRA_CONFIG.update(cache_dir=f"{folder}-cache")
    gc.collect()
    _floor(folder)  # from now on the files are in memory
    floor, read = _best(lambda: _floor(folder))
    before_mb = _memory_mb()
    build, _ = _best(lambda: Catalog([folder], use_index=False).snapshot(), 2)
    gc.collect()
    first, _ = _best(lambda: Catalog([folder]).snapshot(), 1)
    again, _ = _best(lambda: Catalog([folder]).snapshot())
    gc.collect()
    catalog = Catalog([folder])
    snapshot = catalog.snapshot()
    memory_mb = _memory_mb() - before_mb
    refresh, _ = _best(lambda: catalog.snapshot(max_age_s=0))
    name = f"catalog of {read:,}:"

    def row(what: str, value: float, unit: str, goal: float | None, beside: str = "") -> Row:
        return Row(f"{name} {what}", value, unit, None, goal if has_goals else None, beside)

    def clock(took: Took) -> str:
        return f"by the clock {took.wall_s:.2f} s"

    yield Row(f"{name} first build / floor", build.cpu_s, "s", floor.cpu_s)
    yield row("first build", build.cpu_s, "s", 2.0, clock(build))
    yield row("first build, and its index", first.cpu_s, "s", 3.0, clock(first))
    yield Row(f"{name} from its index / floor", again.cpu_s, "s", floor.cpu_s)
    yield row("from its index", again.cpu_s, "s", 0.5, clock(again))
    yield row("refresh", refresh.cpu_s, "s", 0.2, clock(refresh))
    yield row("memory", memory_mb, "MB", 300.0, f"peak {_peak_mb():.0f} MB with the generator's")
    for command in (["ls", "--limit", "20"], ["sweeps"]):
        took, _ = _best(partial(_command, command, folder))
        yield row(f"huldra {command[0]}", took.cpu_s, "s", None, clock(took))
    for what, ask in _questions(snapshot).items():
        cold, _ = _best(ask, 1)
        took, _ = _best(ask)
        goal_ms = 50.0 if what.startswith("page") else None
        yield row(what, took.cpu_s * 1000, "ms", goal_ms, f"the first {cold.cpu_s * 1000:.0f} ms")


def _command(arguments: list[str], folder: str) -> None:
    """Run the command line in a process of its own, with the index that is there."""
    environment = os.environ | {"HULDRA_CACHE_DIR": f"{folder}-cache"}
    command = [sys.executable, "-m", "huldra", *arguments, "--root", folder]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def _questions(snapshot: Snapshot) -> dict[str, Callable[[], object]]:
    nested = "model.dataset.name=toy or dataset.name=toy"
    return {
        "page by status": lambda: snapshot.query(Query(result_status=("failed",))),
        "page by config": lambda: snapshot.query(Query(config="lr<1e-3 and opt.name=adam")),
        "page by a nested config": lambda: snapshot.query(Query(config=nested)),
        "page by text": lambda: snapshot.query(Query(text="memory")),
        "page in order of a field": lambda: snapshot.query(Query(sort="config.lr")),
        "totals": lambda: snapshot.stats(snapshot.rows),
        "class graph": snapshot.class_graph,
        "failures": lambda: snapshot.failures(snapshot.rows),
    }


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


def _best(call: Callable[[], T], times: int = 3) -> tuple[Took, T]:
    """The shortest of some calls, by each measure, and what the last one returned."""
    walls, cpus = [], []
    for _ in range(times):
        wall, cpu = time.perf_counter(), _processor_s()
        value = call()
        cpus.append(_processor_s() - cpu)
        walls.append(time.perf_counter() - wall)
    return Took(min(walls), min(cpus)), value


def _processor_s() -> float:
    """Seconds of the processor that this process and its children have had."""
    mine, theirs = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def _memory_mb() -> float:
    """What this process holds now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
