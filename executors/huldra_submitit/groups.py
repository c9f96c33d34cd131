"""How a graph becomes few job arrays: pure, no Slurm here.

Nodes of one array share their parameters and one dependency text. Nodes that also wait for the
same others go together; where a level of the graph has too many different sets of others, the
level goes as one array behind a barrier (everything that any of its nodes waits for). So the
number of arrays grows with the graph's depth and its kinds of nodes, not with its size.

An array waits for the *end* of what is before it, well or badly (`afterany`): a worker looks at
its dependencies' artifacts itself, so a failed element takes no innocent node along.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from huldra.engines.kit import Task, TaskGraph

# Up to so many different sets of dependencies among equal nodes of a level stay apart, to start
# as early as they can; more become one array behind a barrier.
MAX_SPLIT = 4
# A longer list of single elements is written as the whole array: Slurm keeps the text per job.
MAX_ELEMENTS = 16


@dataclass(frozen=True)
class Group:
    """The nodes of one `sbatch`; `per_job` of them run in one job, one after another.

    Node `index` runs in element `index // per_job` of the array.
    """

    keys: tuple[str, ...]
    per_job: int = 1

    @property
    def jobs(self) -> int:
        """How many jobs the whole group is."""
        return -(-len(self.keys) // self.per_job)

    @property
    def is_array(self) -> bool:
        """True if it is submitted as an array; one job is a plain one."""
        return self.jobs > 1

    def digest(self) -> str:
        """Name this group's nodes in eight characters."""
        return hashlib.blake2s("\n".join(self.keys).encode(), digest_size=4).hexdigest()

    def present(self, graph: TaskGraph) -> tuple[int, ...]:
        """The indices of those nodes that `graph` still holds.

        Between planning and sending, another driver may have been faster with a node.
        """
        return tuple(index for index, key in enumerate(self.keys) if key in graph.tasks)

    def elements(self, graph: TaskGraph) -> tuple[int, ...]:
        """The elements of the array that hold a node which `graph` still holds."""
        return tuple(dict.fromkeys(index // self.per_job for index in self.present(graph)))


def group(
    graph: TaskGraph,
    fingerprints: Mapping[str, str],
    max_array_size: int,
    per_job: Callable[[str], int] = lambda _: 1,
) -> list[Group]:
    """Cut a graph into arrays, in an order in which each follows all that it waits for.

    `per_job` says of a node how many of its kind one job runs; it is equal where fingerprints are.
    """
    groups = []
    for level in _levels(graph):
        for keys in _arrays_of(level, graph, fingerprints):
            each = max(1, per_job(keys[0]))
            size = each * max(1, max_array_size)
            cuts = [tuple(keys[at : at + size]) for at in range(0, len(keys), size)]
            groups += [Group(cut, min(each, len(cut))) for cut in cuts]
    return groups


def _levels(graph: TaskGraph) -> list[list[str]]:
    depth: dict[str, int] = {}
    levels: list[list[str]] = []
    for key, task in graph.tasks.items():
        depth[key] = max((depth[before] + 1 for before in task.after), default=0)
        if depth[key] == len(levels):
            levels.append([])
        levels[depth[key]].append(key)
    return levels


def _arrays_of(
    level: Sequence[str], graph: TaskGraph, fingerprints: Mapping[str, str]
) -> list[list[str]]:
    arrays: list[list[str]] = []
    for equal in _by(level, lambda key: fingerprints[key]):
        apart = _by(equal, lambda key: _waits_for(graph.tasks[key]))
        arrays += apart if len(apart) <= MAX_SPLIT else [equal]
    return arrays


def _waits_for(task: Task) -> object:
    return frozenset(task.after), frozenset(ref.job_id for ref in task.after_jobs)


def _by(keys: Iterable[str], feature: Callable[[str], object]) -> list[list[str]]:
    found: dict[object, list[str]] = {}
    for key in keys:
        found.setdefault(feature(key), []).append(key)
    return list(found.values())


def dependency_text(
    group: Group, graph: TaskGraph, groups: Sequence[Group], job_ids: Sequence[str], engine: str
) -> str:
    """Write what a group waits for; `job_ids` are those of the groups before it.

    A group that was not sent has an empty id. Jobs of other drivers count when they are of the
    same `engine`; when they are many they are written per array, not per element.
    """
    tasks = [graph.tasks[key] for key in group.keys if key in graph.tasks]
    wanted = {key for task in tasks for key in task.after}
    ids: list[str] = []
    for before, main in zip(groups, job_ids, strict=False):
        ids += _ids(before, main, wanted, graph)
    outside = [ref.job_id for task in tasks for ref in task.after_jobs if ref.engine == engine]
    outside = list(dict.fromkeys(job_id for job_id in outside if job_id))
    if len(outside) > MAX_ELEMENTS:
        outside = list(dict.fromkeys(job_id.partition("_")[0] for job_id in outside))
    ids += outside
    return f"afterany:{':'.join(ids)}" if ids else ""


def _ids(before: Group, main: str, wanted: set[str], graph: TaskGraph) -> list[str]:
    needed = (index for index in before.present(graph) if before.keys[index] in wanted)
    elements = list(dict.fromkeys(index // before.per_job for index in needed))
    if not main or not elements:
        return []
    is_all = len(elements) == len(before.elements(graph))
    if not before.is_array or is_all or len(elements) > MAX_ELEMENTS:
        return [main]
    return [f"{main}_{index}" for index in elements]


def index_text(indices: Sequence[int]) -> str:
    """Write array indices as sbatch reads them: `0-3,7`."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def job_name(base: str, run_id: str, group: Group) -> str:
    """The name by which a job is found whose id was never recorded; unique for each group.

    `base` is what the user calls these jobs; characters that are not safe in a shell, a file
    name or squeue's lists become dashes.
    """
    safe = re.sub(r"[^A-Za-z0-9_.]+", "-", base).strip("-")[:60] or "huldra"
    return f"{safe}-{run_id}-{group.digest()}"


def class_name(key: str) -> str:
    """The class in a node's key, without its module."""
    return key.rpartition("/")[0].rpartition("/")[2]
