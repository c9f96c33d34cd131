"""From configs to a graph: each artifact once, in an order in which it can be made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import chz

from huldra.config.config_object import ConfigObject
from huldra.config.fields import is_hashed
from huldra.config.hashing import are_same, key_of
from huldra.config.import_paths import describe
from huldra.errors import HuldraClassError, HuldraCycleError
from huldra.logs.capture import get_logger
from huldra.store.layout import ArtifactPaths
from huldra.store.location import paths_of
from huldra.store.survey import Seen

_SHOWN_MAX = 200  # characters of a value in a warning


class Asked(NamedTuple):
    """A config that the store is asked about."""

    obj: ConfigObject
    key: str
    paths: ArtifactPaths


Look = Callable[[Sequence[Asked]], Sequence[Seen]]
"""What the store says of configs, an answer each; asked for many at a time."""


@dataclass(slots=True)
class Node:
    """One artifact: `needs` are the keys of what must be made before it."""

    key: str
    obj: ConfigObject
    paths: ArtifactPaths
    seen: Seen
    needs: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """True if the artifact is made, and valid."""
        return self.seen is Seen.COMPLETE


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in topological order, each after all that it needs.

    What is made already stands in it, but nothing that only such nodes need.
    """

    nodes: Mapping[str, Node] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.nodes)

    def missing(self) -> list[Node]:
        """The nodes that are not made, in the order in which they can be."""
        return [node for node in self.nodes.values() if not node.is_complete]


@dataclass(slots=True)
class _Found:
    """A node as the search for all nodes came to it first."""

    obj: ConfigObject
    paths: ArtifactPaths
    seen: Seen
    needs: list[ConfigObject]


@dataclass(slots=True)
class _Open:
    """A node on the way down, and its dependencies that were not looked at yet."""

    node: _Found
    needs: list[str]
    rest: Iterator[ConfigObject]


def compile_graph(roots: Iterable[ConfigObject], look: Look) -> Graph:
    """Walk from `roots` through dependencies, down to what `look` says is complete.

    Raises `HuldraCycleError` with the path of a cycle. Does not recurse: a chain may be as long as
    memory allows.
    """
    roots = list(roots)
    found = _find_all(roots, look)
    nodes: dict[str, Node] = {}
    path: dict[str, _Open] = {}  # from the root to where we are, in order
    for root in roots:
        _enter(root, nodes, path, found, look)
        while path:
            here = next(reversed(path.values()))
            child = next(here.rest, None)
            if child is not None:
                here.needs.append(_enter(child, nodes, path, found, look))
            else:
                key, _ = path.popitem()
                node, needs = here.node, tuple(dict.fromkeys(here.needs))
                nodes[key] = Node(key, node.obj, node.paths, node.seen, needs)
    return Graph(nodes)


def _find_all(roots: Iterable[ConfigObject], look: Look) -> dict[str, _Found]:
    """Find the nodes in waves: what one wave needs is asked for together, as the next one."""
    found: dict[str, _Found] = {}
    wave = {key_of(root): root for root in roots}
    while wave:
        asked = [Asked(obj, key, paths_of(obj)) for key, obj in wave.items()]
        below: dict[str, ConfigObject] = {}
        for (obj, key, paths), seen in zip(asked, look(asked), strict=True):
            needs = [] if seen is Seen.COMPLETE else dependencies_of(obj)
            found[key] = _Found(obj, paths, seen, needs)
            below.update((key_of(need), need) for need in needs)
        wave = {key: obj for key, obj in below.items() if key not in found}
    return found


def _enter(
    obj: ConfigObject,
    nodes: dict[str, Node],
    path: dict[str, _Open],
    found: dict[str, _Found],
    look: Look,
) -> str:
    key = key_of(obj)
    if key in nodes:
        _warn_of_unhashed_difference(nodes[key].obj, obj, key)
        return key
    if key in path:
        keys = list(path)
        cycle = (*keys[keys.index(key) :], key)
        raise HuldraCycleError(
            "cyclic dependency: " + " → ".join(cycle) + "; check _dependencies()",
            path=cycle,
        )
    node = found.get(key)
    if node is None or node.obj is not obj:
        # Of two requests for one artifact the search came to the other one first, and its unhashed
        # fields may need something else.
        paths = paths_of(obj)
        seen = node.seen if node is not None else look([Asked(obj, key, paths)])[0]
        needs = [] if seen is Seen.COMPLETE else dependencies_of(obj)
        node = _Found(obj, paths, seen, needs)
    if node.needs:
        path[key] = _Open(node, [], iter(node.needs))
    else:
        nodes[key] = Node(key, obj, node.paths, node.seen)
    return key


def _warn_of_unhashed_difference(first: ConfigObject, second: ConfigObject, key: str) -> None:
    """Say that of two requests for one artifact the first counts, where it makes a difference."""
    if first is second:
        return
    for name in _unhashed_fields(type(first)):
        ours, theirs = getattr(first, name), getattr(second, name)
        if not are_same(ours, theirs):
            get_logger().warning(
                "%s is requested with %s=%s and with %s=%s; the field is not hashed, so both mean"
                " one artifact, and the first request counts",
                key,
                name,
                _shown(ours),
                name,
                _shown(theirs),
            )
            return


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # the value's own `__repr__`; a warning must not raise
        return f"<{describe(value)}>"
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"


def _unhashed_fields(cls: Any) -> tuple[str, ...]:
    return tuple(name for name, spec in chz.chz_fields(cls).items() if not is_hashed(spec))


def dependencies_of(obj: ConfigObject) -> list[ConfigObject]:
    """What must be made before `obj`: what its `_dependencies` says, by default its fields."""
    declared = obj._dependencies  # noqa: SLF001  part of the protocol of a Huldra class
    found: list[ConfigObject] = []
    _flatten(declared() if callable(declared) else declared, found, obj)
    return found


def _flatten(value: Any, found: list[ConfigObject], obj: ConfigObject) -> None:
    if getattr(type(value), "__huldra_class__", False):
        found.append(value)
    elif isinstance(value, Mapping):
        _flatten(list(value.values()), found, obj)
    elif isinstance(value, Sequence | set | frozenset | Iterator) and not isinstance(value, str):
        for item in value:
            _flatten(item, found, obj)
    elif value is not None:
        raise HuldraClassError(
            f"{type(obj).__module__}.{type(obj).__qualname__}._dependencies returned {value!r},"
            " which is not a Huldra config; return the configs that must be complete first"
        )
