"""Threads of this process, and any `concurrent.futures.Executor` of the user's."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process  # its hook at the interpreter's end must stand before ours
import concurrent.futures.thread  # as above
import contextlib
import threading
from collections.abc import Collection, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

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
from huldra.errors import HuldraSubmitError, NodeFailed
from huldra_local.engine import LocalEngine, living
from huldra_local.inline import Runner, check_in_process, logger, run_node


@dataclass(eq=False)
class _Entry:
    ref: JobRef
    task: Task
    waits_for: int = 0
    dependents: list[_Entry] = field(default_factory=list)
    upstream_failed: bool = False
    future: Future[None] | None = None
    over: bool = False


class FuturesExecutor(LocalEngine):
    """Runs nodes on a `concurrent.futures.Executor`, each once its dependencies are over.

    What it does not do: end a node that runs, retry one whose worker died, honour resources. In a
    `ProcessPoolExecutor` a single killed worker breaks the whole pool (all that is open is LOST,
    and that pool takes nothing more), and a script needs a main guard unless it forks.
    `"local"` has none of these limits. The pool is the user's, and never shut down here.
    """

    def __init__(
        self,
        pool: concurrent.futures.Executor,
        *,
        form: str = "futures",
        run: Runner = run_node,
    ) -> None:
        super().__init__(form)
        self._pool = pool
        self._run = run
        self._in_process = not isinstance(pool, concurrent.futures.ProcessPoolExecutor)
        self.capabilities = Capabilities(
            cancels_queued=True,
            ignores=RESOURCE_KEYS if self._in_process else frozenset(),
            extra_prefix="local_",
        )
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, _Entry] = {}

    def __repr__(self) -> str:
        return f"FuturesExecutor({self._pool!r})"

    def wraps(self, pool: concurrent.futures.Executor) -> bool:
        """Return True if this is the wrapper of that pool."""
        return self._pool is pool

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Threads ignore resources; a process pool cannot honour them, so it refuses."""
        if self._in_process:
            return check_in_process(graph, self.capabilities)
        return refuse_by_capabilities(graph, self.capabilities)

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Send what can run now; the rest follows as its dependencies end."""
        ids: dict[str, str] = {}
        in_flight = graph.in_flight(self._table.open_by_node)
        try:
            for key, task in graph.tasks.items():
                entry = _Entry(self._table.open(graph, key), task)
                ids[key] = entry.ref.job_id
                on_submitted(key, entry.ref)
                after = [ids[k] for k in task.after]
                after += in_flight.get(key, [])
                after += [r.job_id for r in task.after_jobs if self.owns(r)]
                if self._admit(entry, after):
                    self._send(entry)
        except RuntimeError as error:  # of the pool: shut down, or broken by a worker's death
            self._cancel_ids(ids.values())
            raise HuldraSubmitError(
                f"run {graph.run_id}: the pool {self._pool!r} refused the tasks: {error}; create a"
                ' new pool, or use executor="local"'
            ) from error
        except BaseException:
            self._cancel_ids(ids.values())
            raise

    def _admit(self, entry: _Entry, after: list[str]) -> bool:
        """Register a job; whether it can run now."""
        with self._lock:
            self._open[entry.ref.job_id] = entry
            for job_id in after:
                earlier = self._open.get(job_id)
                if earlier is not None:
                    earlier.dependents.append(entry)
                    entry.waits_for += 1
                elif self._table.get(job_id) is not JobStatus.SUCCEEDED:
                    entry.upstream_failed = True
            return entry.waits_for == 0

    def _send(self, entry: _Entry) -> None:
        """Hand one job to the pool."""
        run = self._run_unless_leaving if self._in_process else self._run
        future = self._pool.submit(run, entry.task.payload, entry.ref)
        entry.future = future
        future.add_done_callback(partial(self._on_done, entry))

    def _run_unless_leaving(self, payload: str, ref: JobRef) -> None:
        if self._table.is_leaving:
            raise NodeFailed("not started: the process in which it was queued is ending")
        self._run(payload, ref)

    def _on_done(self, entry: _Entry, future: Future[None]) -> None:
        status = _status_of(entry, future)
        ready = self._settle(entry, status)
        if status is not JobStatus.LOST:
            self._go_on(ready)
            return
        # The pool is broken and takes nothing more. A newer Python's holds its lock while it says
        # so, and would wait for itself if it were asked.
        while ready:
            ready += self._settle(ready.pop(), JobStatus.LOST)

    def _go_on(self, ready: list[_Entry]) -> None:
        """Send what can run now; with a pool that takes nothing more, all of it is lost."""
        while ready:
            entry = ready.pop()
            if self._table.is_leaving:
                ready += self._settle(entry, JobStatus.CANCELLED)
                continue
            try:
                self._send(entry)
            except RuntimeError as error:  # shut down, or broken by the death of a worker
                logger.warning("%s is lost: %r refused it: %s", entry.task.label, self._pool, error)
                ready += self._settle(entry, JobStatus.LOST)

    def _settle(self, entry: _Entry, status: JobStatus) -> list[_Entry]:
        """Record an end; returns the jobs that it lets run."""
        with self._lock:
            if entry.over:
                return []
            entry.over = True
            self._open.pop(entry.ref.job_id, None)
            # Inside the lock, so that a job submitted now finds this one open or ended.
            self._table.end([(entry.ref.job_id, status)])
            for dependent in entry.dependents:
                dependent.waits_for -= 1
                dependent.upstream_failed |= status is not JobStatus.SUCCEEDED
            return [d for d in entry.dependents if d.waits_for == 0 and not d.over]

    def status(self, refs: Collection[JobRef]) -> dict[JobRef, JobStatus]:
        """The status of each; the pool is asked which of its tasks run."""
        statuses = self._table.status(refs)
        for ref in refs:
            entry = self._open.get(ref.job_id)
            if entry is not None and entry.future is not None and entry.future.running():
                statuses[ref] = JobStatus.RUNNING
        return statuses

    def cancel(self, refs: Collection[JobRef]) -> None:
        """Drop what has not started; what runs goes on, unless its node looks for the request."""
        self._cancel_ids(ref.job_id for ref in refs)

    def _cancel_ids(self, job_ids: Iterable[str]) -> None:
        for job_id in list(job_ids):
            entry = self._open.get(job_id)
            if entry is None:
                continue
            if entry.future is not None:
                entry.future.cancel()  # its callback settles it, unless it runs
            else:
                self._go_on(self._settle(entry, JobStatus.CANCELLED))

    def drop_queue(self) -> None:
        """Begin nothing more, the process being about to end: a pool would run all of it first."""
        self._table.leave()
        for entry in list(self._open.values()):
            if entry.future is not None:
                entry.future.cancel()

    def after_fork(self) -> None:
        """Forget the parent's jobs."""
        super().after_fork()
        self._reset()


