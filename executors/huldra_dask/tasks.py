"""Our tasks as Dask's: one graph of them, and what Dask gets beside it."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from huldra.engines.kit import Task, TaskGraph
from huldra_dask import resources, worker_side
from huldra_dask.worker_side import NodeCall


def dask_graph(
    graph: TaskGraph,
    names: Mapping[str, str],
    futures: Mapping[str, Sequence[Any]],
    *,
    isolate: bool,
) -> dict[str, Any]:
    """The tasks of `graph` as Dask's, by their `names`.

    `futures` are those of jobs in flight that tasks, by their keys, need beside them.
    """
    run = worker_side.run_in_child if isolate else worker_side.run_here
    needed = collections.Counter(key for task in graph.tasks.values() for key in task.after)
    dsk: dict[str, Any] = {}
    for key, task in graph.tasks.items():
        after = [names[other] for other in task.after]
        before = futures.get(key, ())
        call = _call(task, names[key], graph.preempt_max)
        if after and not before and any(needed[other] > 1 for other in task.after):
            dsk[names[key]] = _anywhere(names[key], run, call, after)
        else:
            dsk[names[key]] = (run, call, *after, *before)
    return dsk


def _call(task: Task, name: str, retries: int) -> NodeCall:
    return NodeCall(
        name=name,
        payload=task.payload,
        retries=retries,
        gpus=int(task.resources.gpus or 0),
        memory_gb=task.resources.memory_gb,
        time_min=task.resources.time_min,
        retry=task.resources.retry,
    )


def _anywhere(name: str, run: Callable[..., Any], call: NodeCall, after: Sequence[str]) -> Any:
    """A task that any free worker may take.

    Dask sends a task to the workers that hold what it needs, so all that need one node would go to
    one worker. What moves here is a token: a "data producer" goes to any free worker.
    """
    from dask._task_spec import Task as DaskTask
    from dask._task_spec import TaskRef

    refs = map(TaskRef, after)
    return DaskTask(name, run, call, *refs, _data_producer=True)


def annotations_of(
    graph: TaskGraph, names: Mapping[str, str], workers: resources.Workers
) -> dict[str, Any]:
    """What tasks take of what workers declare, and how urgent they are, as Dask's annotations."""
    asked = resources.distinct(graph.tasks.values())
    counters = {at: resources.restrictions(each, workers) for at, each in asked.items()}
    priorities = {at: each.extra.get("dask_priority") for at, each in asked.items()}
    taken, urgent = {}, {}
    for key, task in graph.tasks.items():
        at = id(task.resources)
        if counters[at]:
            taken[names[key]] = counters[at]
        if priority := priorities[at]:
            urgent[names[key]] = priority
    found: dict[str, Any] = {"resources": _ResourcesOf(taken)} if taken else {}
    return found | ({"priority": _PriorityOf(urgent)} if urgent else {})


class _ResourcesOf:
    """Says which counters a task takes, by its key; travels to the scheduler once a graph."""

    def __init__(self, by_key: dict[str, dict[str, float]]) -> None:
        self.by_key = by_key

    def __call__(self, key: str) -> dict[str, float]:
        return self.by_key.get(key, {})


class _PriorityOf:
    """Says how urgent a task is, by its key."""

    def __init__(self, by_key: dict[str, float]) -> None:
        self.by_key = by_key

    def __call__(self, key: str) -> float:
        return self.by_key.get(key, 0)
