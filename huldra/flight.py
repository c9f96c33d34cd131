"""What a graph needs that an earlier graph of the same executor has in flight.

Jobs of a cluster that lives in the driver are not recorded where the core would find them, since
nobody else can ask about them; the executor knows its own. Without this a crowd of nodes that wait
for one in flight could take every slot that it needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from huldra.executor import TaskGraph

Node = tuple[str, str]  # root and key


def needs_in_flight(graph: TaskGraph, open_names: Mapping[Node, str]) -> dict[str, list[str]]:
    """The names of open tasks that each node of `graph` needs, by the node's key.

    `open_names` are the executor's tasks that are not over. What the graph's run record does not
    tell is not waited for: the worker's own look at what a node needs does that.
    """
    if not open_names:
        return {}
    try:
        with open(graph.run_path, "rb") as file:
            nodes = json.load(file)["nodes"]
    except (OSError, ValueError, KeyError):
        return {}
    found: dict[str, list[str]] = {}
    for key in graph.tasks:
        for need in nodes.get(key, {}).get("needs", ()):
            name = open_names.get((graph.root, need))
            if name is not None and need not in graph.tasks:
                found.setdefault(key, []).append(name)
    return found
