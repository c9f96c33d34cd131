"""What a graph costs on a real Slurm: calls of its programs, and the driver's time.

`python -m tests.benchmarks.bench_slurm` starts a cluster of its own. `--run` also makes a sweep to
its end, and counts the queries while the driver waits for it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huldra
from huldra.testing.pipelines import Step
from tests.executors.slurm.cluster import Cluster
from tests.executors.slurm.stage import Stage


@dataclass(frozen=True)
class Cost:
    """One graph: its size, calls, and seconds of the driver until the last submission."""

    name: str
    nodes: int
    sbatch: int
    queries: int
    seconds: float

    def row(self) -> str:
        """Render as a line of the table."""
        per_node_ms = 1000 * self.seconds / self.nodes
        return (
            f"{self.name:34} {self.nodes:6} {self.sbatch:7} {self.queries:8}"
            f" {self.seconds:9.3f} {per_node_ms:12.2f}"
        )


HEADER = (
    f"{'graph':34} {'nodes':>6} {'sbatch':>7} {'queries':>8} {'driver s':>9} {'ms per node':>12}"
)


def sweep(models: int, datasets: int) -> Any:
    """A report over models over datasets."""
    data = [Step(name=f"data{n}") for n in range(datasets)]
    fits = [Step(name=f"m{n}", needs=(data[n % datasets],)) for n in range(models)]
    return Step(name="report", needs=tuple(fits))


def send(stage: Stage, name: str, nodes: int, root: Any) -> Cost:
    """Submit one graph and count."""
    before = stage.commands("sbatch")
    began = time.perf_counter()
    root.load_or_create(executor="slurm")
    seconds = time.perf_counter() - began
    queries = stage.commands("squeue") + stage.commands("sacct")
    return Cost(name, nodes, stage.commands("sbatch") - before, queries, seconds)


def make(stage: Stage, name: str, nodes: int, root: Any) -> Cost:
    """Submit one graph, wait for its end, and count the queries meanwhile."""
    before = stage.commands("sbatch")
    began = time.perf_counter()
    cpu_began = time.process_time()
    root.load_or_create(executor="slurm").result(timeout=3600)
    waited = time.perf_counter() - began
    queries = stage.commands("squeue") + stage.commands("sacct")
    cost = Cost(name, nodes, stage.commands("sbatch") - before, queries, waited)
    cpu_s = time.process_time() - cpu_began
    print(f"# {name}: made in {waited:.0f} s, of them {cpu_s:.2f} s of the driver's CPU")
    return cost


def measure(graphs: list[tuple[str, int, Callable[[], Any]]], *, to_the_end: bool) -> list[Cost]:
    """Measure each graph in a store of its own, on one cluster."""
    costs = []
    with Cluster() as cluster:
        os.environ["SLURM_CONF"] = str(cluster.conf)
        for name, nodes, build in graphs:
            with tempfile.TemporaryDirectory(prefix="huldra-bench-") as folder:
                stage = Stage(Path(folder), cluster)
                path, os.environ["PATH"] = os.environ["PATH"], stage.count_commands()
                huldra.set_huldra_root(stage.root)
                one = make if to_the_end else send
                costs.append(one(stage, name, nodes, build()))
                os.environ["PATH"] = path
                cluster.cancel_all()
    return costs


def main(argv: list[str]) -> None:
    """Print the table."""
    huldra.HULDRA_CONFIG.log_level = "WARNING"
    graphs: list[tuple[str, int, Callable[[], Any]]] = [
        ("first: a chain of 2 (imports)", 2, lambda: sweep(1, 1)),
        ("200 models over 3 data, a report", 204, lambda: sweep(200, 3)),
        ("1 → 100 → 1", 102, lambda: sweep(100, 1)),
        ("1,959 models over 40, a report", 2000, lambda: sweep(1959, 40)),
    ]
    costs = measure(graphs, to_the_end=False)
    if "--run" in argv:
        costs += measure(
            [("to its end: 200 over 3, a report", 204, lambda: sweep(200, 3))], to_the_end=True
        )
    print(HEADER)
    for cost in costs:
        print(cost.row())


if __name__ == "__main__":
    main(sys.argv[1:])
