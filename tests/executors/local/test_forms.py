"""Threads, inline and the user's own `concurrent.futures` pools; names and objects."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from huldra.engines.protocol import Executor, JobStatus
from huldra.engines.resources import Resources
from huldra.errors import HuldraExecutorError, HuldraSubmitError
from huldra.store.job_ref import JobRef
from huldra_local import (
    FuturesExecutor,
    InlineExecutor,
    LocalExecutor,
    ThreadsExecutor,
    connect,
    from_name,
    from_object,
)
from tests.executors.local import stub
from tests.executors.local.stub import Orders, finish, send
from tests.support.children import until


@pytest.fixture
def threads() -> Iterator[ThreadsExecutor]:
    executor = ThreadsExecutor(2, stub.run)
    yield executor
    executor.close()


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("local", LocalExecutor),
        ("local:3", LocalExecutor),
        ("inline", InlineExecutor),
        ("threads", ThreadsExecutor),
        ("threads:2", ThreadsExecutor),
    ],
)
def test_names(spec: str, kind: type[Executor]) -> None:
    """Each name is an executor of the engine `local`."""
    executor = from_name(spec)
    assert isinstance(executor, kind)
    assert isinstance(executor, Executor)
    assert executor.name == "local"
    executor.close()


@pytest.mark.parametrize("spec", ["local:0", "local:", "local:x", "threads:-1", "inline:2", "pool"])
def test_names_that_make_no_sense_are_refused(spec: str) -> None:
    """The error says what there is."""
    with pytest.raises(HuldraExecutorError, match="local:8"):
        from_name(spec)


def test_objects_that_are_not_pools_are_left_to_others() -> None:
    """None means: ask the next adapter."""
    assert from_object(object()) is None


def test_one_pool_has_one_wrapper() -> None:
    """A second call with the same pool meets the first one's jobs."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = from_object(pool)
        assert from_object(pool) is first


def test_connect_refuses_other_engines() -> None:
    """A job of another engine is not ours to speak of."""
    with pytest.raises(HuldraExecutorError, match="slurm"):
        connect(JobRef("slurm", "1"))


def test_inline_runs_in_order_and_goes_on_past_a_failure(orders: Orders) -> None:
    """When `submit` returns, all is over."""
    executor = InlineExecutor(stub.run)
    graph = orders.graph(
        orders.task("bad", "fail"), orders.task("child", "fail", ["bad"]), orders.task("other")
    )
    refs = send(executor, graph)
    assert {
        n: s.value for n, s in zip(refs, executor.status(refs.values()).values(), strict=True)
    } == {
        "bad": "failed",
        "child": "upstream_failed",
        "other": "succeeded",
    }
    assert executor.wait(refs.values(), 0) == set(refs.values())


def test_ctrl_c_ends_an_inline_graph(orders: Orders) -> None:
    """What has not run is cancelled, and Ctrl-C reaches the caller."""

    def interrupt(payload: str, job: JobRef) -> None:
        raise KeyboardInterrupt

    executor = InlineExecutor(interrupt)
    refs: list[JobRef] = []
    with pytest.raises(KeyboardInterrupt):
        executor.submit(
            orders.graph(orders.task("a"), orders.task("b")), lambda _, r: refs.append(r)
        )
    assert set(executor.status(refs).values()) == {JobStatus.CANCELLED}


def test_in_process_forms_ignore_resources(threads: ThreadsExecutor, orders: Orders) -> None:
    """A request has no effect there; a key of no engine is refused all the same."""
    graph = orders.graph(orders.task("one", resources=Resources(gpus=64, memory_gb=1e6)))
    assert threads.check(graph) == []
    assert InlineExecutor().check(graph) == []
    wrong = orders.graph(orders.task("one", resources=Resources(extra={"gpu": 1})))
    assert [r.request for r in threads.check(wrong)] == ["gpu"]


def test_a_process_pool_refuses_resources(orders: Orders) -> None:
    """It can honour none."""
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        executor = FuturesExecutor(pool)
        graph = orders.graph(orders.task("one", resources=Resources(cpus=2)))
        assert [r.request for r in executor.check(graph)] == ["cpus"]


