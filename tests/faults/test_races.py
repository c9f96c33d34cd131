"""Races, step by step: a process is stopped at a point of the protocol while others go on."""

from __future__ import annotations

from pathlib import Path

import pytest

import huldra
from huldra import artifact, claim
from huldra.layout import ArtifactPaths
from huldra.owner import new_owner
from huldra.state import QUEUED, AttemptStatus
from tests.faults.pausing import Stopped
from tests.support import children
from tests.support.odd import Note, lines


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return str(tmp_path / "ledger")


def call(ledger: str, name: str = "a") -> str:
    """Code of a process that asks for one note."""
    return (
        "from tests.support.odd import Note\n"
        f"print(Note(name={name!r}, ledger={ledger!r}).load_or_create())"
    )


def by_job(ledger: str, name: str = "a", engine: str = "inline") -> str:
    """Code of a process that has one note made by an engine."""
    return (
        "from tests.support.odd import Note\n"
        f"job = Note(name={name!r}, ledger={ledger!r}).load_or_create(executor={engine!r})\n"
        "print(job.result(60))"
    )


def paths_of(name: str = "a") -> ArtifactPaths:
    return ArtifactPaths(str(Note(name=name).huldra_dir))


def statuses(name: str = "a") -> list[str]:
    return [turn.status.value for turn in huldra.StateManager.history(Note(name=name).huldra_dir)]


def test_job_between_the_two_names_of_its_start_is_not_overtaken(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """A queued turn's end is its job's start: who sees the first name only does not claim."""
    job = Stopped(tmp_path / "stop", by_job(ledger), huldra_root, ("before", "os.link", "claims/2"))
    rival = children.start(call(ledger), huldra_root)
    turn = claim.last_turn(paths_of())
    assert turn is not None
    assert (turn.number, turn.status) == (2, AttemptStatus.RUNNING)
    with pytest.raises(huldra.HuldraWaitTimeout):
        _impatient().load_or_create()
    assert not lines(ledger)
    assert job.go_on()[1] == "a\n"
    assert children.finish(rival)[1] == "a\n"
    assert len(lines(ledger, "begin")) == 1
    assert artifact.is_made(paths_of())


def _impatient() -> Note:
    note = Note(name="a")
    object.__setattr__(note, "_max_wait_time_sec", 0.3)
    return note


def test_job_killed_between_the_two_names_of_its_start_is_replaced(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """A start that got only its first name is over with its process."""
    job = Stopped(tmp_path / "stop", by_job(ledger), huldra_root, ("before", "os.link", "claims/2"))
    job.kill()
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert statuses() == ["crashed", "crashed", "success"]


def test_start_of_a_queued_turn_fails_when_the_next_turn_is_taken(huldra_root: Path) -> None:
    """Whoever does not get both names has not got the turn."""
    paths = paths_of()
    queued = claim.claim_next(paths, 1, new_owner(), kind=QUEUED)
    assert queued is not None
    assert claim.claim_next(paths, 2, new_owner()) is not None
    assert claim.start_queued(paths, queued, new_owner()) is None


def test_owner_killed_between_its_end_and_success_made_the_artifact(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """The end of the turn says success: what is missing is written, and nothing is made again."""
    point = ("before", "write_atomic", "SUCCESS.json")
    Stopped(tmp_path / "stop", call(ledger), huldra_root, point).kill()
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert len(lines(ledger, "begin")) == 1
    assert statuses() == ["success"]


def test_waiter_does_not_wait_for_an_owner_between_its_end_and_success(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """Anybody may write down what the end says; the owner doing so later changes nothing."""
    point = ("before", "write_atomic", "SUCCESS.json")
    owner = Stopped(tmp_path / "stop", call(ledger), huldra_root, point)
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert owner.go_on()[1] == "a\n"
    assert Note(name="a").exists()
    assert statuses() == ["success"]
    assert len(lines(ledger, "begin")) == 1


def test_late_success_of_an_old_turn_does_not_hide_the_newer_one(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """An owner that wakes up after its result was discarded and made anew takes nothing back."""
    point = ("before", "write_atomic", "SUCCESS.json")
    code = call(ledger).replace("Note", "ValidByFile")
    owner = Stopped(tmp_path / "stop", code, huldra_root, point)
    from tests.support.odd import ValidByFile

    note = ValidByFile(name="a", ledger=ledger)
    (note.huldra_dir / "note.txt").unlink()
    assert note.load_or_create() == "a"
    assert owner.go_on()[1] == "a\n"
    assert note.exists()
    assert len(lines(ledger, "begin")) == 2


def test_job_wait_ends_when_its_worker_died_between_end_and_success(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """A `Job` of another process is done once the end says success."""
    point = ("before", "write_atomic", "SUCCESS.json")
    Stopped(tmp_path / "stop", call(ledger), huldra_root, point).kill()
    from huldra.job import Job

    job: Job[str] = Job(Note(name="a"), None, None)
    assert job.result(10) == "a"


def test_what_was_made_while_a_driver_planned_is_not_made_again(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """An artifact that appears between a driver's look and its sending is kept."""
    code = (
        "from huldra import claim\n"
        "original = claim.last_turn\n"
        "def slow(paths):\n"
        "    from tests.faults.pausing import _stop\n"
        "    claim.last_turn = original\n"
        f"    _stop({str(tmp_path / 'stop')!r})\n"
        "    return original(paths)\n"
        "claim.last_turn = slow\n"
    )
    driver = Stopped(tmp_path / "stop", code + by_job(ledger), huldra_root)
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert driver.go_on()[1] == "a\n"
    assert len(lines(ledger, "begin")) == 1


def test_queued_turn_that_never_started_discards_no_result(huldra_root: Path, ledger: str) -> None:
    """A turn that was queued by mistake and cancelled leaves what was made before it."""
    note = Note(name="a", ledger=ledger)
    note.load_or_create()
    paths = paths_of()
    assert claim.claim_next(paths, 2, new_owner(), kind=QUEUED) is not None
    assert claim.end_turn(paths, 2, AttemptStatus.CANCELLED, new_owner()) is not None
    assert note.load_or_create() == "a"
    assert len(lines(ledger, "begin")) == 1


def test_owner_that_was_replaced_publishes_nothing(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """Fencing: an owner whose turn was ended while it slept loads what its successor made."""
    point = ("before", "link_new", "1.end")
    owner = Stopped(tmp_path / "stop", call(ledger), huldra_root, point)
    paths = paths_of()
    assert claim.end_turn(paths, 1, AttemptStatus.CRASHED, new_owner()) is not None
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    before = artifact.read_success(paths)
    assert owner.go_on()[1] == "a\n"
    assert artifact.read_success(paths) == before
    assert statuses() == ["crashed", "success"]
    assert huldra.StateManager.read(paths.directory).attempt.number == 2  # type: ignore[union-attr]


def test_replaced_owner_does_not_withdraw_its_successors_result(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """An owner that sleeps before it removes a voided record finds a newer one when it wakes."""
    paths = paths_of()
    assert claim.claim_next(paths, 1, new_owner()) is not None
    assert claim.end_turn(paths, 1, AttemptStatus.CRASHED, new_owner()) is not None
    point = ("before", "remove", "SUCCESS.json")
    owner = Stopped(tmp_path / "stop", call(ledger), huldra_root, point)
    assert claim.end_turn(paths, 2, AttemptStatus.CRASHED, new_owner()) is not None
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    owner.go_on()
    assert Note(name="a").exists()
    assert statuses() == ["crashed", "crashed", "success"]
