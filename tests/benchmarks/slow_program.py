"""`python -m tests.benchmarks.slow_program WHAT COUNT`: one thing to do on a slow file system.

Prints one line of JSON: the seconds that it took and the calls that this process made.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Callable

import huldra
from huldra.testing import FakeExecutor
from huldra_local import LocalExecutor
from tests.benchmarks import bench_hit
from tests.benchmarks.configs import Item


def main(what: str, count: int) -> None:
    """Do it."""
    objects = [Item(number=number) for number in range(count)]
    if what == "fill":  # without the delay: what "hits" and "plan-made" will find
        bench_hit.fill(count)
        return
    Item(number=-1).load_or_create()
    if what == "sweep":
        with LocalExecutor(2) as pool:
            warm = [Item(number=-2 - number) for number in range(8)]
            huldra.load_or_create(warm, executor=pool).results()
            _tell(lambda: huldra.load_or_create(objects, executor=pool).results())
    elif what == "send":
        _tell(lambda: huldra.load_or_create(objects, executor=FakeExecutor()))
    elif what == "hits":
        _tell(lambda: huldra.load_or_create(objects))
    else:
        _tell(lambda: huldra.plan(objects))


def _tell(work: Callable[[], object]) -> None:
    calls, started = _calls(), time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "calls": _calls() - calls}))


def _calls() -> int:
    counted = getattr(ctypes.CDLL(None), "slow_calls", None)
    return int(counted()) if counted is not None else 0


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
