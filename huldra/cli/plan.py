"""`huldra plan` and `huldra why`: what a run would do for each node, and why."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

from huldra.catalog import Catalog
from huldra.cli import output, targets
from huldra.cli.targets import Target

if TYPE_CHECKING:
    from huldra import Explanation, Plan, PlannedNode

_DIGITS = 12


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """Print a line a node, dependencies first, with the totals; nothing is written or sent."""
    target = targets.resolve(catalog, [options.target, *options.words], options.grid)
    return write(target, as_json=options.json)


def write(target: Target, *, as_json: bool) -> int:
    """Print the plan of a target."""
    import huldra

    plan = huldra.plan(target.configs())
    if as_json:
        output.write_json(
            {"nodes": [_as_json(node) for node in plan.nodes.values()], **totals(plan)}
        )
        return 0
    lines = [_line(node) for node in plan.nodes.values()]
    output.write_table(("status", "class", "hash", "why"), lines)
    summary = ", ".join(f"{count} {status}" for status, count in _counts(plan).items())
    output.write(f"\n{len(plan)} artifacts: {summary or 'nothing to do'}\n")
    if estimate := plan.estimate():
        output.write(f"{output.clean_log(estimate)}\n")
    for remedy in _remedies(plan, target):
        output.write(f"{remedy}\n")
    return 0


def totals(plan: Plan) -> dict[str, Any]:
    """Return what the plan comes to: how many nodes in each status, and what they will cost."""
    return {"total": len(plan), "counts": _counts(plan), "estimate": plan.estimate()}


def _counts(plan: Plan) -> dict[str, int]:
    return dict(Counter(node.status.value for node in plan.nodes.values()))


def _line(node: PlannedNode) -> tuple[str, str, str, str]:
    namespace, _, digest = node.key.rpartition("/")
    if output.is_terminal():
        namespace, digest = namespace.rpartition("/")[2], digest[:_DIGITS]
    return node.status.value, namespace, digest, node.reason


def _as_json(node: PlannedNode) -> dict[str, Any]:
    return {
        "key": node.key,
        "status": node.status.value,
        "reason": node.reason,
        "directory": node.paths.directory,
        "attempt": node.attempt.number if node.attempt else None,
        "needs": list(node.node.needs),
    }


def _remedies(plan: Plan, target: Target) -> list[str]:
    """Return the lines to paste: to compute what is missing, to look at what failed or runs."""
    from huldra import NodeStatus

    lines = []
    if plan.with_status(NodeStatus.TO_RUN):
        lines.append(f"to compute what is missing:  huldra run {target.text}")
    failed = [node for node in plan.to_run if node.reason.startswith("failed before")]
    if failed:
        lines.append(f"to see what failed:          huldra show {failed[0].key}")
    moving = plan.with_status(NodeStatus.IN_FLIGHT)
    if moving:
        lines.append(f"to follow what is running:   huldra logs -f {moving[0].key}")
    return lines


def why(catalog: Catalog, options: argparse.Namespace) -> int:
    """Print for each member why it is a hit or a miss, and how the nearest artifact differs."""
    target = targets.resolve(catalog, [options.target, *options.words])
    found = {name: config.explain() for name, config in target.configs().items()}
    if options.json:
        output.write_json([_explained(name, one) for name, one in found.items()])
        return 0
    output.write("\n\n".join(str(one) for one in found.values()) + "\n")
    if not all(one.is_hit for one in found.values()):
        output.write(
            f"\nto see what it needs:        huldra plan {target.text}"
            f"\nto compute what is missing:  huldra run {target.text}\n"
        )
    return 0


def _explained(name: str, found: Explanation) -> dict[str, Any]:
    return {
        "name": name,
        "key": found.key,
        "is_hit": found.is_hit,
        "reason": found.reason,
        "directory": found.directory,
        "nearest": found.nearest,
        "differences": [
            {"field": field, "there": there, "here": here}
            for field, there, here in found.differences
        ],
    }
