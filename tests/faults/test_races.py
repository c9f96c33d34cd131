"""Races, step by step: a process is stopped at a point of the protocol while others go on."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

import huldra
from huldra.scheduling.job import Job
from huldra.store import claim, success
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner
from huldra.store.records import QUEUED, AttemptStatus
from tests.faults.pausing import Point, Stopped
from tests.faults.samples import payload_of
from tests.support import children
from tests.support.odd import Gated, Note, ValidByFile, lines


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
    return [
        attempt.status.value for attempt in huldra.StateManager.history(Note(name=name).huldra_dir)
    ]


def test_job_between_the_two_names_of_its_start_is_not_overtaken(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """A queued attempt's end is its job's start: who sees the first name only does not claim."""
    job = Stopped(
        tmp_path / "stop", by_job(ledger), huldra_root, Point.BEFORE_SECOND_NAME_OF_A_START
    )
    rival = children.start(call(ledger), huldra_root)
    attempt = claim.last_attempt(paths_of())
    assert attempt is not None
    assert (attempt.number, attempt.status) == (2, AttemptStatus.RUNNING)
    with pytest.raises(huldra.HuldraWaitTimeout):
        _impatient().load_or_create()
    assert not lines(ledger)
    assert job.go_on()[1] == "a\n"
    assert children.finish(rival)[1] == "a\n"
    assert len(lines(ledger, "begin")) == 1
    assert success.is_complete(paths_of())


def _impatient() -> Note:
    note = Note(name="a")
    object.__setattr__(note, "_max_wait_time_sec", 0.3)
    return note


def test_job_killed_between_the_two_names_of_its_start_is_replaced(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """A start that got only its first name is over with its process."""
    job = Stopped(
        tmp_path / "stop", by_job(ledger), huldra_root, Point.BEFORE_SECOND_NAME_OF_A_START
    )
    job.kill()
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert statuses() == ["started", "crashed", "success"]


def test_start_of_a_queued_attempt_fails_when_the_next_attempt_is_taken(huldra_root: Path) -> None:
    """Whoever does not get both names has not got the attempt."""
    paths = paths_of()
    queued = claim.claim_next(paths, 1, new_owner(), kind=QUEUED)
    assert queued is not None
    assert claim.claim_next(paths, 2, new_owner()) is not None
    assert claim.start_queued(paths, queued, new_owner()) is None


def test_artifact_that_was_claimed_before_the_first_claim_appeared_is_made_once(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """A process that stands before its rename finds the folder taken, loads, and leaves nothing."""
    late = Stopped(tmp_path / "stop", call(ledger), huldra_root, Point.BEFORE_FIRST_CLAIM)
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert late.go_on()[1] == "a\n"
    assert len(lines(ledger, "begin")) == 1
    assert statuses() == ["success"]
    assert sorted(os.listdir(paths_of().directory)) == [".huldra", "note.txt"]


def test_process_killed_before_its_first_claim_appeared_has_claimed_nothing(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """What it wrote has a temporary name, which no reader takes for an artifact's."""
    Stopped(tmp_path / "stop", call(ledger), huldra_root, Point.BEFORE_FIRST_CLAIM).kill()
    note = Note(name="a", ledger=ledger)
    assert huldra.StateManager.read(note.huldra_dir).result == "absent"
    assert note.load_or_create() == "a"
    assert statuses() == ["success"]


