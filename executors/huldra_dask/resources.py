"""Our resources as Dask's: counters that workers declare, and that tasks take from.

Dask knows no cpus, GPUs or memory of its own: `dask worker --resources "CPU=8 GPU=2 MEMORY=64e9"`
declares them, in these names (in any letter case), memory in bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huldra.engines.kit import Refusal, Resources, Task

GIB = 2**30
EXTRA_KEYS = frozenset({"dask_resources", "dask_priority"})
_NAMES = {"cpus": ("CPU", "CPUS"), "gpus": ("GPU", "GPUS"), "memory_gb": ("MEMORY",)}


@dataclass(frozen=True)
class Workers:
    """What the workers of a cluster declare, as far as it is known now."""

    declared: tuple[Mapping[str, float], ...]
    memory_bytes: tuple[float, ...] = ()

    @staticmethod
    def of(inspected: Sequence[Mapping[str, Any]]) -> Workers:
        """From the `workers` that the scheduler tells of."""
        return Workers(
            tuple(worker["resources"] for worker in inspected),
            tuple(float(worker["memory"] or 0) for worker in inspected),
        )

    def name_of(self, request: str) -> str | None:
        """The name under which some worker declares `cpus`, `gpus` or `memory_gb`."""
        names = {name for worker in self.declared for name in worker}
        return next((name for name in sorted(names) if name.upper() in _NAMES[request]), None)


def distinct(tasks: Iterable[Task]) -> dict[int, Resources]:
    """What tasks ask for, by the `id` of that: thousands of them may share one."""
    return {id(task.resources): task.resources for task in tasks}


def are_counted(tasks: Iterable[Task]) -> bool:
    """Return True if some task asks for anything that workers declare."""
    return any(
        any(getattr(asked, request) for request in _NAMES) or "dask_resources" in asked.extra
        for asked in distinct(tasks).values()
    )


def restrictions(resources: Resources, workers: Workers) -> dict[str, float]:
    """The counters that a task takes.

    What no worker declares is not counted, but for GPUs, which are then waited for.
    """
    wanted: dict[str, float] = {}
    for request in _NAMES:
        amount = getattr(resources, request)
        if not amount:
            continue
        name = workers.name_of(request) or ("GPU" if request == "gpus" else None)
        if name:
            wanted[name] = amount * GIB if request == "memory_gb" else amount
    wanted.update(resources.extra.get("dask_resources") or {})
    return wanted


def refuse(tasks: Iterable[Task], workers: Workers) -> list[Refusal]:
    """Name what no worker of now can ever give; without any worker, nothing is refused."""
    refusals = []
    verdicts: dict[str, list[tuple[str, str]]] = {}
    for task in tasks:
        shape = repr(task.resources)
        if shape not in verdicts:
            verdicts[shape] = list(_problems(task.resources, workers))
        refusals += [Refusal(task.key, request, reason) for request, reason in verdicts[shape]]
    return refusals


def _problems(resources: Resources, workers: Workers) -> Iterable[tuple[str, str]]:
    for key in resources.extra:
        if key.startswith("dask_") and key not in EXTRA_KEYS:
            yield key, f"Dask takes {', '.join(sorted(EXTRA_KEYS))}"
    if not workers.declared:
        return
    wanted = restrictions(resources, workers)
    if any(_gives(worker, wanted) for worker in workers.declared):
        yield from _too_much_memory(resources, workers)
        return
    best = "; ".join(sorted({_told(worker) for worker in workers.declared}))
    for name in wanted:
        if not any(_gives(worker, {name: wanted[name]}) for worker in workers.declared):
            need = f"{name}={wanted[name]:g}"
            how = f'start workers with --resources "{need}"'
            yield _request_of(name), f"no worker gives {need} (they declare: {best}); {how}"
            return
    yield ", ".join(map(_request_of, wanted)), f"no single worker gives all of it ({best})"


def _too_much_memory(resources: Resources, workers: Workers) -> Iterable[tuple[str, str]]:
    limits = workers.memory_bytes
    if not resources.memory_gb or workers.name_of("memory_gb") or not all(limits):
        return
    if limits and resources.memory_gb * GIB > max(limits):
        yield "memory_gb", f"the largest worker has {max(limits) / GIB:.1f}"


def _gives(worker: Mapping[str, float], wanted: Mapping[str, float]) -> bool:
    return all(worker.get(name, 0) >= amount for name, amount in wanted.items())


def _told(worker: Mapping[str, float]) -> str:
    return " ".join(f"{name}={amount:g}" for name, amount in sorted(worker.items())) or "nothing"


def _request_of(name: str) -> str:
    return next((ours for ours, names in _NAMES.items() if name.upper() in names), "dask_resources")
