"""How many nodes share a job, and what such a job asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huldra.engines.kit import TaskGraph, history
from huldra_submitit.groups import Group
from huldra_submitit.site import minutes

_SHORTEST_S = 0.5  # of a node: huldra's own work on it, with time to spare


@dataclass(frozen=True)
class Sharing:
    """What the user said of it: `nodes_per_job`, `minutes_per_job`, both, or neither."""

    nodes_per_job: int | None = None
    minutes_per_job: float | None = None

    def __post_init__(self) -> None:
        for name in ("nodes_per_job", "minutes_per_job"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, not {value!r}")

    def counts(self, graph: TaskGraph) -> dict[str, int]:
        """How many nodes of its kind a job runs, for each node."""
        if self.nodes_per_job is not None or self.minutes_per_job is None:
            return dict.fromkeys(graph.tasks, self.nodes_per_job or 1)
        known: dict[str, float | None] = {}
        found = {}
        for key, task in graph.tasks.items():
            limit_min, namespace = task.resources.time_min, key.rpartition("/")[0]
            if limit_min is None and namespace not in known:
                before = history(graph.root, namespace)
                known[namespace] = before.wall_s if before is not None else None
            takes_s = limit_min * 60 if limit_min is not None else known[namespace]
            # Of a class without a limit and without a past nothing is known: one node a job.
            room = self.minutes_per_job * 60
            found[key] = 1 if takes_s is None else max(1, int(room / max(takes_s, _SHORTEST_S)))
        return found

    def parameters(self, each: Mapping[str, Any], group: Group) -> dict[str, Any]:
        """What the job of a group asks for, where `each` is what one of its nodes asks for."""
        asked = dict(each)
        if group.per_job == 1:
            return asked
        limit_min = minutes(asked.get("time"))
        if self.minutes_per_job is not None:
            asked["time"] = math.ceil(self.minutes_per_job)
        elif limit_min is not None:
            asked["time"] = math.ceil(limit_min * group.per_job)
        return asked


def limits_of(
    graph: TaskGraph, group: Group, node_min: float | None
) -> tuple[tuple[float | None, float | None], ...]:
    """The memory_gb and the time_min of each node of a group that shares jobs.

    `node_min` is the limit that a job of one such node would have: that of a node without its own.
    """
    if group.per_job == 1:
        return ()
    asked = [graph.tasks[key].resources if key in graph.tasks else None for key in group.keys]
    return tuple(
        (each.memory_gb, node_min if each.time_min is None else each.time_min)
        if each
        else (None, None)
        for each in asked
    )
