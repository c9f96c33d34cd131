"""Many short nodes on one warm worker, as a job of Slurm's runs them; no Slurm here."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.errors import NodeFailed
from huldra.store.job_ref import JobRef
from huldra.testing.fake import FakeExecutor
from huldra.testing.suite import Scene
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


def test_a_node_that_was_cancelled_is_passed_over(scene: Scene) -> None:
    """Its cancel stands in the store; the job goes on with the others."""
    steps = [scene.step("cancelled"), scene.step("other")]
    group = group_of(steps)
    assert steps[0].load_or_create(executor=FakeExecutor()).cancel()
    with pytest.raises(NodeFailed, match="cancelled"):
        group()
    assert [scene.count(step.name) for step in steps] == [0, 1]
