"""Who needs whom: between artifacts, between classes, and around one artifact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from huldra.catalog.records import (
    ClassEdge,
    ClassGraph,
    ClassNode,
    NearEdge,
    Neighbour,
    Neighbourhood,
    Relation,
    Relationships,
    Row,
)

Related = Callable[[Row], Relationships]
Find = Callable[[str, str | None], Row | None]


def dependents_of(rows: Iterable[Row]) -> dict[tuple[str, str], list[tuple[str, Row]]]:
    """(root, key) → the fields and rows that need it."""
    found: dict[tuple[str, str], list[tuple[str, Row]]] = {}
    for row in rows:
        for dependency in row.dependencies:
            found.setdefault((row.root, dependency.key), []).append((dependency.field, row))
    return found


def class_graph(rows: Iterable[Row]) -> ClassGraph:
    """The graph between classes of `rows`."""
    counts: dict[str, Counter[str]] = {}
    fields: dict[tuple[str, str], set[str]] = {}
    users: Counter[tuple[str, str]] = Counter()
    for row in rows:
        counts.setdefault(row.namespace, Counter())[row.status] += 1
        edges = set()
        for dependency in row.dependencies:
            edge = (dependency.namespace, row.namespace)
            edges.add(edge)
            fields.setdefault(edge, set()).add(_without_places(dependency.field))
        users.update(edges)
    for dependency_of, _ in fields:
        counts.setdefault(dependency_of, Counter())
    nodes = tuple(
        ClassNode(name, sum(count.values()), dict(count)) for name, count in sorted(counts.items())
    )
    edges_made = tuple(
        ClassEdge(edge[0], edge[1], tuple(sorted(names)), users[edge])
        for edge, names in sorted(fields.items())
    )
    return ClassGraph(nodes, edges_made)


def _without_places(path: str) -> str:
    # parts[0] and parts[1] are one use of a class.
    return path.partition("[")[0] + ("[]" if "[" in path else "")


def blocked_by(row: Row, find: Find) -> tuple[Row, ...]:
    """Upstream artifacts that are not made, breadth first."""
    seen, level, found = {row.key}, [row], []
    while level:
        below: list[Row] = []
        for current in level:
            for dependency in current.dependencies:
                other = None if dependency.key in seen else find(dependency.key, row.root)
                seen.add(dependency.key)
                if other is not None and other.result_status != "success":
                    found.append(other)
                    below.append(other)
        level = below
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a neighbourhood goes, and how big it may be."""

    up: int
    down: int
    max_nodes: int
    fold_over: int


@dataclass(slots=True)
class _Around:
    """A neighbourhood in the making."""

    nodes: dict[str, Neighbour]
    edges: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    stands_for: dict[str, str] = field(default_factory=dict)  # a folded key → its fold's
    hidden: int = 0


def neighbourhood(row: Row, related: Related, limits: Limits) -> Neighbourhood:
    """The artifacts around `row`, folded within `limits`."""
    around = _Around({row.key: Neighbour(row.key, row.namespace, 0, row)})
    _spread(around, row, related, limits, -1)
    _spread(around, row, related, limits, +1)
    _join(around, related)
    edges = tuple(
        NearEdge(dependency, dependent, tuple(sorted(fields)))
        for (dependency, dependent), fields in sorted(around.edges.items())
    )
    return Neighbourhood(row.key, tuple(around.nodes.values()), edges, around.hidden)


def _spread(around: _Around, row: Row, related: Related, limits: Limits, way: int) -> None:
    level = [row]
    for distance in range(1, (limits.up if way < 0 else limits.down) + 1):
        found: dict[str, dict[str, Relation]] = {}
        for current in level:
            for relation in _towards(related(current), way):
                if relation.key not in around.nodes and relation.key not in around.stands_for:
                    namespace = relation.key.rpartition("/")[0]
                    found.setdefault(namespace, {}).setdefault(relation.key, relation)
        level = []
        for namespace, siblings in sorted(found.items()):
            shown = _fold(around, namespace, list(siblings.values()), distance * way, limits)
            level.extend(relation.row for relation in shown if relation.row is not None)


def _towards(relationships: Relationships, way: int) -> Sequence[Relation]:
    return relationships.dependencies if way < 0 else relationships.dependents


def _fold(
    around: _Around, namespace: str, siblings: list[Relation], distance: int, limits: Limits
) -> list[Relation]:
    """Add the siblings that there is room for, and one node for the rest; return the former."""
    room = max(0, limits.max_nodes - len(around.nodes))
    keep = min(len(siblings), limits.fold_over)
    keep = min(keep, room)
    siblings.sort(key=_interest)
    shown, folded = siblings[:keep], siblings[keep:]
    for relation in shown:
        around.nodes[relation.key] = Neighbour(relation.key, namespace, distance, relation.row)
    if folded:
        key = f"+{len(folded)} {namespace} at {distance:+d}"
        around.nodes[key] = Neighbour(key, namespace, distance, None, len(folded))
        around.stands_for.update((relation.key, key) for relation in folded)
        around.hidden += len(folded)
    return shown


def _interest(relation: Relation) -> tuple[bool, str]:
    return (relation.row is not None and relation.row.result_status == "success", relation.key)


def _join(around: _Around, related: Related) -> None:
    """Draw every edge between the nodes that are shown, folded ones included."""
    for node in list(around.nodes.values()):
        if node.row is None:
            continue
        relationships = related(node.row)
        for relation in relationships.dependencies:
            _edge(around, relation.key, node.key, relation.field)
        for relation in relationships.dependents:
            _edge(around, node.key, relation.key, relation.field)


def _edge(around: _Around, dependency: str, dependent: str, path: str) -> None:
    one = around.stands_for.get(dependency, dependency)
    other = around.stands_for.get(dependent, dependent)
    if one in around.nodes and other in around.nodes and one != other:
        around.edges.setdefault((one, other), set()).add(path)
