"""What pool workers run in these tests instead of the core: a payload says what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huldra.engines.protocol import Executor, Task, TaskGraph
from huldra.engines.resources import Resources
from huldra.errors import NodeFailed
from huldra.store.job_ref import JobRef
from huldra.store.process import start_time
from huldra.worker import server

RUNNER = "tests.executors.local.stub:run"


def run(payload: str, job: JobRef) -> None:
    """Do what the payload says, noting when it began and ended."""
    order = json.loads(payload)
    note(order, "began")
    getattr(sys.modules[__name__], "do_" + order.get("do", "nothing"))(order)
    note(order, "ended")


def run_interrupted_once(payload: str, job: JobRef) -> None:
    """Run a node of the core; the first time a SIGINT comes before it has begun."""
    flag = Path(json.loads(payload)["run"]).with_name("interrupted")
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGINT)
    server.run_node(payload, job)


def run_on_bad_disk(payload: str, job: JobRef) -> None:
    """Break as `run_node` does that cannot read what it needs; `last` is run by the core."""
    words = json.loads(payload)
    if json.loads(Path(words["run"]).read_text())["nodes"][words["key"]]["after"]:
        server.run_node(payload, job)
    raise OSError("told to break")


def note(order: Mapping[str, Any], what: str) -> None:
    """Append one line to the test's diary; a line this short is written in one piece."""
    if path := order.get("diary"):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "-")
        os.write(handle, f"{order['name']} {what} {os.getpid()} {gpus}\n".encode())
        os.close(handle)


def do_nothing(order: Mapping[str, Any]) -> None:
    """Succeed."""


def do_fail(order: Mapping[str, Any]) -> None:
    raise NodeFailed("told to fail")


def do_exit(order: Mapping[str, Any]) -> None:
    raise SystemExit(0)


def do_leave(order: Mapping[str, Any]) -> None:
    os._exit(0)


def do_die_once(order: Mapping[str, Any]) -> None:
    if not os.path.exists(order["flag"]):
        Path(order["flag"]).touch()
        os.kill(os.getpid(), signal.SIGKILL)


def do_wait(order: Mapping[str, Any]) -> None:
    """Wait until a file is there: how a test holds a task."""
    deadline = time.monotonic() + 60
    while not os.path.exists(order["until"]):
        if time.monotonic() > deadline:
            raise NodeFailed("waited too long")
        time.sleep(0.005)


def do_ignore_sigterm(order: Mapping[str, Any]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(order, "deaf")
    do_wait(order)


def do_print(order: Mapping[str, Any]) -> None:
    print("from the node", order["name"])
    subprocess.run([sys.executable, "-c", "print('from its child')"], check=True)


def do_read_stdin(order: Mapping[str, Any]) -> None:
    if sys.stdin.read():
        raise NodeFailed("read something that was not for it")


def do_look_for_variable(order: Mapping[str, Any]) -> None:
    """Fail if the variable that the order names is in the environment."""
    if order["variable"] in os.environ:
        raise NodeFailed("it is there")


def do_start_child(order: Mapping[str, Any]) -> None:
    """Leave a child behind that keeps this worker's pipes open, and die."""
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    note(order, f"child:{pid}")
    os.kill(os.getpid(), signal.SIGKILL)


class Orders:
    """Builds graphs of such orders, with a diary and a run folder in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.diary = folder / "diary"
        self._runs = 0

    def graph(self, *tasks: Task, preempt_max: int = 5) -> TaskGraph:
        self._runs += 1
        run = self.folder / f"run-{self._runs}"
        run.mkdir()
        path = str(run / "graph.json")
        by_key = {task.key: task for task in tasks}
        return TaskGraph(run.name, path, str(self.folder), by_key, preempt_max)

    def task(
        self,
        name: str,
        do: str = "nothing",
        after: Sequence[str] = (),
        resources: Resources | None = None,
        after_jobs: Sequence[JobRef] = (),
        needs: Sequence[str] = (),
        **more: Any,
    ) -> Task:
        order = {"name": name, "do": do, "diary": str(self.diary), **more}
        return Task(
            key=f"stub/{name}",
            task_name=f"stub-{name}-1",
            label=name,
            payload=json.dumps(order),
            directory=str(self.folder),
            log_path=str(self.folder / "log"),
            needs=tuple(f"stub/{a}" for a in (*after, *needs)),
            after=tuple(f"stub/{a}" for a in after),
            after_jobs=tuple(after_jobs),
            resources=resources or Resources(),
        )

    def entries(self) -> list[list[str]]:
        """The diary: name, what, pid, visible GPUs."""
        return (
            [line.split() for line in self.diary.read_text().splitlines()]
            if self.diary.exists()
            else []
        )

    def count(self, name: str, what: str) -> int:
        return sum(entry[:2] == [name, what] for entry in self.entries())


def send(executor: Executor, graph: TaskGraph) -> dict[str, JobRef]:
    """Submit a graph; its refs by the tasks' names."""
    refs: dict[str, JobRef] = {}
    executor.submit(graph, lambda key, ref: refs.__setitem__(key.removeprefix("stub/"), ref))
    return refs


def finish(
    executor: Executor, refs: Mapping[str, JobRef], patience_s: float = 60
) -> dict[str, str]:
    """Wait until all are over; their statuses by name."""
    deadline = time.monotonic() + patience_s
    left = set(refs.values())
    while left:
        assert time.monotonic() < deadline, f"still open: {executor.status(left)}"
        left -= executor.wait(left, 1.0)
    statuses = executor.status(refs.values())
    return {name: statuses[ref].value for name, ref in refs.items()}


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    return start_time(pid) is not None
