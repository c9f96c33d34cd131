"""Sending a graph: how many calls it makes to the file system, and how many of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

import huldra
from huldra.engines.protocol import Capabilities
from huldra.store import claim
from huldra.store.location import paths_of
from huldra.store.records import AttemptStatus
from huldra.testing import FakeExecutor
from tests.support.odd import Note
from tests.support.slow_disk import SlowDisk


def test_a_plan_of_what_was_never_tried_takes_few_calls(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand missing nodes are planned by a listing of their folder, not by asking each."""
    Note(name="first").load_or_create()
    notes = [Note(name=str(number)) for number in range(1000)]
    disk = SlowDisk(monkeypatch, huldra_root)
    assert len(huldra.plan(notes).to_run) == 1000
    assert disk.count <= 100


def test_a_node_is_sent_by_five_calls(huldra_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning and queueing a hundred new nodes takes three folders and two links a node."""
    Note(name="first").load_or_create()
    notes = [Note(name=str(number)) for number in range(100)]
    disk = SlowDisk(monkeypatch, huldra_root)
    huldra.load_or_create(notes, executor=FakeExecutor())
    assert disk.calls["mkdir"] + disk.calls["link"] <= 5 * 100 + 10
    assert disk.count <= 5 * 100 + 60


def test_nodes_are_queued_at_the_same_time_where_the_disk_is_slow(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each node is queued once, by one claim, however many threads queue them."""
    notes = [Note(name=str(number)) for number in range(60)]
    disk = SlowDisk(monkeypatch, huldra_root, delay_s=0.002)
    sweep = huldra.load_or_create(notes, executor=FakeExecutor())
    assert disk.at_once > 4
    assert len(sweep) == 60
    attempts = [claim.read_history(paths_of(note)) for note in notes]
    assert [len(history) for history in attempts] == [1] * 60
    assert {history[0].status for history in attempts} == {AttemptStatus.QUEUED}


def test_jobs_are_recorded_when_sending_returns(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where hints find the jobs, they are recorded together, and all of them before it returns."""

    class Hinting(FakeExecutor):
        def recovery_hints(self, graph: huldra.engines.protocol.TaskGraph) -> dict[str, object]:
            return {key: {"key": key} for key in graph.tasks}

    engine = Hinting(capabilities=Capabilities(finds_by_id=True))
    notes = [Note(name=str(number)) for number in range(60)]
    disk = SlowDisk(monkeypatch, huldra_root, delay_s=0.002)
    sweep = huldra.load_or_create(notes, executor=engine)
    assert disk.at_once > 4
    for note, job in zip(notes, sweep.values(), strict=True):
        attempt = claim.last_attempt(paths_of(note))
        assert attempt is not None
        assert attempt.job == job.ref
        state = huldra.StateManager.read(note.huldra_dir).attempt
        assert state is not None
        assert state.job_id == job.job_id
