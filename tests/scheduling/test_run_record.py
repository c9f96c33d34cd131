"""The record of a dispatch: what workers read of it, and how much of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.config.hashing import key_of
from huldra.engines.protocol import TaskGraph
from huldra.scheduling import run_record
from huldra.scheduling.run_record import RunRecord
from huldra.testing import FakeExecutor
from huldra.worker import node
from tests.support import children
from tests.support.odd import Failing, Note


def recorded(*objects: Any) -> tuple[TaskGraph, RunRecord]:
    """Send configs to an engine that runs nothing; the graph, and the record that was written."""
    engine = FakeExecutor()
    huldra.load_or_create(objects, executor=engine)
    record = run_record.read(engine.graphs[-1].run_path)
    assert record is not None
    return engine.graphs[-1], record


def test_a_node_is_found_with_its_neighbours(huldra_root: Path) -> None:
    """A node's record names what it needs, where that is, and what needs it."""
    first, made = Note(name="first"), Note(name="made")
    made.load_or_create()
    last = Note(name="last", needs=(first, made))
    _, record = recorded(last)
    found = record.node(key_of(last))
    assert found is not None
    assert found["after"] == [key_of(first)]
    assert found["directories"] == {
        key_of(first): str(first.huldra_dir),
        key_of(made): str(made.huldra_dir),
    }
    assert list(record.dependents(key_of(first))) == [key_of(last)]
    assert record.node("no/Such/" + "0" * 32) is None


def test_every_config_of_the_run_is_in_the_record(huldra_root: Path) -> None:
    """Also of what was made before and is only loaded."""
    made = Note(name="made")
    made.load_or_create()
    last = Note(name="last", needs=(made,))
    _, record = recorded(last)
    objects = record.objects()
    assert objects[made.huldra_hash]["fields"]["name"] == "made"
    assert objects[last.huldra_hash]["fields"]["name"] == "last"
    assert objects.get("f" * 32) is None


def test_a_worker_reads_its_own_config_of_a_large_run(huldra_root: Path) -> None:
    """Of many large configs a worker reads the one that it makes, whatever the others are."""
    notes = [Note(name=f"{number}-" + "x" * 500_000) for number in range(20)]
    _, record = recorded(*notes)
    record.node(key_of(notes[7]))
    assert record.objects()[notes[7].huldra_hash]["fields"]["name"] == notes[7].name
    assert 500_000 < record.read_bytes < 510_000


def test_what_was_built_of_large_configs_is_let_go(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warm worker does not collect the configs of all nodes that it has made."""
    monkeypatch.setattr(node, "_BUILT_BYTES", 1_000_000)
    notes = [Note(name=f"{number}-" + "x" * 500_000) for number in range(20)]
    graph, record = recorded(*notes)
    run = node.Run(graph.run_path, record, node.this_process())
    for note in notes:
        assert run.build(note.huldra_hash) == note
        assert len(run.built) <= 3


def test_the_record_for_those_who_look_has_no_configs(huldra_root: Path) -> None:
    """`graph.json` stays small: the graph, the members and the facts of the run."""
    note = Note(name="x" * 100_000)
    graph, _ = recorded(note)
    shown = json.loads(Path(graph.run_path).read_text())
    assert shown["nodes"].keys() == {key_of(note)}
    assert os.path.getsize(graph.run_path) < 50_000


@pytest.mark.parametrize("kept", [0, 5, 400])
def test_a_record_that_was_cut_off_is_no_record(huldra_root: Path, kept: int) -> None:
    """A worker fails its node and says so, and does not take part of the graph for all of it."""
    graph, _ = recorded(Note(name="a"))
    nodes = Path(graph.run_path).with_name("nodes.jsonl")
    nodes.write_bytes(nodes.read_bytes()[:kept])
    (task,) = graph.tasks.values()
    with pytest.raises(huldra.NodeFailed, match="missing or unreadable here"):
        node.run_node(task.payload)


def test_a_failure_reaches_dependents_by_their_own_records(huldra_root: Path) -> None:
    """What needs a failed node, also through others, is found without the graph."""
    failing = Failing(name="f")
    top = Note(name="top", needs=(Note(name="middle", needs=(failing,)),))
    graph, _ = recorded(top)
    os.unlink(graph.run_path)
    with pytest.raises(huldra.NodeFailed):
        node.run_node(graph.tasks[key_of(failing)].payload)
    state = huldra.StateManager.read(top.huldra_dir)
    assert state.attempt is not None
    assert state.attempt.status == "failed"


PEAK = """
import huldra
from tests.support.odd import Peak
peaks = [Peak(name=str(number) + "x" * 1_000_000) for number in range({count})]
sweep = huldra.load_or_create(peaks, executor="local:1")
print(max(sweep.results(timeout=50).values()))
"""


def test_a_worker_needs_no_memory_for_the_nodes_of_others(tmp_path: Path) -> None:
    """A worker's peak hardly grows with the number of large configs in its run."""
    peaks_kb = []
    for count in (1, 60):
        done = children.run(PEAK.format(count=count), tmp_path / str(count))
        assert done.returncode == 0, done.stderr
        peaks_kb.append(int(done.stdout))
    assert peaks_kb[1] - peaks_kb[0] < 30_000, peaks_kb