def test_threads_follow_the_graph(threads: ThreadsExecutor, orders: Orders) -> None:
    """Order is kept, failures are told apart, Ctrl-C-like exits are failures."""
    graph = orders.graph(
        orders.task("a"),
        orders.task("b", after=["a"]),
        orders.task("bad", "fail"),
        orders.task("exit", "exit"),
        orders.task("child", "fail", after=["bad"]),
    )
    assert finish(threads, send(threads, graph)) == {
        "a": "succeeded",
        "b": "succeeded",
        "bad": "failed",
        "exit": "failed",
        "child": "upstream_failed",
    }


def test_threads_drop_what_is_queued(orders: Orders) -> None:
    """A queued task can be cancelled; its dependents are sent to be told."""
    executor = ThreadsExecutor(1, stub.run)
    gate = str(orders.folder / "gate")
    graph = orders.graph(
        orders.task("held", "wait", until=gate),
        orders.task("queued"),
        orders.task("child", "fail", after=["queued"]),
    )
    refs = send(executor, graph)
    until(lambda: orders.count("held", "began") == 1)
    assert executor.status(refs.values())[refs["held"]] is JobStatus.RUNNING
    executor.cancel([refs["queued"]])
    Path(gate).touch()
    assert finish(executor, refs) == {
        "held": "succeeded",
        "queued": "cancelled",
        "child": "upstream_failed",
    }
    executor.close()


def test_a_pool_that_was_shut_down_says_so(orders: Orders) -> None:
    """The error names what to do."""
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.shutdown()
    executor = FuturesExecutor(pool, run=stub.run)
    with pytest.raises(HuldraSubmitError, match="create a new pool"):
        send(executor, orders.graph(orders.task("one")))


def test_a_broken_process_pool_loses_what_is_open(orders: Orders) -> None:
    """One killed worker breaks such a pool: its open jobs are lost, none hangs."""
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        executor = FuturesExecutor(pool, run=stub.run)
        graph = orders.graph(orders.task("poison", "leave"), orders.task("child", after=["poison"]))
        assert set(finish(executor, send(executor, graph)).values()) == {"lost"}


def test_many_threads_wait_at_once(threads: ThreadsExecutor, orders: Orders) -> None:
    """Each waiter is woken."""
    gate = str(orders.folder / "gate")
    refs = send(threads, orders.graph(orders.task("held", "wait", until=gate)))
    found: list[set[JobRef]] = []
    waiters = [
        threading.Thread(target=lambda: found.append(threads.wait(refs.values(), 30)))
        for _ in range(4)
    ]
    for waiter in waiters:
        waiter.start()
    Path(gate).touch()
    for waiter in waiters:
        waiter.join(30)
    assert found == [set(refs.values())] * 4


QUEUE_OF_TWELVE = """
import concurrent.futures.process, concurrent.futures.thread, os, signal, sys, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
import huldra
from huldra.testing.pipelines import Step
huldra.set_huldra_root(Path(sys.argv[1]))
notes = Path(sys.argv[2])
executor = {
    "threads": lambda: "threads:2",
    "pool of threads": lambda: ThreadPoolExecutor(2),
    "pool of processes": lambda: ProcessPoolExecutor(2, mp_context=get_context("fork")),
}[sys.argv[3]]()
first = [Step(name=f"held{n}", does="wait", notes=str(notes)) for n in range(2)]
rest = [Step(name=f"queued{n}", notes=str(notes)) for n in range(12)]
after = [Step(name="after", needs=tuple(first), notes=str(notes))]
sweep = huldra.load_or_create([*first, *rest, *after], executor=executor)
while len(list(notes.glob("held*.began.*"))) < 2:
    time.sleep(0.01)
def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    pools = concurrent.futures
    while not (pools.thread._shutdown or pools.process._global_shutdown):  # it begins to end
        time.sleep(0.01)
    for step in first:
        (notes / f"{step.name}.open").touch()
threading.Thread(target=interrupt).start()
sweep.wait()
"""


@pytest.mark.parametrize("form", ["threads", "pool of threads", "pool of processes"])
def test_ctrl_c_lets_nothing_more_begin(tmp_path: Path, form: str) -> None:
    """What runs in a thread comes to its end; what is queued, and what needs it, never begins."""
    notes = tmp_path / "notes"
    notes.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", QUEUE_OF_TWELVE, str(tmp_path / "store"), str(notes), form],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "KeyboardInterrupt" in ended.stderr
    began = {path.name.partition(".")[0] for path in notes.glob("*.began.*")}
    # A process pool has handed a worker or two their next call by then.
    assert {"held0", "held1"} <= began
    assert len(began) <= (2 if form != "pool of processes" else 5), began
    assert "after" not in began
