"""Places for drawing a directed graph: longest-path layers, ordered by barycentre.

An edge that passes over a layer gets a bend in it, so that it runs between boxes and not through
them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Place = tuple[float, float]
_SWEEPS = 6  # passes of ordering; more changed nothing on graphs of some hundred nodes
_BEND = 0.25  # of the room that a node takes across its layer


@dataclass(frozen=True)
class Layout:
    """Where nodes and bends are: `(layer, offset)`, in units of nodes, offsets centred on 0.

    `routes` holds, for each drawn edge, the places that it bends at (none for neighbours).
    """

    places: Mapping[str, Place]
    routes: Mapping[tuple[str, str], tuple[Place, ...]]
    layers: int
    reach: float


def lay_out(nodes: Sequence[str], edges: Iterable[tuple[str, str]]) -> Layout:
    """Place nodes from left (what needs nothing) to right.

    `edges` go from what is needed to what needs it. Edges to unknown nodes are left out, and
    those that close a cycle count for no layer, so that a damaged store still draws.
    """
    known = set(nodes)
    kept = list(dict.fromkeys((a, b) for a, b in edges if a in known and b in known and a != b))
    depth = _depths(nodes, kept)
    bends = {
        (a, b): tuple(f"\0{a}\0{b}\0{layer}" for layer in range(depth[a] + 1, depth[b]))
        for a, b in kept
    }
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        layers[depth[node]].append(node)
    for (a, _), names in bends.items():
        for layer, name in enumerate(names, depth[a] + 1):
            layers[layer].append(name)
    segments = [
        pair
        for (a, b), names in bends.items()
        for pair in zip((a, *names), (*names, b), strict=True)
    ]
    places = _spread(_ordered(layers, segments))
    return Layout(
        {node: places[node] for node in nodes},
        {edge: tuple(places[name] for name in names) for edge, names in bends.items()},
        len(layers),
        max((_room(layer) for layer in layers), default=0.0),
    )


def _depths(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The length of the longest path that ends in each node (Kahn's order)."""
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
    return depth


def _ordered(layers: list[list[str]], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Reorder each layer by the mean place of its neighbours, from both sides in turn."""
    before: dict[str, list[str]] = defaultdict(list)
    after: dict[str, list[str]] = defaultdict(list)
    for a, b in edges:
        after[a].append(b)
        before[b].append(a)
    places = {name: place for layer in layers for name, place in _offsets(layer).items()}
    for sweep in range(_SWEEPS):
        neighbours = after if sweep % 2 else before
        for layer in reversed(layers) if sweep % 2 else layers:
            layer.sort(key=lambda node: _barycentre(node, neighbours, places))
            places.update(_offsets(layer))
    return layers


def _barycentre(
    node: str, neighbours: Mapping[str, Sequence[str]], places: Mapping[str, float]
) -> float:
    """The mean place of the node's neighbours; its own place when it has none."""
    around = neighbours.get(node)
    return sum(places[n] for n in around) / len(around) if around else places[node]


def _spread(layers: Sequence[Sequence[str]]) -> dict[str, Place]:
    """The layer and offset of each node and bend."""
    return {
        name: (float(x), offset)
        for x, layer in enumerate(layers)
        for name, offset in _offsets(layer).items()
    }


def _offsets(layer: Sequence[str]) -> dict[str, float]:
    """The places across one layer, centred on 0."""
    offsets, at = {}, -_room(layer) / 2
    for name in layer:
        offsets[name] = at + _size(name) / 2
        at += _size(name)
    return offsets


def _room(layer: Sequence[str]) -> float:
    """What a layer takes across."""
    return sum(map(_size, layer))


def _size(name: str) -> float:
    """What a node, or a bend, takes across."""
    return _BEND if name.startswith("\0") else 1.0