def test_owner_that_slept_after_its_first_claim_begins_nothing_in_an_ended_attempt(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """Who was suspended looks before it runs `_create`: its attempt may be over by then."""
    code = f"from huldra.attempts import attempt\nattempt._UNSEEN_S = 0.0\n{call(ledger)}"
    owner = Stopped(tmp_path / "stop", code, huldra_root, Point.AFTER_FIRST_CLAIM)
    assert claim.end_attempt(paths_of(), 1, AttemptStatus.CRASHED, new_owner()) is not None
    assert owner.go_on()[1] == "a\n"
    assert len(lines(ledger, "begin")) == 1
    assert statuses() == ["crashed", "success"]


def test_owner_killed_between_its_end_and_success_made_the_artifact(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """The attempt's end says success: what is missing is written, and nothing runs again."""
    point = Point.BEFORE_SUCCESS
    Stopped(tmp_path / "stop", call(ledger), huldra_root, point).kill()
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert len(lines(ledger, "begin")) == 1
    assert statuses() == ["success"]


def test_waiter_does_not_wait_for_an_owner_between_its_end_and_success(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """Anybody may write down what the end says; the owner doing so later changes nothing."""
    point = Point.BEFORE_SUCCESS
    owner = Stopped(tmp_path / "stop", call(ledger), huldra_root, point)
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert owner.go_on()[1] == "a\n"
    assert Note(name="a").exists()
    assert statuses() == ["success"]
    assert len(lines(ledger, "begin")) == 1


def test_late_success_of_an_old_attempt_does_not_hide_the_newer_one(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """An owner that wakes up after its result was discarded and made again takes nothing back."""
    point = Point.BEFORE_SUCCESS
    code = call(ledger).replace("Note", "ValidByFile")
    owner = Stopped(tmp_path / "stop", code, huldra_root, point)
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
    point = Point.BEFORE_SUCCESS
    Stopped(tmp_path / "stop", call(ledger), huldra_root, point).kill()
    job: Job[str] = Job(Note(name="a"), None, None)
    assert job.result(10) == "a"


def test_what_was_made_while_a_driver_planned_is_not_made_again(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """An artifact that appears between a driver's look and its sending is kept."""
    point = Point.BEFORE_LOOKING_FOR_ATTEMPTS
    driver = Stopped(tmp_path / "stop", by_job(ledger), huldra_root, point)
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert driver.go_on()[1] == "a\n"
    assert len(lines(ledger, "begin")) == 1


def test_queued_attempt_that_never_started_discards_no_result(
    huldra_root: Path, ledger: str
) -> None:
    """An attempt that was queued by mistake and cancelled leaves what was made before it."""
    note = Note(name="a", ledger=ledger)
    note.load_or_create()
    paths = paths_of()
    assert claim.claim_next(paths, 2, new_owner(), kind=QUEUED) is not None
    assert claim.end_attempt(paths, 2, AttemptStatus.CANCELLED, new_owner()) is not None
    assert note.load_or_create() == "a"
    assert len(lines(ledger, "begin")) == 1


def test_owner_that_was_replaced_publishes_nothing(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """Fencing: an owner whose attempt was ended while it slept loads what its successor made."""
    point = Point.BEFORE_END
    owner = Stopped(tmp_path / "stop", call(ledger), huldra_root, point)
    paths = paths_of()
    assert claim.end_attempt(paths, 1, AttemptStatus.CRASHED, new_owner()) is not None
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    before = success.read_success(paths)
    assert owner.go_on()[1] == "a\n"
    assert success.read_success(paths) == before
    assert statuses() == ["crashed", "success"]
    assert huldra.StateManager.read(paths.directory).attempt.number == 2  # type: ignore[union-attr]


def test_replaced_owner_does_not_withdraw_its_successors_result(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """An owner that sleeps before it removes a voided record finds a newer one when it wakes."""
    paths = paths_of()
    assert claim.claim_next(paths, 1, new_owner()) is not None
    assert claim.end_attempt(paths, 1, AttemptStatus.CRASHED, new_owner()) is not None
    point = Point.BEFORE_RETRACTING_SUCCESS
    owner = Stopped(tmp_path / "stop", call(ledger), huldra_root, point)
    assert claim.end_attempt(paths, 2, AttemptStatus.CRASHED, new_owner()) is not None
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    owner.go_on()
    assert Note(name="a").exists()
    assert statuses() == ["crashed", "crashed", "success"]


# ---- drivers, engines and jobs ---------------------------------------------------------------


DISPATCH_POINTS = [
    Point.AFTER_CLAIM,  # queued, and no state that says so
    Point.AFTER_FIRST_STATE,  # queued, and says so
    Point.BEFORE_RUN_RECORD,  # no run record
    Point.AFTER_RUN_RECORD,  # a run record, and nothing sent
]


@pytest.mark.parametrize("engine", ["local:1", "inline", "threads:2"])
@pytest.mark.parametrize("point", DISPATCH_POINTS)
def test_driver_killed_while_it_dispatches_holds_nothing(
    huldra_root: Path, tmp_path: Path, ledger: str, point: Point, engine: str
) -> None:
    """Wherever a driver dies on its way to the engine, the next call makes what it wanted."""
    Stopped(tmp_path / "stop", by_job(ledger, engine=engine), huldra_root, point).kill()
    done = children.run(by_job(ledger, engine=engine), huldra_root)
    assert done.stdout == "a\n", done.stderr
    assert statuses()[-1] == "success"
    assert statuses().count("success") == 1


@pytest.mark.parametrize("point", DISPATCH_POINTS)
def test_driver_stopped_while_it_dispatches_finds_its_attempt_or_anothers(
    huldra_root: Path, tmp_path: Path, ledger: str, point: Point
) -> None:
    """A driver whose queued attempt was ended while it slept sends, and all are served."""
    driver = Stopped(tmp_path / "stop", by_job(ledger, engine="local:1"), huldra_root, point)
    claim.end_attempt(paths_of(), 1, AttemptStatus.CRASHED, new_owner())
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert driver.go_on()[1] == "a\n"
    assert len(lines(ledger, "begin")) == 1


def test_two_drivers_of_one_sweep_make_each_node_once(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """Started at one instant, two drivers share the nodes between them, and both get all."""
    go, ready = tmp_path / "go", str(tmp_path / "ready")
    code = f"""
        import huldra
        from pathlib import Path
        from tests.support.odd import Note, await_file, leave
        base = [Note(name=f"b{{i}}", ledger={ledger!r}) for i in range(5)]
        notes = [Note(name=f"n{{i}}", needs=(base[i % 5],), ledger={ledger!r}) for i in range(20)]
        leave({ready!r}, "ready")
        await_file(Path({str(go)!r}))
        sweep = huldra.load_or_create(notes[FROM:] + notes[:FROM], executor="local:1")
        sweep.wait(progress=False)
        assert not sweep.failed(), sweep.failed()
        assert sorted(sweep.results().values()) == sorted(note.name for note in notes)
        print("done")
    """
    racing = [children.start(code.replace("FROM", str(i)), huldra_root) for i in (0, 7, 13)]
    children.until(lambda: len(lines(ready)) == 3)
    go.touch()
    for child in racing:
        assert children.finish(child)[1] == "done\n"
    begun = [line.split()[1] for line in lines(ledger, "begin")]
    assert len(begun) == len(set(begun)) == 25


def test_job_that_an_engine_runs_twice_at_once_makes_its_node_once(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """The second run of one payload waits for the first, and is as happy."""
    gate = tmp_path / "gate"
    file = tmp_path / "payload"
    file.write_text(payload_of(Gated(name="a", gate=str(gate), ledger=ledger)))
    code = f"import sys; from huldra.worker import main; sys.exit(main([{str(file)!r}]))"
    first = children.start(code, huldra_root)
    children.until(lambda: bool(lines(ledger, "begin")))
    second = children.start(code, huldra_root)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(2)
    gate.touch()
    assert [children.finish(child)[0] for child in (first, second)] == [0, 0]
    assert len(lines(ledger, "begin")) == 1
    assert children.run(code, huldra_root).returncode == 0
    assert len(lines(ledger, "begin")) == 1


def test_job_whose_attempt_is_cancelled_as_it_starts_does_not_begin(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """Cancel and start compete for one name: here the cancel is first."""
    file = tmp_path / "payload"
    file.write_text(payload_of(Note(name="a", ledger=ledger)))
    code = f"import sys; from huldra.worker import main; sys.exit(main([{str(file)!r}]))"
    job = Stopped(tmp_path / "stop", code, huldra_root, Point.BEFORE_END)
    assert claim.end_attempt(paths_of(), 1, AttemptStatus.CANCELLED, new_owner()) is not None
    returned, _, err = job.go_on()
    assert returned == 1, err
    assert not lines(ledger)
    assert statuses() == ["cancelled"]


def test_job_cancelled_right_after_it_started_is_cancelled(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """Cancel and start compete for one name: here the start is first, and the request is seen."""
    gated = Gated(name="a", gate=str(tmp_path / "gate"), ledger=ledger)
    file = tmp_path / "payload"
    file.write_text(payload_of(gated))
    code = f"import sys; from huldra.worker import main; sys.exit(main([{str(file)!r}]))"
    job = Stopped(tmp_path / "stop", code, huldra_root, Point.AFTER_END)
    cancelled = Job(gated, None, None).cancel()
    assert cancelled
    assert job.go_on()[0] != 0
    assert statuses_of(gated) == ["started", "cancelled"]


def statuses_of(obj: huldra.Huldra[str]) -> list[str]:
    return [attempt.status.value for attempt in huldra.StateManager.history(obj.huldra_dir)]


def test_dependent_waits_for_the_retry_of_what_another_driver_lost(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """A worker of another driver died under the dependency: its retry is awaited, not a failure."""
    gate = tmp_path / "gate"
    first = children.start(
        f"""
        from tests.support.odd import Gated
        gated = Gated(name="a", gate={str(gate)!r}, ledger={ledger!r})
        print(gated.load_or_create(executor="local:1").result())
        """,
        huldra_root,
    )
    children.until(lambda: bool(lines(ledger, "begin")))
    note = Note(name="b", needs=(Gated(name="a", gate=str(gate), ledger=ledger),), ledger=ledger)
    file = tmp_path / "payload"
    file.write_text(payload_of(note))
    second = children.start(
        f"""
        import sys
        from huldra.attempts.waiting import Waiting
        from huldra.worker import main
        from tests.support.odd import leave
        def telling(self, attempt, nap=Waiting.nap):
            leave({str(tmp_path / "waits")!r}, "waits")
            nap(self, attempt)
        Waiting.nap = telling
        sys.exit(main([{str(file)!r}]))
        """,
        huldra_root,
    )
    children.until(lambda: bool(lines(tmp_path / "waits")))
    worker = int(lines(ledger, "begin")[0].split()[2])
    os.kill(worker, signal.SIGKILL)
    children.until(lambda: len(lines(ledger, "begin")) == 2)
    gate.touch()
    assert children.finish(first)[1] == "a\n"
    returned, _, err = children.finish(second)
    assert returned == 0, err
    assert note.exists()


def test_dependents_of_what_an_engine_gave_up_fail_at_once(huldra_root: Path, ledger: str) -> None:
    """A node that kills its worker each time is given up, and nobody waits for it for ever."""
    code = f"""
        from tests.support.odd import Failing, Note
        note = Note(name="b", needs=(Failing(name="f", how="leave", ledger={ledger!r}),))
        print(type(note.load_or_create(executor="local:1").exception(30)).__name__)
    """
    done = children.run(code, huldra_root, HULDRA_PREEMPT_MAX="1")
    assert done.stdout == "HuldraDependencyError\n", done.stderr
    assert len(lines(ledger, "begin")) == 2


def test_thread_that_outlives_a_failed_create_may_ask_for_the_artifact_again(
    huldra_root: Path, tmp_path: Path
) -> None:
    """A pool first used inside `_create` is not for ever inside of it: no cycle is seen later."""
    trouble = tmp_path / "trouble"
    trouble.touch()
    code = f"""
        import os
        from concurrent.futures import ThreadPoolExecutor
        from tests.support import odd
        pool = ThreadPoolExecutor(1)
        original = odd.FailingWhile._create
        def using_the_pool(self):
            pool.submit(int).result()
            return original(self)
        odd.FailingWhile._create = using_the_pool
        note = odd.FailingWhile(name="a", trouble={str(trouble)!r})
        try:
            note.load_or_create()
        except Exception as error:
            print(type(error).__name__)
        os.unlink({str(trouble)!r})
        odd.FailingWhile._create = original
        print(pool.submit(note.load_or_create).result())
    """
    done = children.run(code, huldra_root)
    assert done.stdout == "HuldraComputeError\na\n", done.stderr
