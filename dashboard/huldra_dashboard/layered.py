"""Coordinates for drawing a directed graph: longest-path layers, ordered by barycentre."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence

_SWEEPS = 4  # passes of ordering; more changed nothing on graphs of some hundred nodes


def positions(
    nodes: Sequence[str], edges: Iterable[tuple[str, str]]
) -> dict[str, tuple[float, float]]:
    """Place each node: x is its layer (0: needs nothing), y its place in it, centred on 0.

    `edges` go from what is needed to what needs it. Edges to unknown nodes and edges that close
    a cycle are left out of the layering, so that a damaged store still draws.
    """
    known = set(nodes)
    kept = [(a, b) for a, b in edges if a in known and b in known and a != b]
    layers = _ordered(_layers(nodes, kept), kept)
    return {
        node: (float(x), place - (len(layer) - 1) / 2)
        for x, layer in enumerate(layers)
        for place, node in enumerate(layer)
    }


def _layers(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Group nodes by the length of the longest path that ends in them (Kahn's order)."""
    after: dict[str, list[str]] = defaultdict(list)
    missing = dict.fromkeys(nodes, 0)
    for before, node in edges:
        after[before].append(node)
        missing[node] += 1
    depth = dict.fromkeys(nodes, 0)
    ready = deque(node for node in nodes if not missing[node])
    while ready:
        node = ready.popleft()
        for follower in after[node]:
            depth[follower] = max(depth[follower], depth[node] + 1)
            missing[follower] -= 1
            if not missing[follower]:
                ready.append(follower)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        layers[depth[node]].append(node)
    return layers


def _ordered(layers: list[list[str]], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Reorder each layer by the mean place of its neighbours, from both sides in turn."""
    before: dict[str, list[str]] = defaultdict(list)
    after: dict[str, list[str]] = defaultdict(list)
    for a, b in edges:
        after[a].append(b)
        before[b].append(a)
    for sweep in range(_SWEEPS):
        neighbours = after if sweep % 2 else before
        places = _places(layers)
        for layer in reversed(layers) if sweep % 2 else layers:
            layer.sort(key=lambda node: _barycentre(node, neighbours, places))
            places.update(_places([layer]))
    return layers


def _places(layers: Sequence[Sequence[str]]) -> dict[str, float]:
    """The place of each node in its layer, centred on 0."""
    return {
        node: place - (len(layer) - 1) / 2 for layer in layers for place, node in enumerate(layer)
    }


def _barycentre(
    node: str, neighbours: Mapping[str, Sequence[str]], places: Mapping[str, float]
) -> float:
    """The mean place of the node's neighbours; its own place when it has none."""
    around = neighbours.get(node)
    return sum(places[n] for n in around) / len(around) if around else places[node]
