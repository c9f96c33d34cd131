"""Artifacts that are removed while they are being made: by `rm`, by a cleaner of scratch space."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

import huldra
from huldra.store import artifact, claim, success
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner
from huldra.store.records import QUEUED, AttemptStatus
from tests.faults.pausing import Point, Stopped
from tests.support import children
from tests.support.odd import Gated, Note, await_file, leave, lines


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return str(tmp_path / "ledger")


def paths_of(obj: huldra.Huldra[str]) -> ArtifactPaths:
    return ArtifactPaths(str(obj.huldra_dir))


def begun(ledger: str, count: int = 1) -> None:
    children.until(lambda: len(lines(ledger, "begin")) == count)


class Asking:
    """A thread of this process that asks for an artifact."""

    def __init__(self, obj: huldra.Huldra[str]) -> None:
        self._obj = obj
        self.results: list[object] = []
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self.results.append(self._obj.load_or_create())
        except Exception as error:  # noqa: BLE001  handed to the test
            self.results.append(error)

    def result(self) -> object:
        self._thread.join(60)
        return self.results[0]


class Silent(Gated):
    """Writes no file, so that it does not see that its directory is gone."""

    def _create(self) -> str:
        leave(self.ledger, f"begin {self.name} {threading.get_ident()}")
        await_file(Path(self.gate))
        return self.name

    def _load(self) -> str:
        return (self.huldra_dir / "note.txt").read_text()


def test_removed_artifact_is_made_again_and_never_an_empty_hit(
    huldra_root: Path, gate: Path, ledger: str
) -> None:
    """An owner whose directory is removed has lost its claim: the call makes the artifact again."""
    note = Silent(name="a", gate=str(gate), ledger=ledger)
    asking = Asking(note)
    begun(ledger)
    shutil.rmtree(note.huldra_dir)
    gate.touch()
    assert asking.result() == "a"
    assert len(lines(ledger, "begin")) == 2
    attempts = huldra.StateManager.history(note.huldra_dir)
    assert [attempt.status.value for attempt in attempts] == ["success"]


def test_removed_owner_does_not_end_the_attempt_of_the_same_number(
    huldra_root: Path, gate: Path, ledger: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Another process has attempt 1 again: the removed one neither ends nor publishes that."""
    note = Silent(name="a", gate=str(gate), ledger=ledger)
    asking = Asking(note)
    begun(ledger)
    shutil.rmtree(note.huldra_dir)
    second_gate = gate.with_name("gate2")
    code = f"""
        from tests.support.odd import Gated
        from tests.faults.test_removed import Silent
        Silent._create = Gated._create
        print(Silent(name="a", gate={str(second_gate)!r}, ledger={ledger!r}).load_or_create())
    """
    second = children.start(code, huldra_root)
    begun(ledger, 2)
    paths = paths_of(note)
    token = claim.read_claim(paths, 1).owner.token
    gate.touch()
    children.until(lambda: asking.results or (not note.exists() and claim.read_attempt(paths, 1)))
    assert not claim.has_ended(paths, 1)
    assert not success.is_complete(paths)
    second_gate.touch()
    assert children.finish(second)[1] == "a\n"
    assert asking.result() == "a"
    assert claim.read_claim(paths, 1).owner.token == token
    assert len(lines(ledger, "begin")) == 2


def test_process_that_is_ours_ends_soon_after_its_directory_is_removed(
    huldra_root: Path, gate: Path, ledger: str
) -> None:
    """The heartbeat sees within about a second that the claim is gone, and ends the process."""
    code = f"""
        from huldra.attempts import context
        from tests.support.odd import Gated
        context.worker.set(context.WorkerContext("local", owns_process=True))
        Gated(name="a", gate={str(gate)!r}, ledger={ledger!r}).load_or_create()
    """
    child = children.start(code, huldra_root)
    begun(ledger)
    shutil.rmtree(Gated(name="a").huldra_dir)
    assert children.finish(child)[0] != 0
    assert lines(ledger, "finally")
    assert not Gated(name="a").exists()


def test_lease_is_not_renewed_for_another_owner(huldra_root: Path) -> None:
    """A heartbeat knows its own claim, and says when it is not there."""
    paths = paths_of(Note(name="a"))
    mine, other = new_owner(), new_owner()
    assert claim.claim_next(paths, 1, other)
    assert not claim.renew(paths, 1, mine)
    assert claim.renew(paths, 1, other)
    shutil.rmtree(paths.directory)
    assert not claim.renew(paths, 1, other)
    assert not Path(paths.directory).exists()


