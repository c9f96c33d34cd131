"""A plan: what the store says of each node of a graph, and so what would be done, and why."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from huldra.attempts import liveness
from huldra.attempts.heartbeat import uptime_s
from huldra.attempts.liveness import Watch
from huldra.attempts.waiting import describe
from huldra.logs.console import for_terminal
from huldra.scheduling.graph import Graph, Node
from huldra.store import claim
from huldra.store.layout import ArtifactPaths
from huldra.store.records import AttemptStatus, Turn
from huldra.store.snapshot import Life


class Standing(enum.StrEnum):
    """Where a node stands before anything is sent."""

    CACHED = "cached"
    IN_FLIGHT = "in flight"  # queued or being made by somebody else
    TO_RUN = "will run"
    BLOCKED = "blocked"  # will run once what is in flight elsewhere has ended


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """One node: its files, its standing, the reason in words, the turn of whoever holds it."""

    node: Node
    paths: ArtifactPaths
    standing: Standing
    reason: str
    turn: Turn | None = None

    @property
    def key(self) -> str:
        """The node's key."""
        return self.node.key


@dataclass(frozen=True, slots=True)
class Plan:
    """The planned nodes, in topological order; printing it shows a table."""

    nodes: Mapping[str, PlannedNode]

    def __len__(self) -> int:
        return len(self.nodes)

    def with_standing(self, standing: Standing) -> list[PlannedNode]:
        """The nodes that stand so."""
        return [node for node in self.nodes.values() if node.standing is standing]

    @property
    def to_run(self) -> list[PlannedNode]:
        """The nodes that this plan would run, in order: those that wait for others too."""
        return [n for n in self.nodes.values() if n.standing in (Standing.TO_RUN, Standing.BLOCKED)]

    def __str__(self) -> str:
        counts = ", ".join(
            f"{len(self.with_standing(standing))} {standing.value}"
            for standing in Standing
            if self.with_standing(standing)
        )
        rows = [(n.standing.value, _short(n.key), n.reason) for n in self.nodes.values()]
        return f"{text_table(('', 'artifact', 'why'), rows)}\n{counts or 'nothing to do'}"

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


def make_plan(graph: Graph, paths_of: Callable[[Node], ArtifactPaths]) -> Plan:
    """Ask the store about each node of the graph; nothing is written or sent."""
    paths = {node.key: paths_of(node) for node in graph.nodes.values()}
    turns = {node.key: claim.last_turn(paths[node.key]) for node in graph.missing()}
    seen = uptime_s()
    open_turns = [turn for turn in turns.values() if turn is not None and turn.end is None]
    # Asked for together, so that the engine is asked once however many nodes it holds.
    liveness.of_jobs({turn.ref for turn in open_turns if turn.ref is not None})
    planned: dict[str, PlannedNode] = {}
    for key, node in graph.nodes.items():
        if node.is_made:
            planned[key] = PlannedNode(node, paths[key], Standing.CACHED, "made")
        else:
            turn = turns[key]
            watch = Watch(number=turn.number if turn else 0, since=seen)
            planned[key] = _plan_missing(node, paths[key], turn, planned, watch)
    return Plan(planned)


def _plan_missing(
    node: Node,
    paths: ArtifactPaths,
    turn: Turn | None,
    planned: Mapping[str, PlannedNode],
    watch: Watch,
) -> PlannedNode:
    if turn is not None and turn.end is None:
        if liveness.of_turn(paths, turn, watch) is not Life.DEAD:
            return PlannedNode(node, paths, Standing.IN_FLIGHT, describe(paths, turn), turn)
        reason = f"its owner is dead ({turn.claim.owner.describe()})"
    else:
        reason = _why(turn)
    blocked_by = [
        key for key in node.needs if planned[key].standing in (Standing.IN_FLIGHT, Standing.BLOCKED)
    ]
    if blocked_by:
        waits = f"waits for {_short(blocked_by[0])}"
        more = f" and {len(blocked_by) - 1} more" if len(blocked_by) > 1 else ""
        return PlannedNode(node, paths, Standing.BLOCKED, f"{reason}; {waits}{more}", turn)
    return PlannedNode(node, paths, Standing.TO_RUN, reason, turn)


def _why(turn: Turn | None) -> str:
    if turn is None:
        return "never made"
    if turn.status is AttemptStatus.FAILED and turn.end and turn.end.error:
        return f"failed before: {turn.end.error.type}: {turn.end.error.message}"[:160]
    if turn.status is AttemptStatus.SUCCESS:
        return "made before, but _validate is false or SUCCESS.json is gone"
    return f"{turn.status.value} before"
