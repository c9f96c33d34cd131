"""`run_node`: what a worker does with a payload, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.config.hashing import key_of
from huldra.engines.protocol import Capabilities, JobStatus
from huldra.provenance.command import command_line
from huldra.store import claim
from huldra.store.job_ref import JobRef
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner
from huldra.store.records import AttemptStatus
from huldra.testing import FakeExecutor
from huldra.worker import node
from tests.support import children
from tests.support.odd import Failing, Note, lines


def dispatched(*objects: Any) -> tuple[FakeExecutor, huldra.Sweep[Any]]:
    """Send objects to an engine that runs nothing by itself."""
    engine = FakeExecutor()
    return engine, huldra.load_or_create(objects, executor=engine)


def payload_of(engine: FakeExecutor, obj: Any) -> str:
    tasks = engine.graphs[-1].tasks
    return next(task.payload for task in tasks.values() if task.directory == str(obj.huldra_dir))


def statuses(obj: Any) -> list[str]:
    attempts = huldra.StateManager.history(obj.huldra_dir)
    return [f"{t.claim.kind} {t.end.status if t.end else 'open'}" for t in attempts]


def test_queued_attempt_becomes_a_running_one(huldra_root: Path) -> None:
    """Before the job begins the node is queued; its start ends that attempt and opens the next."""
    note = Note(name="a")
    engine, sweep = dispatched(note)
    assert statuses(note) == ["queued open"]
    state = json.loads((note.huldra_dir / ".huldra" / "state.json").read_text())
    assert state["attempt"]["status"] == "queued"
    assert state["attempt"]["backend"] == "fake"
    node.run_node(payload_of(engine, note))
    assert statuses(note) == ["queued started", "running success"]
    assert next(iter(sweep.values())).result(timeout=0) == "a"


def test_the_job_of_an_engine_that_others_can_ask_is_in_the_state(huldra_root: Path) -> None:
    """The id that the engine gave stands in `state.json` before the call returns."""
    note = Note(name="a")
    engine = FakeExecutor(capabilities=Capabilities(cancels_queued=True, finds_by_id=True))
    job = note.load_or_create(executor=engine)
    state = json.loads((note.huldra_dir / ".huldra" / "state.json").read_text())
    assert state["attempt"]["job_id"] == job.job_id


def test_payload_run_twice_makes_the_artifact_once(huldra_root: Path, tmp_path: Path) -> None:
    """A second run of one payload is harmless."""
    ledger = str(tmp_path / "ledger")
    note = Note(name="a", ledger=ledger)
    engine, _ = dispatched(note)
    node.run_node(payload_of(engine, note))
    node.run_node(payload_of(engine, note))
    assert len(lines(ledger, "begin")) == 1


def test_failure_is_not_replayed(huldra_root: Path, tmp_path: Path) -> None:
    """The payload of a node whose code failed fails again without running the code."""
    ledger = str(tmp_path / "ledger")
    failing = Failing(name="f", ledger=ledger)
    engine, _ = dispatched(failing)
    for _ in range(2):
        with pytest.raises(huldra.NodeFailed, match="told to fail"):
            node.run_node(payload_of(engine, failing))
    assert len(lines(ledger, "begin")) == 1


def test_failure_ends_the_queued_attempts_of_all_that_needs_it(huldra_root: Path) -> None:
    """Dependents, also indirect ones, are failed by the failing node, naming it and its log."""
    failing = Failing(name="f")
    middle = Note(name="middle", needs=(failing,))
    top = Note(name="top", needs=(middle,))
    engine, sweep = dispatched(top)
    with pytest.raises(huldra.NodeFailed):
        node.run_node(payload_of(engine, failing))
    assert statuses(top) == ["queued failed"]
    error = next(iter(sweep.values())).exception(timeout=0)
    assert isinstance(error, huldra.HuldraDependencyError)
    assert error.failed_key.endswith(failing.huldra_hash)
    assert error.log_path == str(failing.huldra_dir / ".huldra" / "huldra.log")


def test_dependent_of_what_is_not_made_is_not_tried(huldra_root: Path, tmp_path: Path) -> None:
    """A planned dependency that is not there fails the node, naming it; it is not made there."""
    ledger = str(tmp_path / "ledger")
    need = Note(name="need", ledger=ledger)
    top = Note(name="top", needs=(need,), ledger=ledger)
    engine, _ = dispatched(top)
    claim.end_attempt(ArtifactPaths(str(need.huldra_dir)), 1, AttemptStatus.CANCELLED, new_owner())
    with pytest.raises(
        huldra.NodeFailed, match=f"dependency .*{need.huldra_hash} did not complete"
    ):
        node.run_node(payload_of(engine, top))
    assert not lines(ledger)


def test_what_is_told_is_the_failure_itself_and_not_who_was_felled_by_it(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that starts while the failure is still being passed on names what failed."""
    failing = Failing(name="f")
    middle = Note(name="m", needs=(failing,))
    last = Note(name="l", needs=(middle,))
    engine, sweep = dispatched(last)
    with monkeypatch.context() as patch:
        patch.setattr(node.Run, "dependents", lambda *_: [key_of(middle)])
        with pytest.raises(huldra.NodeFailed):
            node.run_node(payload_of(engine, failing))
    with pytest.raises(huldra.NodeFailed, match=f"dependency {key_of(failing)} did not complete"):
        node.run_node(payload_of(engine, last))
    (job,) = sweep.values()
    error = job.exception(timeout=0)
    assert isinstance(error, huldra.HuldraDependencyError)
    assert error.failed_key == key_of(failing)


