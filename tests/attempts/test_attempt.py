"""Attempts in one process: how each way out of `_create` is recorded and told."""

from __future__ import annotations

import os
import pickle
import re
import signal
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.attempts import attempt
from huldra.store import claim
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner
from huldra.store.records import AttemptStatus
from huldra.worker.node import NodeFailed, run_node
from tests.benchmarks.bench_counts import counted, names_given
from tests.faults.samples import payload_of
from tests.support import children
from tests.support.odd import (
    AsksForItself,
    Failing,
    FailingWhile,
    Gated,
    NeverValid,
    Note,
    RunsElsewhere,
    ValidByFile,
    ValidUnlessTrouble,
    leave,
    lines,
)


def status(obj: huldra.Huldra[str]) -> AttemptStatus:
    attempt = huldra.StateManager.read(obj.huldra_dir).attempt
    assert attempt is not None
    return attempt.status


def test_miss_gives_what_create_returned_and_hit_what_load_reads(huldra_root: Path) -> None:
    """The first call runs `_create`, the second `_load`, and `_create` never again."""
    ledger = str(huldra_root) + ".ledger"
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert len(lines(ledger, "begin")) == 1


def test_failure_is_a_compute_error_that_pickles(huldra_root: Path) -> None:
    """What `_create` raised is the cause and the data of the error, also after a pickle."""
    failing = Failing(name="f")
    with pytest.raises(huldra.HuldraComputeError) as caught:
        failing.load_or_create()
    error = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(caught.value.__cause__, ValueError)
    assert isinstance(error.original_error, ValueError)
    assert error.state_path == str(failing.huldra_dir / ".huldra" / "state.json")
    assert str(failing.huldra_dir) in str(error)


def test_failed_artifact_is_retried_by_the_next_call(huldra_root: Path, tmp_path: Path) -> None:
    """A failure does not stick: the next explicit call tries again, and keeps the history."""
    trouble = tmp_path / "trouble"
    trouble.touch()
    note = FailingWhile(name="a", trouble=str(trouble))
    with pytest.raises(huldra.HuldraComputeError):
        note.load_or_create()
    trouble.unlink()
    assert note.load_or_create() == "a"
    assert [attempt.status.value for attempt in huldra.StateManager.history(note.huldra_dir)] == [
        "failed",
        "success",
    ]


class Piling(FailingWhile):
    """Appends to a file and makes a folder, as code does that does not expect a second run."""

    def _create(self) -> str:
        leave(str(self.huldra_dir / "log"), f"run {self.huldra_attempt}")
        (self.huldra_dir / "parts").mkdir()
        (self.huldra_dir / "parts" / "0").touch()
        return super()._create()


class Clean(Piling):
    """The same, beginning clean."""

    _begin_clean = True


def test_clean_beginning_finds_nothing_of_the_attempt_that_failed(
    huldra_root: Path, tmp_path: Path
) -> None:
    """With `_begin_clean` no file of a failed attempt becomes part of the result."""
    trouble = tmp_path / "trouble"
    trouble.touch()
    note = Clean(name="a", trouble=str(trouble))
    with pytest.raises(huldra.HuldraComputeError):
        note.load_or_create()
    trouble.unlink()
    assert note.huldra_attempt == 0
    assert note.load_or_create() == "a"
    assert lines(note.huldra_dir / "log") == ["run 2"]


def test_files_of_an_attempt_that_failed_stay_by_default(huldra_root: Path, tmp_path: Path) -> None:
    """What a training has written by then is there when it is tried again."""
    trouble = tmp_path / "trouble"
    trouble.touch()
    note = Piling(name="a", trouble=str(trouble))
    for _ in range(2):
        with pytest.raises(huldra.HuldraComputeError):
            note.load_or_create()
    assert lines(note.huldra_dir / "log") == ["run 1", "run 2"]


def test_attempts_that_only_were_queued_do_not_count(huldra_root: Path) -> None:
    """The first run is run 1 on every engine, though its claim is number 2."""
    note = Clean(name="a", trouble="/nowhere")
    run_node(payload_of(note))
    assert lines(note.huldra_dir / "log") == ["run 1"]


def test_sys_exit_is_a_failure(huldra_root: Path) -> None:
    """`sys.exit(0)` in `_create` does not end the caller, and makes nothing."""
    with pytest.raises(huldra.HuldraComputeError) as caught:
        Failing(name="f", how="exit").load_or_create()
    assert isinstance(caught.value.original_error, SystemExit)


