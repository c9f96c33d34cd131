"""What a plan will cost, by what artifacts of the same classes have used so far."""

from __future__ import annotations

from collections import Counter

from huldra.catalog.presentation import duration
from huldra.catalog.usage import History, history
from huldra.scheduling.dispatch import resources_of
from huldra.scheduling.planning import Plan, PlannedNode


def estimate(plan: Plan) -> str:
    """Return one line for each class that the plan would run, and one for all; "" without history.

    Classes of which nothing is recorded are named, and count as nothing.
    """
    counts = Counter(_namespace(node) for node in plan.to_run)
    roots = {_namespace(node): node.paths.root for node in plan.to_run}
    known = {name: history(roots[name], name) for name in counts}
    if not any(known.values()):
        return ""
    lines = [_of_class(name, count, known[name]) for name, count in counts.items()]
    wall_s = {n.key: h.wall_s for n in plan.to_run if (h := known[_namespace(n)])}
    core_s = sum(wall_s[n.key] * _cpus(n) for n in plan.to_run if n.key in wall_s)
    lines.append(
        f"about {duration(core_s)} of cores in all, and no end before"
        f" {duration(_longest_path_s(plan, wall_s))}, however many run at once"
    )
    return "\n".join(lines)


def _namespace(node: PlannedNode) -> str:
    return node.key.rpartition("/")[0]


def _cpus(node: PlannedNode) -> float:
    return resources_of(node.node.obj).cpus or 1


def _of_class(namespace: str, count: int, known: History | None) -> str:
    name = f"{count} × {namespace.rpartition('/')[2]}"
    if known is None:
        return f"{name}: none was made yet"
    return (
        f"{name}: {duration(known.wall_s)} and {known.peak_memory_gb:.2g} GiB each"
        f" (median of {known.count}; most {duration(known.most_wall_s)},"
        f" {known.most_memory_gb:.2g} GiB)"
    )


def _longest_path_s(plan: Plan, wall_s: dict[str, float]) -> float:
    """Return the seconds of the longest chain of nodes, each of which waits for the one before."""
    end_s: dict[str, float] = {}
    for key, node in plan.nodes.items():
        before = max((end_s.get(need, 0.0) for need in node.node.needs), default=0.0)
        end_s[key] = before + wall_s.get(key, 0.0)
    return max(end_s.values(), default=0.0)
