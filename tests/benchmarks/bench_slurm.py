"""What a graph costs on a real Slurm: calls of its programs, and the driver's time.

Jobs are held, so that the machine's CPUs measure the driver and not the nodes. The floor of a
submission is the same number of bare `sbatch` calls, with arrays of the same sizes.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huldra
from huldra.testing.pipelines import Step
from huldra_submitit import SubmititExecutor
from tests.benchmarks.table import Row, Skipped
from tests.executors.slurm.cluster import Cluster, why_not
from tests.executors.slurm.stage import Stage
from tests.support import parts

TIMEOUT_S = 600.0

_WATCHED_S = 20.0
_POLL_S = 2.0


def rows() -> Iterator[Row]:
    """Three graphs, and what waiting for one of them asks of Slurm."""
    if reason := parts.missing("slurm") or why_not():
        raise Skipped(reason)
    with Cluster() as cluster, tempfile.TemporaryDirectory(prefix="huldra-bench-") as folder:
        os.environ["SLURM_CONF"] = str(cluster.conf)
        stage = Stage(Path(folder), cluster)
        os.environ["PATH"] = stage.count_commands()
        _send(stage, _sweep(1, 1))  # imports, and what is asked of a site once
        yield _waiting(stage)
        yield from _graph(stage, "200 models, 3 datasets, a report", 204, _sweep(200, 3), 6)
        yield from _graph(stage, "1 → 100 → 1", 102, _sweep(100, 1), 6)
        yield from _graph(stage, "2,000: models, 40 datasets, a report", 2000, _sweep(1959, 40), 20)


def _sweep(models: int, datasets: int) -> Step:
    """A report over models over datasets; each call gives one of its own."""
    mark = f"{time.monotonic_ns()}"
    data = [Step(name=f"data{n} {mark}") for n in range(datasets)]
    fits = [Step(name=f"model{n} {mark}", needs=(data[n % datasets],)) for n in range(models)]
    return Step(name=f"report {mark}", needs=tuple(fits))


def _send(stage: Stage, root: Step) -> Any:
    return root.load_or_create(
        executor=SubmititExecutor(slurm_additional_parameters={"hold": True})
    )


def _graph(stage: Stage, what: str, nodes: int, root: Step, most_calls: int) -> Iterator[Row]:
    calls = stage.commands("sbatch")
    queries = stage.commands("squeue") + stage.commands("sacct")
    began, cpu_began = time.perf_counter(), time.process_time()
    _send(stage, root)
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    calls = stage.commands("sbatch") - calls
    queries = stage.commands("squeue") + stage.commands("sacct") - queries
    yield Row(f"slurm: {what}: sbatch", calls, "", None, most_calls, f"{queries} status queries")
    floor_s = _bare(stage, calls, nodes)
    beside = (
        f"CPU {cpu_s:.2f} s, {1000 * wall_s / nodes:.2f} ms a node, bare sbatch {floor_s:.2f} s"
    )
    limit_s = 1.0 if nodes <= 204 else None
    yield Row(f"slurm: {what}: call to last sbatch", wall_s, "s", None, limit_s, beside)
    stage.cluster.cancel_all()


def _bare(stage: Stage, calls: int, nodes: int) -> float:
    """Seconds of the same `sbatch` calls, without huldra."""
    size = max(1, nodes // calls)
    command = ["sbatch", "--hold", "-o", "/dev/null", f"--array=0-{size - 1}", "--wrap", "true"]
    began = time.perf_counter()
    for _ in range(calls):
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    return time.perf_counter() - began


def _waiting(stage: Stage) -> Row:
    """Queries while the driver waits for 204 jobs at once."""
    huldra.HULDRA_CONFIG.poll_interval = _POLL_S
    names = [f"n{n} {time.monotonic_ns()}" for n in range(204)]
    executor = SubmititExecutor(slurm_additional_parameters={"hold": True})
    sweep = huldra.load_or_create([Step(name=name) for name in names], executor=executor)
    before = stage.commands("squeue") + stage.commands("sacct")
    sweep.wait(timeout=_WATCHED_S)
    queries = stage.commands("squeue") + stage.commands("sacct") - before
    stage.cluster.cancel_all()
    what = f"slurm: queries in {_WATCHED_S:g} s of waiting for 204 jobs"
    # The first ones come faster: answers are kept for longer only while nothing changes.
    return Row(what, queries, "", None, _WATCHED_S / _POLL_S + 4, f"poll interval {_POLL_S:g} s")