def test_a_lost_job_is_told_as_lost_although_its_dependency_was_preempted(
    huldra_root: Path,
) -> None:
    """An engine that goes down ends the dependency's worker, too: that is not why it is lost."""
    first = Note(name="f")
    last = Note(name="l", needs=(first,))
    engine, sweep = dispatched(last)
    paths = ArtifactPaths(str(first.huldra_dir))
    claim.end_attempt(paths, 1, AttemptStatus.PREEMPTED, new_owner())
    engine.end(key_of(last), JobStatus.LOST)
    (job,) = sweep.values()
    assert isinstance(job.exception(timeout=0), huldra.HuldraJobLost)


def test_a_module_that_exits_as_it_is_imported_is_a_failure(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sys.exit` at a module's top fails the node and what depends on it, and says so."""
    first = Note(name="f")
    engine, sweep = dispatched(Note(name="l", needs=(first,)))
    with monkeypatch.context() as patch:
        patch.setattr(node.documents, "build", lambda *_: sys.exit("no licence"))
        with pytest.raises(huldra.NodeFailed, match="no licence"):
            node.run_node(payload_of(engine, first))
    assert statuses(first) == ["queued failed"]
    (job,) = sweep.values()
    assert isinstance(job.exception(timeout=0), huldra.HuldraDependencyError)


def test_cancelled_while_queued_never_starts(huldra_root: Path, tmp_path: Path) -> None:
    """A job that was cancelled in the queue does not run its code when the engine starts it."""
    ledger = str(tmp_path / "ledger")
    note = Note(name="a", ledger=ledger)
    engine, sweep = dispatched(note)
    job = next(iter(sweep.values()))
    assert job.cancel()
    assert job.status() is AttemptStatus.CANCELLED
    with pytest.raises(huldra.NodeFailed, match="cancelled"):
        node.run_node(payload_of(engine, note))
    with pytest.raises(huldra.HuldraCancelled):
        job.result(timeout=0)
    assert not lines(ledger)
    assert note.load_or_create() == "a"


def test_other_protocol_is_refused(huldra_root: Path) -> None:
    """A driver of another version is told from the start."""
    note = Note(name="a")
    engine, _ = dispatched(note)
    words = {**json.loads(payload_of(engine, note)), "protocol": 99}
    with pytest.raises(huldra.NodeFailed, match="same version of huldra"):
        node.run_node(json.dumps(words))


def test_lost_run_record_is_told(huldra_root: Path) -> None:
    """A worker that does not see the root says so."""
    words = {"protocol": 1, "run": str(huldra_root / "runs" / "none" / "graph.json"), "key": "k"}
    with pytest.raises(huldra.NodeFailed, match="folder that workers share"):
        node.run_node(json.dumps(words))


def test_worker_with_other_code_stops_and_says_so(huldra_root: Path, tmp_path: Path) -> None:
    """If the class computes another directory, nothing runs, and the queued attempt is ended."""
    note = Note(name="a")
    engine, _ = dispatched(note)
    nodes = Path(engine.graphs[-1].run_path).with_name("nodes.jsonl")
    nodes.write_text(nodes.read_text().replace('"name": "a"', '"name": "b"'))
    payload = tmp_path / "payload.json"
    payload.write_text(payload_of(engine, note))
    done = children.run(
        f"import sys; from huldra.worker import main; sys.exit(main([{str(payload)!r}]))",
        huldra_root,
    )
    assert done.returncode == 1
    assert "its code or its root differs; nothing was run" in done.stderr
    assert statuses(note) == ["queued failed"]


def test_worker_process_takes_the_drivers_settings(huldra_root: Path, tmp_path: Path) -> None:
    """Root and settings that the driver set in code count on the worker, whatever it has itself."""
    note = Note(name="a")
    engine, _ = dispatched(note)
    payload = tmp_path / "payload.json"
    payload.write_text(payload_of(engine, note))
    done = children.run(
        f"import sys; from huldra.worker import main; sys.exit(main([{str(payload)!r}]))",
        tmp_path / "another-root",
    )
    assert done.returncode == 0, done.stderr
    assert note.exists()
    assert not (tmp_path / "another-root").exists()
    assert note.get_metadata().command == command_line(sys.orig_argv)  # the driver's


def test_second_driver_attaches_to_what_is_queued(huldra_root: Path) -> None:
    """What is in flight is not sent again; the job of the first driver is had again."""
    shared = Note(name="shared")
    first, sweep = dispatched(shared)
    second = FakeExecutor()
    again = Note(name="top", needs=(shared,)).load_or_create(executor=second)
    assert len(second.graphs[-1].tasks) == 1
    assert next(iter(sweep.values())).job_id is not None
    assert again.status() is AttemptStatus.QUEUED
    assert len(first.graphs) == 1


def test_queued_attempt_of_a_dead_driver_is_free(huldra_root: Path) -> None:
    """A driver that died before its job was recorded does not block the artifact."""
    code = """
        import os
        from huldra.testing import FakeExecutor
        from tests.support.odd import Note
        class Dies(FakeExecutor):
            def submit(self, graph, on_submitted):
                os._exit(9)
        Note(name="a").load_or_create(executor=Dies())
    """
    assert children.run(code, huldra_root).returncode == 9
    assert statuses(Note(name="a")) == ["queued open"]
    assert Note(name="a").load_or_create() == "a"


def test_engine_that_fails_half_way_frees_what_was_not_sent(huldra_root: Path) -> None:
    """After a failed submit the nodes are free for the next call."""

    class Fails(FakeExecutor):
        def submit(self, graph: Any, on_submitted: Any) -> None:
            raise huldra.HuldraSubmitError("the engine said no")

    with pytest.raises(huldra.HuldraSubmitError):
        Note(name="a").load_or_create(executor=Fails())
    assert statuses(Note(name="a")) == ["queued cancelled"]
    assert Note(name="a").load_or_create() == "a"


def test_job_pickles_and_is_found_again(huldra_root: Path) -> None:
    """A job that went through pickle tells the artifact's state."""
    import pickle

    note = Note(name="a")
    engine, sweep = dispatched(note)
    job = pickle.loads(pickle.dumps(next(iter(sweep.values()))))
    node.run_node(payload_of(engine, note))
    assert job.result(timeout=5) == "a"
    assert isinstance(job.ref, JobRef)


_GOES_ON_AFTER_A_CANCEL = """
import signal, threading, time
import huldra
from huldra.store import claim
from huldra.worker import node as worker
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner
from huldra.testing import FakeExecutor
from huldra.testing.pipelines import Step, count_notes

signal.signal(signal.SIGTERM, lambda *_: None)
folder = huldra.get_huldra_root()
folder.mkdir()
huldra.HULDRA_CONFIG.update(lease=3.0, heartbeat=1.0)
engine = FakeExecutor()
huldra.load_or_create([Step(name="w", does="wait", notes=str(folder))], executor=engine)
(task,) = engine.graphs[-1].tasks.values()

def cancel():
    while not count_notes(folder, "w", "began"):
        time.sleep(0.01)
    claim.request_cancel(ArtifactPaths(task.directory), 2, new_owner())

threading.Thread(target=cancel).start()
try:
    worker.run_node(task.payload, owns_process=True)
except BaseException as error:
    print(type(error).__name__)
time.sleep(1.5)  # for three times the grace after which a process that ignores SIGTERM is ended
print("goes on")
"""


def test_a_process_that_obeyed_a_cancel_goes_on(huldra_root: Path) -> None:
    """What ends a process that ignores a cancel must not end it once the attempt is over."""
    ended = children.run(_GOES_ON_AFTER_A_CANCEL, huldra_root)
    assert ended.stdout.split("\n")[-2:] == ["goes on", ""], (ended.stdout, ended.stderr)
    assert ended.returncode == 0
