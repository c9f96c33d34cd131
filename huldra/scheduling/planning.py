"""A plan: what the store says of each node of a graph, and so what would be done, and why."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from huldra.attempts import liveness
from huldra.attempts.heartbeat import uptime_s
from huldra.attempts.liveness import Watch
from huldra.attempts.waiting import describe
from huldra.logs.console import for_terminal
from huldra.scheduling.graph import Graph, Node
from huldra.scheduling.html_table import html_table
from huldra.store import claim
from huldra.store.layout import ArtifactPaths
from huldra.store.overlap import Overlap
from huldra.store.records import Attempt, AttemptStatus
from huldra.store.snapshot import Liveness, has_outcome, outcome_before
from huldra.store.survey import Seen


class NodeStatus(enum.StrEnum):
    """Where a node stands before anything is sent."""

    CACHED = "cached"
    IN_FLIGHT = "in flight"  # queued or being made by another process
    TO_RUN = "will run"
    BLOCKED = "blocked"  # will run once what is in flight elsewhere has ended


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """One node: its status, the reason in words, its last attempt."""

    node: Node
    status: NodeStatus
    reason: str
    attempt: Attempt | None = None

    @property
    def key(self) -> str:
        """The node's key."""
        return self.node.key

    @property
    def paths(self) -> ArtifactPaths:
        """The artifact's files."""
        return self.node.paths


_HEADER = ("", "artifact", "why")


@dataclass(frozen=True, slots=True)
class Plan:
    """The planned nodes, in topological order; printing it shows a table."""

    nodes: Mapping[str, PlannedNode]
    estimator: Callable[[Plan], str] | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.nodes)

    def with_status(self, status: NodeStatus) -> list[PlannedNode]:
        """The nodes that stand so."""
        return [node for node in self.nodes.values() if node.status is status]

    @property
    def to_run(self) -> list[PlannedNode]:
        """The nodes that this plan would run, in order: those that wait for others too."""
        return [
            n for n in self.nodes.values() if n.status in (NodeStatus.TO_RUN, NodeStatus.BLOCKED)
        ]

    def __str__(self) -> str:
        table = f"{text_table(_HEADER, self._cells())}\n{self._counts() or 'nothing to do'}"
        estimate = self.estimate()
        return for_terminal(f"{table}\n{estimate}" if estimate else table)

    def _repr_html_(self) -> str:
        said = "\n".join(filter(None, [self._counts() or "nothing to do", self.estimate()]))
        return html_table(_HEADER, self._cells(), said)

    def _cells(self) -> list[tuple[str, str, str]]:
        return [(n.status.value, _short(n.key), n.reason) for n in self.nodes.values()]

    def _counts(self) -> str:
        return ", ".join(
            f"{len(self.with_status(status))} {status.value}"
            for status in NodeStatus
            if self.with_status(status)
        )

    def estimate(self) -> str:
        """Return what it will cost, by what artifacts of the same classes used; "" where unknown.

        Reads the ends of a few artifacts of each class.
        """
        return self.estimator(self) if self.estimator is not None and self.to_run else ""

    __repr__ = __str__


def _short(key: str) -> str:
    namespace, _, digest = key.rpartition("/")
    return f"{namespace}/{digest[:9]}"


def text_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Lay rows out in columns of plain text."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, tuple("─" * width for width in widths), *rows]
    ]
    return for_terminal("\n".join(lines))


def make_plan(graph: Graph) -> Plan:
    """Ask the store about each node of the graph; nothing is written or sent."""
    attempts = _last_attempts(graph)
    seen = uptime_s()
    open_attempts = [attempt for attempt in attempts.values() if attempt.end is None]
    # Asked for together, so that the engine is asked once however many nodes it holds.
    liveness.job_statuses({attempt.ref for attempt in open_attempts if attempt.ref is not None})
    planned: dict[str, PlannedNode] = {}
    for key, node in graph.nodes.items():
        if node.is_complete:
            planned[key] = PlannedNode(node, NodeStatus.CACHED, "made")
        else:
            planned[key] = _plan_missing(node, attempts.get(key), planned, seen)
    return Plan(planned)


def _last_attempts(graph: Graph) -> dict[str, Attempt]:
    """The last attempt at each node that is not made, and was tried."""
    asked = [node for node in graph.nodes.values() if node.seen is Seen.INCOMPLETE]
    found = Overlap().map(lambda node: claim.last_attempt(node.paths), asked)
    return {
        node.key: attempt for node, attempt in zip(asked, found, strict=True) if attempt is not None
    }


def _plan_missing(
    node: Node, attempt: Attempt | None, planned: Mapping[str, PlannedNode], seen: float
) -> PlannedNode:
    if attempt is not None and attempt.end is None:
        watch = Watch(number=attempt.number, since=seen)
        if liveness.claim_liveness(node.paths, attempt, watch) is not Liveness.DEAD:
            reason = describe(node.paths, attempt)
            return PlannedNode(node, NodeStatus.IN_FLIGHT, reason, attempt)
        reason = f"its owner is dead ({attempt.claim.owner.describe()})"
        if (before := outcome_before(node.paths, attempt)) is not None:
            reason = f"{_why(before)}; {reason}"
    else:
        reason = _why(outcome_before(node.paths, attempt) or attempt)
    blocked_by = [
        key
        for key in node.needs
        if planned[key].status in (NodeStatus.IN_FLIGHT, NodeStatus.BLOCKED)
    ]
    if blocked_by:
        waits = f"waits for {_short(blocked_by[0])}"
        more = f" and {len(blocked_by) - 1} more" if len(blocked_by) > 1 else ""
        return PlannedNode(node, NodeStatus.BLOCKED, f"{reason}; {waits}{more}", attempt)
    return PlannedNode(node, NodeStatus.TO_RUN, reason, attempt)


def _why(attempt: Attempt | None) -> str:
    if attempt is None:
        return "never made"
    if attempt.status is AttemptStatus.FAILED and attempt.end and attempt.end.error:
        return f"failed before: {attempt.end.error.type}: {attempt.end.error.message}"[:160]
    if attempt.status is AttemptStatus.SUCCESS:
        return "computed before, but _validate returns False or SUCCESS.json is missing"
    if not has_outcome(attempt):
        return "queued before but never started"
    return f"{attempt.status.value} before"
