"""Graphs that are large: of very many nodes, and of configs of a megabyte each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from tests.benchmarks.table import Row

TIMEOUT_S = 600.0

_MANY = 100_000
_FAT = 2_000


def rows() -> Iterator[Row]:
    """Sending 100,000 nodes and 2,000 MB of configs to an engine that runs nothing."""
    many = _run("many", _MANY)
    what = f"{_MANY:,} nodes: compile, plan, send to a fake engine"
    yield Row(what, many["cpu_s"], "s CPU", None, 10.0, f"wall {many['wall_s']:.1f} s")
    configs = f"the configs themselves {many['held_mb']:.0f} MB"
    yield Row(f"{what}: memory", many["peak_mb"], "MB", None, 500.0, configs)
    fat = _run("fat", _FAT)
    what = f"{_FAT:,} nodes with 1 MB of config each"
    beside = f"wall {fat['wall_s']:.1f} s"
    yield Row(f"{what}: sending", fat["cpu_s"], "s CPU", None, 5.0, beside)
    yield Row(f"{what}: driver (floor: the configs)", fat["peak_mb"], "MB", fat["held_mb"], 3.0)
    yield Row(f"{what}: a worker", fat["worker_mb"], "MB", None, 50.0)


def _run(what: str, count: int) -> dict[str, Any]:
    program = [sys.executable, "-m", "tests.benchmarks.large_program", what, str(count)]
    environ = {**os.environ, "HULDRA_PATH": f"{os.environ['HULDRA_PATH']}-{what}"}
    done = subprocess.run(program, env=environ, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
