"""Queued attempts: one record for a run, exact all the same, and what a late job may not take."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import huldra
from huldra.attempts import heartbeat
from huldra.attempts.waiting import Waiting
from huldra.scheduling import queueing
from huldra.scheduling.queueing import RunEnqueuer
from huldra.store import claim
from huldra.store.job_ref import JobRef
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner
from huldra.store.records import Attempt, AttemptStatus, Lease
from huldra.testing import FakeExecutor
from huldra.worker import node
from tests.support import children
from tests.support.odd import Note


def paths_of(folder: Path, digest: str) -> ArtifactPaths:
    paths = ArtifactPaths(str(folder / "data" / "module" / "Class" / digest))
    os.makedirs(paths.claims)
    return paths


def queue_of(folder: Path, named: JobRef | None = None) -> RunEnqueuer:
    return RunEnqueuer(
        str(folder / "runs" / "r"), "r", new_owner("engine"), named, binds_jobs=False
    )


def test_the_nodes_of_a_run_share_one_claim_and_one_state(tmp_path: Path) -> None:
    """Two nodes' queued attempts are two names of one file, and say what they would say alone."""
    queue = queue_of(tmp_path)
    one, two = paths_of(tmp_path, "a" * 32), paths_of(tmp_path, "b" * 32)
    assert queue.add(one, 1, None) is not None
    assert queue.add(two, 1, None) is not None
    assert os.path.samefile(one.claim(1), two.claim(1))
    assert os.path.samefile(one.state, two.state)
    assert huldra.StateManager.read(two.directory).to_json()["attempt"]["status"] == "queued"


def test_a_attempt_that_somebody_has_is_not_taken(tmp_path: Path) -> None:
    """Of two runs that queue one node the second is told that it was not first."""
    paths = paths_of(tmp_path, "a" * 32)
    first, second = queue_of(tmp_path), queue_of(tmp_path / "other")
    mine = first.add(paths, 1, None)
    assert mine is not None
    assert second.add(paths, 1, None) is None
    assert claim.read_claim(paths, 1).owner == mine.owner


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EMLINK])
def test_a_file_that_takes_no_more_names_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Another file system below the root, or a full inode, costs files and no promise."""
    link = os.link

    def refuse(source: str, target: str, **folders: int | None) -> None:
        if source.startswith(f"{tmp_path}/runs"):
            raise OSError(code, os.strerror(code))
        link(source, target, **folders)

    monkeypatch.setattr(os, "link", refuse)
    queue = queue_of(tmp_path)
    one, two = paths_of(tmp_path, "a" * 32), paths_of(tmp_path, "b" * 32)
    assert queue.add(one, 1, None) is not None
    assert queue.add(two, 1, None) is not None
    assert queue.add(two, 1, None) is None
    assert claim.read_claim(one, 1) == claim.read_claim(two, 1)
    assert not os.path.samefile(one.claim(1), two.claim(1))


def test_a_named_job_is_read_from_the_claim(tmp_path: Path) -> None:
    """Each node has the job of its own name, though the record is one."""
    named = JobRef("engine", "-root", {"address": "there"})
    queue = queue_of(tmp_path, named)
    for digest in ("a" * 32, "b" * 32):
        paths = paths_of(tmp_path, digest)
        queue.add(paths, 1, None)
        name = f"module/Class-{digest}-1-root"
        assert claim.read_attempt(paths, 1).ref == JobRef("engine", name, {"address": "there"})


def test_a_late_job_takes_no_attempt_of_others(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An artifact that was removed while queued, and is made again, is not the old job's to end."""
    engine = FakeExecutor()
    huldra.load_or_create([Note(name="a")], executor=engine)
    (task,) = engine.graphs[-1].tasks.values()
    paths = ArtifactPaths(task.directory)
    os.rename(paths.claims, f"{huldra_root}/removed")
    os.mkdir(paths.claims)
    owner = new_owner()
    claim.register(owner)
    claim.claim_next(paths, 1, owner)
    waited_for: list[Attempt] = []

    def step(_: Waiting, attempt: Attempt) -> None:
        waited_for.append(attempt)
        assert claim.end_attempt(paths, 1, AttemptStatus.PREEMPTED, owner) is not None

    monkeypatch.setattr(Waiting, "step", step)
    node.run_node(task.payload)
    assert [attempt.claim.owner for attempt in waited_for] == [owner]


def test_a_run_that_is_queued_has_a_lease_which_is_renewed(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One touch of one file for all nodes, until the engine says that all of them are over."""
    for name, value in {"lease": 0.6, "heartbeat": 0.05}.items():
        monkeypatch.setattr(huldra.HULDRA_CONFIG, name, value)
    monkeypatch.setattr(heartbeat, "_renewer", heartbeat._LeaseRenewer())
    engine = FakeExecutor()
    notes = [Note(name=f"n{number}") for number in range(3)]
    jobs = huldra.load_or_create(notes, executor=engine)
    files = [ArtifactPaths(str(note.huldra_dir)).claim(1) for note in notes]
    assert len({os.stat(file).st_ino for file in files}) == 1
    os.utime(files[0], (0, 0))
    children.until(lambda: os.stat(files[2]).st_mtime > 0, "a renewal")
    assert claim.read_claim(ArtifactPaths(str(notes[0].huldra_dir)), 1).lease == Lease(0.6, 0.05)
    engine.run_all()
    assert jobs.wait(30)
    children.until(lambda: not heartbeat._renewer.renewals, "the end of the renewals")


def test_a_file_gets_only_so_many_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each further file that a large run needs is renewed, too."""
    monkeypatch.setattr(queueing, "_NAMES_MAX", 2)
    lease = Lease(60.0, 20.0)
    queue = RunEnqueuer(str(tmp_path / "runs/r"), "r", new_owner("engine"), None, False, lease)
    paths = [paths_of(tmp_path, digit * 32) for digit in "abcde"]
    assert all(queue.add(each, 1, None) is not None for each in paths)
    inodes = {os.stat(each.claim(1)).st_ino for each in paths}
    assert len(inodes) == 3
    assert {os.stat(file).st_ino for file in queue.leased} == inodes
