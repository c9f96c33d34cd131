"""A stand-in for `run_node`, for tests of the adapter alone: does what its payload says."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from huldra.engines.protocol import Task, TaskGraph
from huldra.engines.resources import Resources
from huldra.errors import NodeFailed


def run(payload: str, job: object = None) -> None:
    """Note the call in a file, then end as told."""
    orders = json.loads(payload)
    with Path(orders["notes"]).open("a", encoding="utf-8") as notes:
        notes.write(f"{orders['key']} {os.getpid()}\n")
    calls = calls_of(orders["notes"], orders["key"])
    match orders["do"]:
        case "fail":
            raise NodeFailed(f"{orders['key']} was told to fail")
        case "exit":
            sys.exit(0)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "die once" if calls == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "print":
            print(f"{orders['key']} speaks")
        case "sleep":
            time.sleep(600)


def calls_of(notes: str | Path, key: str) -> int:
    """How often `run` was called for a key."""
    path = Path(notes)
    if not path.exists():
        return 0
    return sum(line.split()[0] == key for line in path.read_text(encoding="utf-8").splitlines())


def graph(folder: Path, nodes: dict[str, Any], preempt_max: int = 2) -> TaskGraph:
    """A graph of stand-ins: `{key: (what to do, keys before it)}`, or with `Resources` as third."""
    run_path = folder / "runs" / "r1" / "graph.json"
    run_path.parent.mkdir(parents=True, exist_ok=True)
    tasks = {}
    for key, (what, after, *rest) in nodes.items():
        notes = str(folder / "notes")
        orders = {"do": what, "key": key, "notes": notes, "run": str(run_path)}
        digest = f"{abs(hash((str(folder), key))):032x}"
        tasks[key] = Task(
            key=key,
            task_name=f"tests.standin/Node-{digest}-1",
            label=key,
            payload=json.dumps(orders),
            directory=str(folder / key),
            log_path=str(folder / key / "log"),
            after=tuple(after),
            resources=rest[0] if rest else Resources(),
        )
    return TaskGraph("r1", str(run_path), str(folder), tasks, preempt_max)
