"""`InlineExecutor`: the graph runs inside `submit`, in this process and thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from huldra.engines.kit import (
    RESOURCE_KEYS,
    Capabilities,
    JobRef,
    JobStatus,
    OnSubmitted,
    Refusal,
    Task,
    TaskGraph,
    refuse_by_capabilities,
)
from huldra_local.engine import LocalEngine

logger = logging.getLogger("huldra.local")

Runner = Callable[[str, JobRef], None]


class InlineExecutor(LocalEngine):
    """Runs each node at once, in the order of the graph: for debugging and for small sweeps.

    Resources have no effect. A failed node does not stop the others. Ctrl-C ends the rest.
    """

    capabilities = Capabilities(ignores=RESOURCE_KEYS, extra_prefix="local_")
    runs_in_submit = True

    def __init__(self, run: Runner | None = None) -> None:
        super().__init__("inline")
        self._run = run or run_node

    def __repr__(self) -> str:
        return "InlineExecutor()"

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Refuse only keys that no engine knows."""
        return check_in_process(graph, self.capabilities)

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Run the whole graph; returns when all of it is over."""
        refs = {}
        for key in graph.tasks:
            refs[key] = self._table.open(graph, key)
            on_submitted(key, refs[key])
        try:
            for key, task in graph.tasks.items():
                self._run_one(task, [refs[k] for k in task.after], refs[key])
        finally:
            # Only Ctrl-C and its like leave any job open.
            self._table.end((ref.job_id, JobStatus.CANCELLED) for ref in refs.values())

    def _run_one(self, task: Task, after: list[JobRef], ref: JobRef) -> None:
        self._table.set_open(ref.job_id, JobStatus.RUNNING)
        status = run_here(self._run, task.payload, ref)
        if status is JobStatus.FAILED and not self._all_succeeded(after):
            status = JobStatus.UPSTREAM_FAILED
        self._table.end([(ref.job_id, status)])

    def _all_succeeded(self, refs: list[JobRef]) -> bool:
        return all(s is JobStatus.SUCCEEDED for s in self._table.status(refs).values())

    def cancel(self, refs: Collection[JobRef]) -> None:
        """Do nothing: once `submit` has returned, all is over."""


def run_node(payload: str, job: JobRef) -> None:
    """Run one node through the core, which is imported now and not with this package."""
    from huldra.worker.node import run_node as run

    run(payload, job=job)


def run_here(run: Runner, payload: str, job: JobRef) -> JobStatus:
    """Run one payload in this thread and say how it went; Ctrl-C passes through."""
    from huldra.errors import NodeFailed

    try:
        run(payload, job)
    except NodeFailed as failure:
        logger.debug("a node failed: %s", failure)
        return JobStatus.FAILED
    return JobStatus.SUCCEEDED


def check_in_process(graph: TaskGraph, capabilities: Capabilities) -> list[Refusal]:
    """What engines inside this process refuse; what they ignore is said at DEBUG."""
    for task in graph.tasks.values():
        for key in sorted(capabilities.ignores):
            if getattr(task.resources, key):
                logger.debug("%s: %s has no effect in this process", task.label, key)
    return refuse_by_capabilities(graph, capabilities)