def test_every_attempt_says_in_its_log_when_it_began_and_how_it_ended(huldra_root: Path) -> None:
    """Also where `_create` logs nothing: host and pid first, then seconds and memory."""
    note = Note(name="a")
    note.load_or_create()
    began, ended = (note.huldra_dir / ".huldra" / "huldra.log").read_text().splitlines()
    assert re.search(rf" INFO huldra attempt 1 began: host \S+, pid {os.getpid()}$", began)
    pattern = r" INFO huldra attempt 1 ended: success after \d+\.\d s, peak memory \d+ MiB$"
    assert re.search(pattern, ended)


def test_log_of_a_failure_ends_with_its_traceback(huldra_root: Path) -> None:
    """The line that says how the attempt ended is followed by the reason."""
    failing = Failing(name="f")
    with pytest.raises(huldra.HuldraComputeError):
        failing.load_or_create()
    text = (failing.huldra_dir / ".huldra" / "huldra.log").read_text()
    assert " ERROR huldra attempt 1 ended: failed after " in text
    assert text.endswith("ValueError: f was told to fail\n")


def test_keyboard_interrupt_propagates_and_is_recorded(huldra_root: Path) -> None:
    """Ctrl-C stays a KeyboardInterrupt, and the attempt is cancelled."""
    failing = Failing(name="f", how="interrupt")
    with pytest.raises(KeyboardInterrupt):
        failing.load_or_create()
    assert status(failing) is AttemptStatus.CANCELLED


def test_handlers_come_back_after_an_attempt(huldra_root: Path) -> None:
    """SIGINT and SIGTERM have the handlers afterwards that they had before."""

    def mine(signum: int, frame: object) -> None:
        """Stand for the user's own handler."""

    interrupt = signal.getsignal(signal.SIGINT)
    before = signal.signal(signal.SIGTERM, mine)
    try:
        Note(name="a").load_or_create()
        with pytest.raises(huldra.HuldraComputeError):
            Failing(name="f").load_or_create()
        assert signal.getsignal(signal.SIGTERM) is mine
        assert signal.getsignal(signal.SIGINT) is interrupt
    finally:
        signal.signal(signal.SIGTERM, before)


def test_still_invalid_after_create_is_an_error(huldra_root: Path) -> None:
    """`_create` that does not satisfy `_validate` fails, and publishes nothing."""
    note = NeverValid(name="a")
    with pytest.raises(huldra.HuldraValidationError, match="_validate still returns False"):
        note.load_or_create()
    assert not note.exists()


def test_artifact_that_became_invalid_is_made_again(huldra_root: Path) -> None:
    """A made artifact that `_validate` rejects is made again, once."""
    ledger = str(huldra_root) + ".ledger"
    note = ValidByFile(name="a", ledger=ledger)
    note.load_or_create()
    (note.huldra_dir / "note.txt").unlink()
    assert not note.exists()
    assert note.load_or_create() == "a"
    assert note.load_or_create() == "a"
    assert len(lines(ledger, "begin")) == 2


def test_validate_that_raises_reaches_the_caller_and_voids_nothing(
    huldra_root: Path, tmp_path: Path
) -> None:
    """`exists`, a hit, a plan, `explain` and a sweep raise what it raises; the artifact stays."""
    ledger, trouble = str(tmp_path / "ledger"), tmp_path / "trouble"
    note = ValidUnlessTrouble(name="a", ledger=ledger, trouble=str(trouble))
    above = Note(name="b", needs=(note,), ledger=ledger)
    note.load_or_create()
    trouble.touch()
    for ask in (
        note.exists,
        note.load_or_create,
        note.plan,
        note.explain,
        above.load_or_create,
        lambda: huldra.load_or_create([note, above], executor="inline"),
    ):
        with pytest.raises(OSError, match="stale file handle") as caught:
            ask()
        assert str(note.huldra_dir) in caught.value.__notes__[0]
    trouble.unlink()
    assert note.exists()
    assert len(lines(ledger, "begin")) == 1
    assert len(huldra.StateManager.history(note.huldra_dir)) == 1


def test_validate_that_raises_under_the_claim_leaves_the_artifact_made(
    huldra_root: Path, tmp_path: Path
) -> None:
    """Once a caller has claimed what `_validate` refused, an error of it still voids nothing."""
    trouble, doubt = tmp_path / "trouble", tmp_path / "doubt"
    note = ValidUnlessTrouble(name="a", trouble=str(trouble), doubt=str(doubt))
    note.load_or_create()
    paths = ArtifactPaths(str(note.huldra_dir))
    trouble.touch()
    request = attempt.Request(note, paths.key, paths, 0.0, lambda: ({}, None))
    with pytest.raises(OSError, match="stale file handle"):
        attempt._take(request, claim.last_attempt(paths))
    trouble.unlink()
    assert note.exists()


