"""Who is alive: what one waiter has seen, what a record says, and a cancel that nobody hears."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

import huldra
from huldra.attempts import liveness
from huldra.attempts.liveness import Liveness, Watch
from huldra.catalog import Catalog
from huldra.scheduling.job import Job
from huldra.store import claim
from huldra.store.job_ref import JobRef
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner, this_process
from huldra.store.records import AttemptStatus, Claim, Lease
from tests.faults.samples import payload_of
from tests.support import children
from tests.support.odd import Gated, Note, lines


def test_a_waiters_own_sleep_is_no_silence_of_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gap between two looks counts for two poll intervals at most, however long it was."""
    now = [1000.0]
    monkeypatch.setattr(liveness, "uptime_s", lambda: now[0])
    watch = Watch()
    assert watch.unchanged_s(5.0) == 0.0
    now[0] += 3600
    assert watch.unchanged_s(5.0) <= 2 * max(1.0, huldra.HULDRA_CONFIG.poll_interval)
    now[0] += 0.5
    before = watch.watched_s
    assert watch.unchanged_s(5.0) == pytest.approx(before + 0.5)
    assert watch.unchanged_s(6.0) == 0.0


def test_owner_in_another_time_namespace_is_unknown() -> None:
    """Start times are shifted there: neither the same process nor a dead one can be told."""
    me = new_owner()
    there = replace(me, started="1", time_namespace="time:[1]")
    assert liveness.process_liveness(there) is Liveness.UNKNOWN
    earlier_version = replace(me, time_namespace="")
    claim.register(earlier_version)
    try:
        assert liveness.process_liveness(earlier_version) is Liveness.ALIVE
    finally:
        claim.unregister(earlier_version)
    assert this_process().to_json()["time_namespace"] == this_process().time_namespace


@pytest.mark.parametrize("odd", [float("inf"), float("nan"), 10**400, True, "9", -1])
def test_a_lease_that_nobody_can_have_promised_is_not_believed(odd: object) -> None:
    """Infinite, beyond floats, no number: such a lease reads as none."""
    assert Lease.from_json({"lease_s": odd, "heartbeat_s": 1}) is None


def test_confused_types_in_a_claim_read_as_empty() -> None:
    """What is no object, text or number where one belongs is left out."""
    odd = {"job_hint": [1], "from_queued": "\ud800", "run_id": {}, "lease": 3}
    read = Claim.from_json(1, odd)
    assert (read.job_hint, read.from_queued, read.run_id, read.lease) == (None,) * 4
    assert JobRef.read({"engine": "e", "job_id": "1", "meta": [1]}) == JobRef("e", "1")


def test_an_owner_that_died_without_a_word_after_a_cancel_was_cancelled(
    huldra_root: Path, tmp_path: Path
) -> None:
    """Whoever killed it, and however its end got on the disk: it reads as cancelled everywhere."""
    ledger = str(tmp_path / "ledger")
    note = Gated(name="a", gate=str(tmp_path / "gate"), ledger=ledger)
    file = tmp_path / "payload"
    file.write_text(payload_of(note))
    code = f"import sys; from huldra.worker import main; sys.exit(main([{str(file)!r}]))"
    job = children.start(code, huldra_root)
    children.until(lambda: bool(lines(ledger, "begin")) or job.poll() is not None)
    paths = ArtifactPaths(os.fspath(note.huldra_dir))
    job.send_signal(signal.SIGSTOP)  # so that it does not hear of it
    claim.request_cancel(paths, 2, new_owner())
    job.kill()
    job.communicate()
    assert Job(note, None, None).status() is AttemptStatus.CANCELLED
    (row,) = Catalog([huldra_root]).find(note.huldra_hash)
    assert row.attempt_status == "cancelled"
    # The engine does not know of the cancel, and runs its job again.
    again = children.run(code, huldra_root)
    assert again.returncode == 1
    assert "was cancelled" in again.stderr
    assert len(lines(ledger, "begin")) == 1
    assert huldra.StateManager.history(paths.directory)[-1].status is AttemptStatus.CANCELLED
    third = children.run(code, huldra_root)
    assert third.returncode == 1
    assert len(lines(ledger, "begin")) == 1


@pytest.mark.parametrize("how", ["crashed", "no word"])
def test_a_crash_after_a_cancel_reads_as_cancelled(huldra_root: Path, how: str) -> None:
    """Also where an earlier version, or a full disk, left a crash as the end."""
    paths = ArtifactPaths(os.fspath(Note(name="a").huldra_dir))
    owner = new_owner()
    assert claim.claim_next(paths, 1, owner)
    claim.request_cancel(paths, 1, owner)
    if how == "crashed":
        claim.end_attempt(paths, 1, AttemptStatus.CRASHED, owner)
    else:
        claim.end_without_record(paths, 1)
    assert claim.read_attempt(paths, 1).status is AttemptStatus.CANCELLED
    assert Catalog([huldra_root]).snapshot().rows[0].attempt_status == "cancelled"


def test_a_cancel_that_create_does_not_hear_is_recorded_and_final(
    huldra_root: Path, tmp_path: Path
) -> None:
    """A `_create` that swallows every exception is ended soon, is cancelled, and stays so."""
    ledger = str(tmp_path / "ledger")
    code = f"""
        import threading
        from tests.support.odd import Note, leave
        def deaf(self):
            leave({ledger!r}, "deaf")
            while True:
                try:
                    threading.Event().wait(0.05)
                except BaseException:
                    pass
        Note._create = deaf
        from huldra.attempts import context
        context.worker.set(context.WorkerContext("local", owns_process=True))
        Note(name="a").load_or_create()
    """
    child = children.start(code, huldra_root)
    children.until(lambda: bool(lines(ledger, "deaf")) or child.poll() is not None)
    paths = ArtifactPaths(os.fspath(Note(name="a").huldra_dir))
    claim.request_cancel(paths, 1, new_owner())
    assert children.finish(child)[0] != 0
    attempts = huldra.StateManager.history(paths.directory)
    assert [attempt.status.value for attempt in attempts] == ["cancelled"]


def test_a_cancel_reaches_a_create_that_sleeps(huldra_root: Path, tmp_path: Path) -> None:
    """One long sleep in the main thread is interrupted, and the user's `finally` runs."""
    ledger = str(tmp_path / "ledger")
    code = f"""
        import time
        from tests.support.odd import Note, leave
        def sleeping(self):
            leave({ledger!r}, "asleep")
            try:
                time.sleep(600)
            finally:
                leave({ledger!r}, "awake")
        Note._create = sleeping
        from huldra.attempts import context
        context.worker.set(context.WorkerContext("local", owns_process=True))
        Note(name="a").load_or_create()
    """
    child = children.start(code, huldra_root)
    children.until(lambda: bool(lines(ledger, "asleep")) or child.poll() is not None)
    paths = ArtifactPaths(os.fspath(Note(name="a").huldra_dir))
    claim.request_cancel(paths, 1, new_owner())
    assert children.finish(child)[0] != 0
    assert lines(ledger, "awake")
    assert [attempt.status.value for attempt in claim.read_history(paths)] == ["cancelled"]
