"""What a graph waits for of earlier graphs, read from the run record."""

from __future__ import annotations

import json
from pathlib import Path

from huldra_local import LocalExecutor, ThreadsExecutor
from huldra_local.flight import jobs_in_flight
from tests.executors.local import stub
from tests.executors.local.stub import Orders, finish, send, until


def test_needs_that_are_open_here_are_found(orders: Orders) -> None:
    """Made ones, and those of others, are not."""
    graph = orders.graph(orders.task("later"))
    record = {"nodes": {"stub/later": {"needs": ["stub/first", "stub/made"]}, "stub/x": {}}}
    Path(graph.run_path).write_text(json.dumps(record))
    assert jobs_in_flight(graph, {"stub/first": "1-1-1"}) == {"stub/later": ["1-1-1"]}
    assert jobs_in_flight(graph, {}) == {}


def test_a_node_holds_no_worker_while_its_need_is_in_flight(
    pool: LocalExecutor, orders: Orders
) -> None:
    """It is started once the earlier graph's job is over."""
    _check(pool, orders)


def test_a_node_holds_no_thread_while_its_need_is_in_flight(orders: Orders) -> None:
    """The same for threads."""
    executor = ThreadsExecutor(2, stub.run)
    _check(executor, orders)
    executor.close()


def _check(executor: LocalExecutor | ThreadsExecutor, orders: Orders) -> None:
    gate = str(orders.folder / "gate")
    first = send(executor, orders.graph(orders.task("first", "wait", until=gate)))
    until(lambda: orders.count("first", "began") == 1)
    graph = orders.graph(orders.task("later"), orders.task("other"))
    record = {"nodes": {"stub/later": {"needs": ["stub/first"]}, "stub/other": {"needs": []}}}
    Path(graph.run_path).write_text(json.dumps(record))
    later = send(executor, graph)
    until(lambda: orders.count("other", "ended") == 1)
    assert orders.count("later", "began") == 0
    Path(gate).touch()
    assert set(finish(executor, {**first, **later}).values()) == {"succeeded"}