def test_job_whose_validate_raises_fails_and_leaves_the_artifact_made(
    huldra_root: Path, tmp_path: Path
) -> None:
    """On a worker an error of `_validate` fails the node's job, with the artifact as it was."""
    ledger, trouble = str(tmp_path / "ledger"), tmp_path / "trouble"
    doubt = tmp_path / "doubt"
    note = ValidUnlessTrouble(name="a", ledger=ledger, trouble=str(trouble), doubt=str(doubt))
    note.load_or_create()
    doubt.touch()
    payload = payload_of(note)
    trouble.touch()
    with pytest.raises(NodeFailed, match="_validate raised OSError"):
        run_node(payload)
    trouble.unlink()
    doubt.unlink()
    assert note.exists()
    assert len(lines(ledger, "begin")) == 1


def test_validate_that_raises_after_create_is_named(huldra_root: Path, tmp_path: Path) -> None:
    """The error of an attempt says which of the user's methods raised."""
    (tmp_path / "trouble").touch()
    note = ValidUnlessTrouble(name="a", trouble=str(tmp_path / "trouble"))
    with pytest.raises(huldra.HuldraComputeError, match="_validate raised OSError"):
        note.load_or_create()
    assert status(note) is AttemptStatus.FAILED


@pytest.mark.parametrize("through", ["call", "thread", "fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_artifact_that_asks_for_itself_is_an_error_at_once(huldra_root: Path, through: str) -> None:
    """By any path the circle is told, with the path, and nobody waits."""
    code = f"""
        from tests.support.odd import AsksForItself
        AsksForItself(name="me", through={through!r}).load_or_create()
    """
    done = children.run(code, huldra_root)
    assert done.returncode != 0
    assert "cyclic dependency" in done.stderr
    assert AsksForItself.__name__ in done.stderr


def test_waiter_loads_what_another_thread_makes(huldra_root: Path, tmp_path: Path) -> None:
    """Many threads that ask at once get one result, made by one `_create`."""
    ledger = str(tmp_path / "ledger")
    results: list[str] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        results.append(Note(name="a", ledger=ledger, pause_s=0.05).load_or_create())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == ["a"] * 8
    assert len(lines(ledger, "begin")) == 1


def test_waiting_ends_with_a_timeout_that_names_the_holder(
    huldra_root: Path, tmp_path: Path
) -> None:
    """Past `_max_wait_time_sec` the error says who holds the artifact and since when."""
    class_with_limit = Gated
    note = class_with_limit(name="a", gate=str(tmp_path / "gate"))
    owner = new_owner()
    paths = ArtifactPaths(str(note.huldra_dir))
    assert claim.claim_next(paths, 1, owner)
    claim.register(owner)
    try:
        object.__setattr__(note, "_max_wait_time_sec", 0.2)
        with pytest.raises(huldra.HuldraWaitTimeout, match=f"pid {os.getpid()}") as caught:
            note.load_or_create()
        assert caught.value.waited_s >= 0.2
        object.__setattr__(note, "_max_wait_time_sec", 0)
        with pytest.raises(huldra.HuldraLockNotAcquired):
            note.load_or_create()
    finally:
        claim.unregister(owner)


def test_claim_that_was_lost_on_the_way_is_dead_in_its_own_process(huldra_root: Path) -> None:
    """A claim of this very process that nobody holds any more is replaced, not waited for."""
    note = Note(name="a")
    assert claim.claim_next(ArtifactPaths(str(note.huldra_dir)), 1, new_owner())
    assert note.load_or_create() == "a"


def test_lost_claim_publishes_nothing(huldra_root: Path, tmp_path: Path) -> None:
    """An owner whose attempt another process ended neither publishes nor hides the new state."""
    gate = tmp_path / "gate"
    ledger = str(tmp_path / "ledger")
    note = Gated(name="a", gate=str(gate), ledger=ledger)
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(note.load_or_create()))
    thread.start()
    children.until(lambda: len(lines(ledger, "begin")) == 1)
    paths = ArtifactPaths(str(note.huldra_dir))
    assert claim.end_attempt(paths, 1, AttemptStatus.CRASHED, new_owner())
    successor = new_owner()
    claim.register(successor)
    assert claim.claim_next(paths, 2, successor)
    gate.touch()
    children.until(lambda: len(lines(ledger, "end")) == 1)
    assert not Path(paths.success).exists()
    assert not results
    claim.unregister(successor)  # the thread now finds attempt 2 dead and makes the artifact again
    thread.join(30)
    assert results == ["a"]
    assert [t.status.value for t in huldra.StateManager.history(note.huldra_dir)] == [
        "crashed",
        "crashed",
        "success",
    ]


@pytest.mark.parametrize("where", ["thread", "fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_create_may_use_threads_and_pools(huldra_root: Path, tmp_path: Path, where: str) -> None:
    """Artifacts made in threads and pools inside `_create` are made once."""
    ledger = str(tmp_path / "ledger")
    code = f"""
        from tests.support.odd import Note, RunsElsewhere
        needs = tuple(Note(name=f"n{{i}}", ledger={ledger!r}) for i in range(4))
        if __name__ == "__main__":
            top = RunsElsewhere(name="top", needs=needs, where={where!r}, ledger={ledger!r})
            print(top.load_or_create())
    """
    done = children.run(code, huldra_root)
    assert done.stdout == "top\n", done.stderr
    assert len(lines(ledger, "begin")) == 5
    assert RunsElsewhere.__name__


def test_list_without_executor_goes_on_past_a_failure(huldra_root: Path) -> None:
    """One failure does not stop the others; all are told at the end."""
    members = {"a": Note(name="a"), "bad": Failing(name="f"), "z": Note(name="z")}
    with pytest.raises(ExceptionGroup) as caught:
        huldra.load_or_create(members)
    assert len(caught.value.exceptions) == 1
    assert Note(name="z").exists()


def test_failed_dependency_is_the_error_of_the_call(huldra_root: Path, tmp_path: Path) -> None:
    """What depends on a failure is not tried, and the error names the failure."""
    ledger = str(tmp_path / "ledger")
    top = Note(name="top", needs=(Failing(name="f"),), ledger=ledger)
    with pytest.raises(huldra.HuldraComputeError, match="f was told to fail"):
        top.load_or_create()
    assert not lines(ledger)
    assert huldra.StateManager.read(top.huldra_dir).result == "absent"


def test_load_that_raises_says_where(huldra_root: Path) -> None:
    """An error of `_load` is the user's own; a note names key, directory and the way out."""
    note = Note(name="a")
    note.load_or_create()
    (note.huldra_dir / "note.txt").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        note.load_or_create()
    told = caught.value.__notes__[0]
    assert str(note.huldra_dir) in told
    assert f"huldra rm {ArtifactPaths(str(note.huldra_dir)).key}" in told
    with pytest.raises(FileNotFoundError) as again:
        note.load_or_create(executor="inline").result()
    assert told in again.value.__notes__


def test_two_roots_are_two_stores(huldra_root: Path, tmp_path: Path) -> None:
    """Changing the root changes where artifacts are, at once and back."""
    note = Note(name="a")
    note.load_or_create()
    with huldra.huldra_root(tmp_path / "other"):
        assert not note.exists()
        note.load_or_create()
        assert note.huldra_dir.is_relative_to(tmp_path / "other")
    assert note.exists()


def test_raw_dir_exists_when_it_is_handed_out(huldra_root: Path) -> None:
    """`raw_dir` is a folder that can be written to."""
    assert Note(name="a").raw_dir.is_dir()


def test_root_that_huldra_makes_keeps_out_of_git(huldra_root: Path) -> None:
    """A new root ignores its data; one that was there is left as it is."""
    Note(name="a").load_or_create()
    ignored = (huldra_root / ".gitignore").read_text().splitlines()
    assert {"/data/", "/raw/", "/runs/", "/code/", "/trash/"} <= set(ignored)


class Returns(huldra.Huldra[Any]):
    """Its methods give what has not run, without being such functions themselves."""

    create: str = "good"
    validate: str = "good"

    def _create(self) -> Any:
        return _unrun(self.create)

    def _load(self) -> Any:
        return "loaded"

    def _validate(self) -> Any:
        return _unrun(self.validate)


def _unrun(kind: str) -> Any:
    async def coroutine() -> str:
        return "later"

    async def async_generator() -> AsyncIterator[str]:
        yield "later"

    makers: dict[str, Any] = {"coroutine": coroutine, "async_generator": async_generator}
    makers |= {"generator": lambda: (x for x in "later"), "good": lambda: True}
    return makers[kind]()


@pytest.mark.parametrize("kind", ["coroutine", "generator", "async_generator"])
@pytest.mark.parametrize("method", ["create", "validate"])
def test_what_has_not_run_is_a_failure(huldra_root: Path, method: str, kind: str) -> None:
    """A coroutine or generator from `_create` or `_validate` publishes nothing."""
    returns = Returns(**{method: kind})
    with pytest.raises(huldra.HuldraComputeError, match=f"_{method} returned a {kind}"):
        returns.load_or_create()
    assert status(returns) is AttemptStatus.FAILED
    assert not returns.exists()


def test_a_miss_asks_the_file_server_as_often_as_planned(huldra_root: Path) -> None:
    """On a shared disk each name given to the system costs about a millisecond."""
    for number in range(2):  # what is done once a process
        Note(name=f"before-{number}").load_or_create()
    calls = counted(lambda: Note(name="counted").load_or_create())
    # Those of an empty `_create`, the git patch of this repository, and the user's file to sync.
    assert names_given(calls) <= 25, calls
    hit = counted(lambda: Note(name="counted").load_or_create())
    assert names_given(hit) <= 2, hit
