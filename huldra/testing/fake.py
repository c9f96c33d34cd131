"""`FakeExecutor`: an engine in memory that does what the test says, when the test says it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from huldra.engines.protocol import (
    Capabilities,
    JobStatus,
    OnSubmitted,
    Refusal,
    Task,
    TaskGraph,
    refuse_by_capabilities,
)
from huldra.engines.resources import RESOURCE_KEYS
from huldra.errors import HuldraSubmitError, NodeFailed
from huldra.store.job_ref import JobRef


class FakeExecutor:
    """Takes graphs, runs nothing by itself, and remembers all that it was asked.

    The test runs a node with `run(key)` (or all of them with `run_all`), lets it end some other way
    with `end(key, status)`, and reads `graphs`, `cancelled` and `status_queries`. `refusals` is
    what `check` answers beside the usual; `accepts` is how many tasks `submit` takes before it
    fails with `HuldraSubmitError`.
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        capabilities: Capabilities | None = None,
        refusals: Sequence[Refusal] = (),
        accepts: int | None = None,
        run_node: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.capabilities = capabilities or Capabilities(
            native_dependencies=True, cancels_queued=True, ignores=RESOURCE_KEYS
        )
        self.refusals = list(refusals)
        self.accepts = accepts
        self.graphs: list[TaskGraph] = []
        self.cancelled: list[JobRef] = []
        self.status_queries: list[frozenset[JobRef]] = []
        self.closed = False
        self._run_node = run_node or _run_node
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._refs: dict[str, JobRef] = {}
        self._tasks: dict[str, Task] = {}
        self._statuses: dict[JobRef, JobStatus] = {}

    # What the test does

    @property
    def keys(self) -> list[str]:
        """The keys that were sent, in the order of submission."""
        return [key for graph in self.graphs for key in graph.tasks]

    def ref(self, key: str) -> JobRef:
        """The job of the latest submission of this node."""
        return self._refs[key]

    def run(self, key: str) -> JobStatus:
        """Run one node here and now, in this thread; returns how it ended."""
        self.end(key, JobStatus.RUNNING)
        try:
            self._run_node(self._tasks[key].payload)
        except NodeFailed:
            self.end(key, JobStatus.FAILED)
        else:
            self.end(key, JobStatus.SUCCEEDED)
        return self._statuses[self._refs[key]]

    def run_all(self) -> None:
        """Run everything that is queued, in the order of submission."""
        for key in self.keys:
            if self._statuses[self._refs[key]] is JobStatus.QUEUED:
                self.run(key)

    def end(self, key: str, status: JobStatus) -> None:
        """Let the engine say this of a node from now on, without running anything."""
        with self._changed:
            self._statuses[self._refs[key]] = status
            self._changed.notify_all()

    # The seam

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """What the capabilities rule out, and what the test says."""
        return [*refuse_by_capabilities(graph, self.capabilities), *self.refusals]

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Take the graph, or as much of it as `accepts` allows."""
        self.graphs.append(graph)
        for number, (key, task) in enumerate(graph.tasks.items()):
            if self.accepts is not None and number >= self.accepts:
                self.cancel([self._refs[k] for k in list(graph.tasks)[:number]])
                raise HuldraSubmitError(f"the fake engine takes {self.accepts} tasks, not more")
            ref = JobRef(self.name, f"{self.name}-{next(self._numbers)}", {})
            with self._changed:
                self._refs[key], self._tasks[key] = ref, task
                self._statuses[ref] = JobStatus.QUEUED
            on_submitted(key, ref)

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """What `run` and `end` have made of each."""
        self.status_queries.append(frozenset(refs))
        return {ref: self._statuses.get(ref, JobStatus.UNKNOWN) for ref in refs}

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Return those that are over, as soon as one is, or the empty set at the timeout."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                over = {r for r in refs if self._statuses.get(r, JobStatus.UNKNOWN).is_over}
                remaining = deadline - time.monotonic()
                if over or remaining <= 0:
                    return over
                self._changed.wait(remaining)

    def cancel(self, refs: Collection[JobRef]) -> None:
        """Remember the request, and drop what is queued."""
        self.cancelled += refs
        with self._changed:
            for ref in refs:
                if self._statuses.get(ref) is JobStatus.QUEUED:
                    self._statuses[ref] = JobStatus.CANCELLED
            self._changed.notify_all()

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """There are none."""
        return dict.fromkeys(refs, ())

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


def _run_node(payload: str) -> None:
    from huldra.worker.node import run_node

    run_node(payload)
