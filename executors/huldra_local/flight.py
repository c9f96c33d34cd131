"""What a graph's nodes wait for that this very executor has in flight from an earlier graph."""

from __future__ import annotations

from collections.abc import Mapping

from huldra import files
from huldra.executor import TaskGraph


def jobs_in_flight(graph: TaskGraph, open_jobs: Mapping[str, str]) -> dict[str, list[str]]:
    """For each node of the graph, the ids of this executor's open jobs that it needs.

    `open_jobs` gives job ids by node key. The core tells an executor of jobs that it has to find
    again; those that end with this process are not among them. Without this a node would start,
    and hold a worker, only to wait for its dependency: enough of these, and the dependency never
    gets a worker. Read from the run record, whose `needs` hold dependencies of other runs, too.
    """
    if not open_jobs:
        return {}
    record = files.read_object(graph.run_path) or {}
    nodes = record.get("nodes", {})
    return {
        key: [open_jobs[need] for need in node["needs"] if need in open_jobs]
        for key, node in nodes.items()
        if key in graph.tasks
    }
