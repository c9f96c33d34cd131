"""A driver in a process of its own: `python -m huldra.testing.driver ORDER.json`.

The order says which executor to make, what to send to it and when to leave; what became of it is
written beside the order, as `ORDER.json.sent` once all is sent and `ORDER.json.done` at the end.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import signal
import sys
import time
from pathlib import Path
from typing import Any

import huldra
from huldra.engines import registry
from huldra.store import files

_PATIENCE_S = 120.0
_LOOK_S = 0.02


def make_executor(executor: str, factory: str) -> Any:
    """What the order's executor means: a name, or what an importable function returns."""
    if not factory:
        return executor
    module, _, name = factory.partition(":")
    return getattr(importlib.import_module(module), name)()


def main(path: str) -> None:
    """Carry out one order."""
    order = json.loads(Path(path).read_text())
    sys.path[:0] = order.get("paths", [])
    huldra.set_huldra_root(Path(order["root"]))
    huldra.HULDRA_CONFIG.update(**order["settings"])
    steps: list[huldra.Huldra[Any]] = [
        huldra.Huldra.from_dict(document) for document in order["steps"]
    ]
    if order["then"] == "look":
        _report(path, "done", _look(order))
        return
    executor = make_executor(order["executor"], order["factory"])
    jobs = [step.load_or_create(executor=executor) for step in steps]
    _report(path, "sent", {"job_ids": [job.job_id for job in jobs], "pid": os.getpid()})
    if order["then"] == "vanish":
        os._exit(0)
    if order["then"] == "close":
        _await(Path(f"{path}.close"))
        registry.resolve(executor).close()
        _report(path, "closed", {})
        _await(Path(f"{path}.end"))
    if order["then"] in ("leave", "interrupt"):
        _await(Path(f"{path}.leave"))
        if order["then"] == "interrupt":
            signal.raise_signal(signal.SIGINT)
    if order["then"] == "wait":
        _report(path, "done", {"results": [_outcome(job) for job in jobs]})


def _await(path: Path) -> None:
    """Wait until the test leaves this file."""
    deadline = time.monotonic() + _PATIENCE_S
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(_LOOK_S)


def _look(order: dict[str, Any]) -> dict[str, Any]:
    """Use jobs that another process pickled."""
    jobs = [pickle.loads(Path(p).read_bytes()) for p in order["pickles"]]  # noqa: S301  our own
    if order["cancel"]:
        for job in jobs:
            job.cancel()
    before = [str(job.status()) for job in jobs]
    return {"before": before, "results": [_outcome(job) for job in jobs]}


def _outcome(job: Any) -> dict[str, Any]:
    try:
        value = job.result(timeout=_PATIENCE_S)
    except Exception as error:  # noqa: BLE001  the test that gave the order judges it
        return {"error": type(error).__name__, "message": str(error)}
    return {"value": value}


def _report(path: str, what: str, record: dict[str, Any]) -> None:
    files.write_atomic(f"{path}.{what}", json.dumps({**record, "at": time.time()}).encode())


if __name__ == "__main__":
    main(sys.argv[1])
