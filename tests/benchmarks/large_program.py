"""`python -m tests.benchmarks.large_program many|fat COUNT`: a graph that is large in one way.

Prints one line of JSON: seconds of the clock and of the processor, and memory in MB.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

import huldra
from huldra.testing import FakeExecutor
from huldra_local import LocalExecutor
from tests.benchmarks.big import Big
from tests.benchmarks.configs import Item

_FIELD_BYTES = 1 << 20
_RUN = 40  # of the large configs are computed, to see what a worker takes


def main(what: str, count: int) -> None:
    """Do it."""
    Item(number=-1).load_or_create()
    before_mb = _memory_mb()
    if what == "many":
        objects: list[Any] = [Item(number=number) for number in range(count)]
    else:
        letters = "abcdefghijklmnopqrstuvwxyz"
        objects = [Big(number=n, text=letters[n % 26] * _FIELD_BYTES) for n in range(count)]
    held_mb = _memory_mb() - before_mb
    found = {**_sent(objects), "held_mb": held_mb, "peak_mb": _memory_mb() - before_mb}
    if what == "fat":
        found["worker_mb"] = _worker_mb(objects[:_RUN])
    print(json.dumps(found))


def _sent(objects: list[Any]) -> dict[str, float]:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    huldra.load_or_create(objects, executor=FakeExecutor())
    return {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}


def _worker_mb(objects: list[Any]) -> float:
    """The most memory that a worker has had that made these."""
    others = [Big(number=-1 - obj.number, text=obj.text) for obj in objects]
    with LocalExecutor(1) as pool:
        sweep = huldra.load_or_create(others, executor=pool)
        sweep.results()
        owner = huldra.StateManager.history(others[0].huldra_dir)[-1].claim.owner
        status = Path(f"/proc/{owner.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
