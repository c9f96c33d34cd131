"""`LocalExecutor`: a pool of warm worker processes on this machine."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Collection, Sequence
from typing import Self

from huldra.engines.kit import (
    RESOURCE_KEYS,
    Capabilities,
    JobRef,
    OnSubmitted,
    Refusal,
    Resources,
    RetryPolicy,
    TaskGraph,
    refuse_by_capabilities,
)
from huldra.errors import HuldraSubmitError
from huldra.worker.server import RUN_NODE
from huldra_local.engine import LocalEngine
from huldra_local.machine import available_cpus, total_memory_gb, visible_gpus
from huldra_local.scheduler import PoolJob, PoolSettings, Scheduler
from huldra_local.slots import Need, Totals

logger = logging.getLogger("huldra.local")

_NO_REQUEST = Resources()


class LocalExecutor(LocalEngine):
    """Runs nodes in warm processes of this machine, each as soon as its dependencies are made.

    Args:
        workers: how many nodes run at once; the cpus that this process may use when not given.
        cpus: how many cpus nodes may reserve together; a node that names none takes one.
            As many as there are, or as there are workers, when not given.
        gpus: how many GPUs, or their names as in `CUDA_VISIBLE_DEVICES`; the visible ones when
            not given. A node that asks for GPUs sees those that it got and no others; one that
            asks for none sees what this process sees.
        memory_gb: how many GiB nodes may reserve together; the machine's when not given.
            Reserved, not enforced.
        idle_s: seconds until a worker without work is let go.
        grace_s: seconds that a cancelled or timed-out node has between SIGTERM and SIGKILL.
        runner: what workers call with a payload and the job's ref, as `module:function`.

    Close it, or leave that to the end of the process; it is a context manager for that.
    `time_min` is enforced. A worker that dies costs its own node one of `HULDRA_PREEMPT_MAX` new
    tries and no other node anything; two kills in a row, or one for lack of memory, are the last.
    A node whose `Retry` asks for more memory or time gets it, up to what the pool has.
    Jobs end with this process: what runs is sent SIGTERM and recorded as preempted. What nodes
    print goes to a file beside the run record, named by `logs`. Workers have the environment that
    this process had when they started; they never import
    `__main__`. A forked child of this process has a pool of its own.
    """

    capabilities = Capabilities(
        native_dependencies=True,
        cancels_queued=True,
        kills_running=True,
        isolates=True,
        retries_infrastructure=True,
        honours=RESOURCE_KEYS,
        grows=frozenset({"memory_gb", "time_min"}),
        extra_prefix="local_",
    )

    def __init__(
        self,
        workers: int | None = None,
        *,
        cpus: float | None = None,
        gpus: int | Sequence[str] | None = None,
        memory_gb: float | None = None,
        idle_s: float = 60.0,
        grace_s: float = 10.0,
        runner: str = RUN_NODE,
    ) -> None:
        super().__init__("pool")
        if workers is not None and workers < 1:
            raise ValueError(f"a local pool needs at least one worker, not {workers}")
        count = workers or available_cpus()
        totals = Totals(
            count,
            max(count, available_cpus()) if cpus is None else cpus,
            _gpu_names(gpus),
            total_memory_gb() if memory_gb is None else memory_gb,
        )
        self._settings = PoolSettings(totals, idle_s, grace_s, runner)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._scheduler: Scheduler | None = None
        self._numbers = itertools.count(1)
        self._closed = False

    def __repr__(self) -> str:
        return f"LocalExecutor(workers={self._settings.totals.workers})"

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Refuse what is more than the whole pool has, and keys that it does not know."""
        refusals = refuse_by_capabilities(graph, self.capabilities)
        for task in graph.tasks.values():
            if task.resources == _NO_REQUEST:
                continue
            for key in sorted(RESOURCE_KEYS - {"time_min"}):
                if reason := self._settings.totals.refusal(key, task.resources):
                    refusals.append(Refusal(task.key, key, reason))
            refusals += [
                Refusal(task.key, key, "the local pool has no such option")
                for key in task.resources.extra
                if key.startswith("local_")
            ]
        return refusals

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Queue the graph; workers start on it meanwhile."""
        scheduler = self._started()
        log_directory = os.path.dirname(graph.run_path)
        ids: dict[str, str] = {}
        retry = RetryPolicy(graph.preempt_max, most=self._settings.totals.most())
        in_flight = graph.in_flight(self._table.open_by_node)
        try:
            for key, task in graph.tasks.items():
                ref = self._table.open(graph, key)
                ids[key] = ref.job_id
                job = PoolJob(
                    number=next(self._numbers),
                    ref=ref,
                    task=task,
                    need=Need.of(task.resources),
                    log_directory=log_directory,
                    retry=retry,
                    asked=task.resources,
                )
                on_submitted(key, ref)
                # A job of another driver is not waited for here: `run_node` does that.
                attached = [r.job_id for r in task.after_jobs if self.owns(r)]
                attached += in_flight.get(key, [])
                scheduler.submit(job, [ids[k] for k in task.after] + attached)
        except BaseException:
            scheduler.cancel(list(ids.values()))
            raise

    def cancel(self, refs: Collection[JobRef]) -> None:
        """Drop what is queued; end what runs by SIGTERM, and by SIGKILL after the grace."""
        scheduler = self._scheduler
        if scheduler is not None:
            scheduler.cancel([ref.job_id for ref in refs if self.owns(ref)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all jobs and workers; returns when they are gone. Nothing can be sent any more."""
        with self._lock:
            self._closed = True
            scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None:
            scheduler.close()

    def after_fork(self) -> None:
        """Leave the parent's workers alone; the next submit starts own ones."""
        super().after_fork()
        if self._scheduler is not None:
            self._scheduler.detach_after_fork()
        self._reset()

    def _started(self) -> Scheduler:
        with self._lock:
            if self._closed:
                raise HuldraSubmitError(
                    f"cannot submit to {self!r}: it is closed; create a new one"
                )
            if self._scheduler is None or not self._scheduler.is_alive:
                logger.info("%r: its jobs end with this process", self)
                self._scheduler = Scheduler(self._settings, self._table, self)
            return self._scheduler


def _gpu_names(gpus: int | Sequence[str] | None) -> tuple[str, ...]:
    if gpus is None:
        return visible_gpus(os.environ)
    if isinstance(gpus, int):
        seen = visible_gpus(os.environ)
        return seen[:gpus] if len(seen) >= gpus else tuple(str(index) for index in range(gpus))
    return tuple(gpus)


__all__ = ["LocalExecutor"]