def test_attempt_of_another_owner_is_not_ended(huldra_root: Path) -> None:
    """Who judged attempt 1 dead does not end the attempt 1 that has taken its place."""
    paths = paths_of(Note(name="a"))
    dead, alive = new_owner(), new_owner()
    assert claim.claim_next(paths, 1, alive)
    ended = claim.end_attempt(paths, 1, AttemptStatus.CRASHED, new_owner(), of=dead)
    assert ended is None
    assert claim.end_without_record(paths, 1, of=dead)
    assert not claim.has_ended(paths, 1)


def test_nothing_is_written_where_nothing_is(huldra_root: Path) -> None:
    """Ends, cancels, jobs, states and records make no folder: a removed artifact stays removed."""
    paths = paths_of(Note(name="a"))
    owner = new_owner()
    assert claim.end_attempt(paths, 1, AttemptStatus.SUCCESS, owner) is None
    assert claim.end_without_record(paths, 1)
    claim.request_cancel(paths, 1, owner)
    assert not artifact.publish(paths, 1)
    artifact.retract_success(paths, 1, owner)
    assert not Path(paths.directory).exists()


def test_job_does_not_start_an_attempt_of_another_driver(huldra_root: Path) -> None:
    """The queued attempt 1 was removed and another driver has queued its own."""
    paths = paths_of(Note(name="a"))
    first = claim.claim_next(paths, 1, new_owner(), kind=QUEUED)
    assert first is not None
    shutil.rmtree(paths.directory)
    assert claim.claim_next(paths, 1, new_owner(), kind=QUEUED)
    assert claim.start_queued(paths, first, new_owner()) is None
    assert not claim.has_ended(paths, 1)


def test_next_attempt_is_not_opened_where_the_one_before_is_gone(huldra_root: Path) -> None:
    """Attempt 2 follows the end of attempt 1 that was seen, in the same folder."""
    paths = paths_of(Note(name="a"))
    assert claim.claim_next(paths, 1, new_owner())
    assert claim.claim_next(paths, 2, new_owner(), after=1) is None
    claim.end_attempt(paths, 1, AttemptStatus.FAILED, new_owner())
    assert claim.claim_next(paths, 2, new_owner(), after=1)


@pytest.mark.parametrize("lost", ["1", "claims"])
def test_success_needs_the_claim_beside_its_end(huldra_root: Path, lost: str) -> None:
    """A removal that is under way may have left the end alone: that publishes nothing."""
    note = Note(name="a")
    note.load_or_create()
    paths = paths_of(note)
    Path(paths.success).unlink()
    if lost == "claims":
        shutil.rmtree(paths.claims)
    else:
        Path(paths.claim(1)).unlink()
    assert not artifact.publish(paths, 1)
    assert not note.exists()
    assert note.load_or_create() == "a"


def test_call_that_loses_its_claim_again_and_again_gives_up(
    huldra_root: Path, ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An artifact that is removed at each try is an error, and no loop without end."""

    def removing(self: Note) -> str:
        shutil.rmtree(self.huldra_dir)
        return self.name

    monkeypatch.setattr(Note, "_create", removing)
    with pytest.raises(huldra.HuldraClaimLost, match="directory was removed"):
        Note(name="a", ledger=ledger).load_or_create()
    assert not Note(name="a").exists()


def test_owner_that_is_removed_between_its_end_and_success_publishes_nothing(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """It wakes up in a folder that is gone: the path may be another owner's by now."""
    point = Point.BEFORE_SUCCESS
    code = (
        "from tests.support.odd import Note\n"
        f"print(Note(name='a', ledger={ledger!r}).load_or_create())\n"
    )
    owner = Stopped(tmp_path / "stop", code, huldra_root, point)
    paths = paths_of(Note(name="a"))
    shutil.rmtree(paths.directory)
    other = new_owner()
    claim.register(other)
    assert claim.claim_next(paths, 1, other)
    claim.end_attempt(paths, 1, AttemptStatus.FAILED, other)
    claim.unregister(other)
    assert owner.go_on()[1] == "a\n"
    assert success.read_success(paths)["claim"] == 2  # type: ignore[index]  # it is there


def test_copy_without_claims_that_is_not_valid_is_made_again_above_its_record(
    huldra_root: Path, gate: Path, ledger: str
) -> None:
    """While it is made again, the record that came with the copy does not count."""
    note = ValidWhenGated(name="a", gate=str(gate), ledger=ledger)
    gate.touch()
    note.load_or_create()
    gate.unlink()
    paths = paths_of(note)
    shutil.rmtree(paths.claims)
    (note.huldra_dir / "note.txt").unlink()
    asking = Asking(note)
    begun(ledger, 2)
    assert not success.is_complete(paths)
    gate.touch()
    assert asking.result() == "a"
    assert success.read_success(paths)["claim"] == 2  # type: ignore[index]  # it is there


class ValidWhenGated(Gated):
    """Valid as long as its file is there."""

    def _validate(self) -> bool:
        return (self.huldra_dir / "note.txt").exists()
