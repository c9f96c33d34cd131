"""Our resources as Ray's options, and what no node of a cluster can give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from huldra.engines.kit import Refusal, Resources, Retry, Task

GIB = 2**30
EXTRA_KEYS = frozenset({"ray_resources", "ray_runtime_env"})
_NAMES = {
    "num_cpus": ("cpus", "CPU"),
    "num_gpus": ("gpus", "GPU"),
    "memory": ("memory_gb", "memory"),
}


def options(resources: Resources) -> dict[str, Any]:
    """The keywords of `task.options(...)`; what is left out has Ray's default: one cpu.

    All but `runtime_env`, to which a driver and its executor add theirs.
    """
    wanted: dict[str, Any] = {}
    if resources.cpus is not None:
        wanted["num_cpus"] = resources.cpus
    if resources.gpus:
        wanted["num_gpus"] = resources.gpus
    if resources.memory_gb:
        wanted["memory"] = int(resources.memory_gb * GIB)
    if counters := resources.extra.get("ray_resources"):
        wanted["resources"] = dict(counters)
    return wanted


def growing(resources: Resources, most_gb: float | None) -> dict[str, Any]:
    """What a supervisor has to know of a node that may get more at another try."""
    return {
        "memory_gb": resources.memory_gb,
        "time_min": resources.time_min,
        "retry": asdict(resources.retry) if resources.retry else None,
        "most_gb": most_gb,
    }


def declared(growing: Mapping[str, Any], options: Mapping[str, Any]) -> Resources:
    """What the first try of a node requested of memory and time; `growing` may be empty."""
    if not growing:
        memory = options.get("memory")
        return Resources(memory_gb=memory / GIB if memory else None)
    retry = growing["retry"] and Retry(**growing["retry"])
    return Resources(memory_gb=growing["memory_gb"], time_min=growing["time_min"], retry=retry)


def refuse(tasks: Iterable[Task], nodes: Sequence[Mapping[str, float]]) -> list[Refusal]:
    """Name what no node (its resources by Ray's names) could ever give, were it idle."""
    refusals = []
    verdicts: dict[str, list[tuple[str, str]]] = {}
    for task in tasks:
        shape = repr(task.resources)
        if shape not in verdicts:
            verdicts[shape] = list(_problems(task.resources, nodes))
        refusals += [Refusal(task.key, request, reason) for request, reason in verdicts[shape]]
    return refusals


def _problems(
    resources: Resources, nodes: Sequence[Mapping[str, float]]
) -> Iterable[tuple[str, str]]:
    for key in resources.extra:
        if key.startswith("ray_") and key not in EXTRA_KEYS:
            yield key, f"Ray takes {', '.join(sorted(EXTRA_KEYS))}"
    wanted = _by_request(options(resources))
    if not nodes or any(_gives(node, wanted) for node in nodes):
        return
    alone = [
        r for r, (name, n) in wanted.items() if not any(_gives(o, {r: (name, n)}) for o in nodes)
    ]
    for request in alone or [", ".join(wanted)]:
        yield request, _explain(request, wanted, nodes)


def _by_request(wanted: Mapping[str, Any]) -> dict[str, tuple[str, float]]:
    """Our name of each request: Ray's name of it, and how much."""
    found = {ours: (name, wanted[key]) for key, (ours, name) in _NAMES.items() if key in wanted}
    if "num_cpus" not in wanted:
        found["cpus"] = ("CPU", 1)
    counters = wanted.get("resources", {})
    return found | {f"ray_resources[{name}]": (name, n) for name, n in counters.items()}


def _gives(node: Mapping[str, float], wanted: Mapping[str, tuple[str, float]]) -> bool:
    return all(node.get(name, 0) >= amount for name, amount in wanted.values())


def _explain(
    request: str, wanted: Mapping[str, tuple[str, float]], nodes: Sequence[Mapping[str, float]]
) -> str:
    if request not in wanted:
        return "no single node of the cluster gives all of it"
    name, amount = wanted[request]
    best = max(node.get(name, 0) for node in nodes)
    unit = GIB if name == "memory" else 1
    return f"wanted {amount / unit:g}, the largest node of the cluster gives {best / unit:g}"
