"""What a graph waits for of earlier graphs, of the same executor."""

from __future__ import annotations

from pathlib import Path

from huldra_local import LocalExecutor, ThreadsExecutor
from tests.executors.local import stub
from tests.executors.local.stub import Orders, finish, send
from tests.support.children import until


def test_needs_that_are_open_here_are_found(orders: Orders) -> None:
    """Those that are made, of another root, or of the graph itself are not."""
    later, own = orders.task("later", needs=["first", "made", "own"]), orders.task("own")
    graph, root = orders.graph(own, later), str(orders.folder)
    open_jobs = {(root, "stub/first"): "1", (root, "stub/own"): "2", ("/", "stub/made"): "3"}
    assert graph.in_flight(open_jobs) == {"stub/later": ["1"]}
    assert graph.in_flight({}) == {}


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
    later = send(
        executor, orders.graph(orders.task("later", needs=["first"]), orders.task("other"))
    )
    until(lambda: orders.count("other", "ended") == 1)
    assert orders.count("later", "began") == 0
    Path(gate).touch()
    assert set(finish(executor, {**first, **later}).values()) == {"succeeded"}