def _drop_queues() -> None:
    for engine in living():
        if isinstance(engine, FuturesExecutor):
            engine.drop_queue()


# The interpreter joins the threads of pools before it calls what stands in `atexit`, and these
# first run all that is queued. Python has no public call for what must come before.
_register = getattr(threading, "_register_atexit", None)
if _register is not None:
    with contextlib.suppress(RuntimeError):  # imported while the interpreter is ending
        _register(_drop_queues)


def _status_of(entry: _Entry, future: Future[None]) -> JobStatus:
    if future.cancelled():
        return JobStatus.CANCELLED
    error = future.exception()
    if error is None:
        return JobStatus.SUCCEEDED
    if isinstance(error, concurrent.futures.BrokenExecutor):
        return JobStatus.LOST
    if not isinstance(error, NodeFailed):
        logger.warning("%s ended by %s: %s", entry.task.label, type(error).__name__, error)
    return JobStatus.UPSTREAM_FAILED if entry.upstream_failed else JobStatus.FAILED


class ThreadsExecutor(FuturesExecutor):
    """Threads that this executor owns and ends with `close`."""

    def __init__(self, count: int, run: Runner = run_node) -> None:
        self._count = count
        pool = concurrent.futures.ThreadPoolExecutor(count, thread_name_prefix="huldra")
        super().__init__(pool, form="threads", run=run)

    def close(self) -> None:
        """Drop what has not started and wait for what runs."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def after_fork(self) -> None:
        """Use new threads: the parent's are not here."""
        super().after_fork()
        self._pool = concurrent.futures.ThreadPoolExecutor(self._count, thread_name_prefix="huldra")
