"""Many short nodes on one warm worker, as a job of Slurm's runs them; no Slurm here."""

from __future__ import annotations

import errno
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.errors import NodeFailed
from huldra.store.job_ref import JobRef
from huldra.testing.fake import FakeExecutor
from huldra.testing.suite import Scene
from huldra.worker.process import WorkerProcess
from huldra_submitit import node_group
from huldra_submitit.node_group import NodeGroup, ShortNode


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(node_group, "own_ref", lambda *_: JobRef("submitit", "1_0", {}))
    before = huldra.HULDRA_CONFIG.snapshot()
    scene = Scene(tmp_path, patience_s=60.0)
    huldra.set_huldra_root(scene.root)
    yield scene
    scene.close()
    huldra.HULDRA_CONFIG.apply(before)


def group_of(steps: list[Any], limits: dict[str, float] | None = None) -> NodeGroup:
    """The nodes of these steps, queued and sent to an engine that leaves them to us."""
    engine = FakeExecutor()
    huldra.load_or_create(steps, executor=engine)
    (graph,) = engine.graphs
    names = {
        huldra_key: step.name
        for step in steps
        for huldra_key in graph.tasks
        if huldra_key.endswith(step.huldra_hash)
    }
    nodes = tuple(
        ShortNode(key, task.payload, None, (limits or {}).get(names[key]))
        for key, task in graph.tasks.items()
    )
    return NodeGroup(nodes, "submitit", 2, {})


def test_a_group_shares_a_worker_and_a_failure_costs_one_node(scene: Scene) -> None:
    """What fails, dies or is too slow takes no other node along; the rest goes on."""
    good = [scene.step(f"good{n}") for n in range(4)]
    bad = [scene.step("fails", "fail"), scene.step("slow", "sleep")]
    once = scene.step("once", "die once")
    group = group_of([good[0], good[1], *bad, once, good[2], good[3]], {"slow": 0.02})
    with pytest.raises(NodeFailed, match="2 of 7 nodes were not made"):
        pickle.loads(pickle.dumps(group))()
    results = [step.load() for step in good]
    assert results[0]["pid"] == results[1]["pid"] != results[3]["pid"] == results[2]["pid"]
    assert once.load()["name"] == "once"
    assert not any(step.exists() for step in bad)
    counts = [scene.count(name) for name in ("fails", "once", "good0")]
    assert counts == [1, 2, 1]


def test_a_group_that_is_requeued_makes_what_is_left(scene: Scene) -> None:
    """What is made stays, and so does what failed."""
    steps = [scene.step("one"), scene.step("bad", "fail"), scene.step("two")]
    group = group_of(steps)
    for _ in range(2):
        with pytest.raises(NodeFailed, match="1 of 3"):
            group()
    assert [scene.count(step.name) for step in steps] == [1, 1, 1]


def test_a_group_that_is_requeued_begins_with_what_was_not_tried(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was given up is not tried again: it would use up each start of the job."""
    steps = [scene.step(name) for name in ("given up", "interrupted", "new")]
    group = group_of(steps)
    order = [step.huldra_hash for step in steps]
    group.nodes = tuple(
        sorted(group.nodes, key=lambda node: order.index(node.key[-len(order[0]) :]))
    )
    asked = list[int]()

    def interrupted(_: NodeGroup, number: int, node: ShortNode) -> str:
        asked.append(number)
        if number == 1:
            raise KeyboardInterrupt
        return f"{node.key}: it reached its time limit"

    with monkeypatch.context() as patch:
        patch.setattr(NodeGroup, "_make", interrupted)
        with pytest.raises(KeyboardInterrupt):
            group()
    again = pickle.loads(pickle.dumps(group))
    make = NodeGroup._make

    def noted(self: NodeGroup, number: int, node: ShortNode) -> str:
        asked.append(number)
        return make(self, number, node)

    monkeypatch.setattr(NodeGroup, "_make", noted)
    with pytest.raises(NodeFailed, match=r"1 of 3 nodes were not made; .*time limit"):
        again()
    assert asked == [0, 1, 2, 1]
    assert [scene.count(step.name) for step in steps] == [0, 1, 1]


def test_a_worker_that_died_between_two_nodes_costs_none_a_try(scene: Scene) -> None:
    """The next node gets a new worker, and counts no death."""
    group = group_of([scene.step("one"), scene.step("two")])
    group.max_requeues = 0
    make, pids = group._make, list[int]()

    def kill_after(number: int, node: ShortNode) -> str:
        problem = make(number, node)
        worker = group._worker
        if worker is not None:
            pids.append(worker.pid)
            worker.signal(signal.SIGKILL)
            worker.await_end()
        return problem

    group._make = kill_after  # type: ignore[method-assign]
    group()
    assert len(set(pids)) == 2
    assert [scene.count(name) for name in ("one", "two")] == [1, 1]


def test_a_worker_that_does_not_start_costs_its_node_a_try(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An `OSError` at the start is a death as any other: the rest of the group is made."""
    steps = [scene.step("one"), scene.step("two")]
    group, starts = group_of(steps), list[int]()

    def refuse_once(*given: Any) -> WorkerProcess:
        starts.append(1)
        if len(starts) == 1:
            raise OSError(errno.EAGAIN, "no more processes")
        return WorkerProcess(*given)

    monkeypatch.setattr(node_group, "WorkerProcess", refuse_once)
    group()
    assert len(starts) == 2
    assert all(step.exists() for step in steps)


@pytest.mark.parametrize(("wants_requeue", "grace_s"), [(False, [25.0]), (True, [])])
def test_the_end_of_the_job_leaves_a_node_the_time_that_slurm_does(
    monkeypatch: pytest.MonkeyPatch, wants_requeue: bool, grace_s: list[float]
) -> None:
    """The worker ends before all else does; `checkpoint` ends it where we bring the job back."""
    waited, done = list[float](), list[str]()

    class Ending:
        def wants_requeue(self) -> bool:
            return wants_requeue

        def act(self, *_: object) -> None:
            done.append(f"after {len(waited)}")

    monkeypatch.setattr(node_group, "TerminationHandler", Ending)
    group = NodeGroup((), "slurm", 2, {})
    monkeypatch.setattr(group, "_end_worker", waited.append)
    group._terminated(signal.SIGTERM, None)
    assert waited == grace_s
    assert done == [f"after {len(grace_s)}"]


def test_a_node_that_was_cancelled_is_passed_over(scene: Scene) -> None:
    """Its cancel stands in the store; the job goes on with the others."""
    steps = [scene.step("cancelled"), scene.step("other")]
    group = group_of(steps)
    assert steps[0].load_or_create(executor=FakeExecutor()).cancel()
    with pytest.raises(NodeFailed, match="cancelled"):
        group()
    assert [scene.count(step.name) for step in steps] == [0, 1]
