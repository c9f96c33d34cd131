"""Who is called stale: the core's rules, asked by somebody who only looks."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from huldra.catalog import Catalog, Row
from huldra.store import process
from huldra.store.artifact import StateManager
from huldra.store.job_ref import JobRef
from huldra.store.records import Claim, Lease
from tests.catalog.conftest import Look
from tests.dashboard.store import StoreWriter

MODEL = "proj.models/Train"


def rewrite(writer: StoreWriter, key: str, number: int = 1, **changes: object) -> None:
    """Change attempt `number`, and leave the time of its last heartbeat as it is."""
    path = writer.directory(key) / ".huldra" / "claims" / str(number)
    before = path.stat()
    held = dataclasses.replace(StateManager.history(writer.directory(key))[-1].claim, **changes)  # type: ignore[arg-type]  # the caller names fields of a Claim
    writer.dump(path, held.to_json())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def add_attempt(writer: StoreWriter, key: str, held: Claim) -> None:
    """Write one more attempt."""
    path = writer.directory(key) / ".huldra" / "claims" / str(held.number)
    writer.dump(path, held.to_json())


def test_the_lease_is_the_owners_own(writer: StoreWriter) -> None:
    """An owner that promised to be heard of every 200 s is not judged by the viewer's lease."""
    key = writer.add(MODEL, {}, status="running", host="node1", heartbeat_ago_s=500)
    assert [row.attempt_status for row in rows_of(writer.root)] == ["stale"]
    rewrite(writer, key, lease=Lease(600, 200))
    assert [row.attempt_status for row in rows_of(writer.root)] == ["running"]


def test_a_viewers_clock_kills_nobody(writer: StoreWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer whose clock is an hour ahead finds a beating owner alive, and says what it saw."""
    key = writer.add(MODEL, {}, status="running", host="node1", heartbeat_ago_s=5)
    now = writer.now.timestamp() + 3600
    monkeypatch.setattr("huldra.catalog.scan.time.time", lambda: now)
    (row,) = Catalog([writer.root], lease_s=100).snapshot().rows
    assert (row.key, row.attempt_status) == (key, "running")
    assert "clock" in row.unconfirmed


def test_a_silence_of_days_needs_no_second_clock(
    writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner elsewhere that has been silent for days is stale, with nothing newer to see."""
    writer.add(MODEL, {}, status="running", host="node1", heartbeat_ago_s=5)
    now = writer.now.timestamp() + 3 * 86_400
    monkeypatch.setattr("huldra.catalog.scan.time.time", lambda: now)
    (row,) = Catalog([writer.root], lease_s=100).snapshot().rows
    assert row.attempt_status == "stale"


def test_a_hidden_process_is_not_dead(
    writer: StoreWriter, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system hides other users' processes, the lease decides and not a missing entry."""
    key = writer.add(MODEL, {}, status="running")
    owner = StateManager.history(writer.directory(key))[-1].claim.owner
    rewrite(writer, key, owner=dataclasses.replace(owner, pid=1, started="7"))
    monkeypatch.setattr(process, "start_time", lambda _pid: None)
    monkeypatch.setattr(process, "_is_hidden", lambda _pid: True)
    assert look()[key].attempt_status == "running"


def test_a_job_of_an_engine_that_was_not_asked_is_never_stale(
    writer: StoreWriter, look: Look
) -> None:
    """A silent run of a scheduler's job may be suspended: it is running, not confirmed."""
    key = writer.add(
        MODEL, {}, status="running", host="n1", backend="slurm", job_id="7", heartbeat_ago_s=5000
    )
    row = look()[key]
    assert row.attempt_status == "running"
    assert "slurm was not queried about job 7" in row.unconfirmed


def named(driver: dict[str, object] | None) -> JobRef:
    """What the jobs of a run have in common."""
    return JobRef("dask", "-store", {"scheduler": "tcp://cluster:8786", "driver": driver})


def test_a_node_queued_on_an_outside_engine_stays_queued(writer: StoreWriter, look: Look) -> None:
    """Its driver may go home: the engine has the job, whose id is shown."""
    key = writer.add(MODEL, {}, status="queued")
    owner = StateManager.history(writer.directory(key))[-1].claim.owner
    gone = dataclasses.replace(owner, pid=4194305, started="1")
    rewrite(writer, key, owner=gone, named_job=named(None))
    row = look()[key]
    assert (row.attempt_status, row.backend) == ("queued", "dask")
    assert row.job_id == f"{MODEL}-{key[-32:]}-1-store"
    assert "dask was not queried" in row.unconfirmed
    (attempt,) = Catalog([writer.root]).detail(row).attempts
    assert (attempt.status, attempt.job_id) == ("queued", row.job_id)


def test_an_engine_that_went_with_its_driver_has_nothing(writer: StoreWriter, look: Look) -> None:
    """A node queued on a cluster that its driver had started is stale once the driver is dead."""
    key = writer.add(MODEL, {}, status="queued")
    rewrite(writer, key, named_job=named(writer.owner(dead=True)))
    row = look()[key]
    assert (row.attempt_status, row.unconfirmed) == ("stale", "")
    assert "its engine with it" in row.stale_reason


@pytest.mark.parametrize("end", [None, "cancelled", "crashed"])
def test_a_retry_that_never_began_leaves_what_was_said(
    writer: StoreWriter, look: Look, end: str | None
) -> None:
    """Result and error of a failed attempt stand until another one begins, in core and catalog."""
    key = writer.add(MODEL, {}, status="failed", attempts=(), error=("ValueError", "unlucky 13"))
    writer.queue_again(key, end)
    row = look()[key]
    assert (row.result_status, row.error_message) == ("failed", "unlucky 13")
    assert row.attempt_status == (end or "queued")
    assert row.status == ("failed" if end else "queued")
    state = StateManager.read(writer.directory(key))
    assert state.result == "failed"
    assert state.previous is not None
    assert state.previous.error is not None
    assert state.previous.error.message == "unlucky 13"
    assert state.to_json()["previous"]["number"] == 1
    groups = Catalog([writer.root]).snapshot().failures()
    assert [group.sample_message for group in groups] == ["unlucky 13"]


def test_a_retry_that_began_says_its_own(writer: StoreWriter, look: Look) -> None:
    """From the moment that a retry runs, the failure before it is history."""
    key = writer.add(MODEL, {}, status="running", attempts=("failed",))
    row = look()[key]
    assert (row.result_status, row.attempt_status) == ("incomplete", "running")


def rows_of(root: Path) -> list[Row]:
    """What a new catalog finds."""
    return list(Catalog([root]).snapshot().rows)


def test_core_and_catalog_agree(writer: StoreWriter) -> None:
    """Whatever the last attempts were, both derive one state from the claims."""
    statuses = ("success", "failed", "cancelled", "preempted", "crashed", "running", "queued")
    for number, status in enumerate(statuses):
        for past in ("failed", "preempted"):
            key = writer.add(MODEL, {"n": number, "past": past}, status=status, attempts=(past,))
            (writer.directory(key) / ".huldra" / "state.json").unlink()
    for row in rows_of(writer.root):
        state = StateManager.read(row.directory)
        assert state.attempt is not None
        assert (row.result_status, row.attempt_status, row.attempt_number) == (
            state.result.value,
            state.attempt.status.value,
            state.attempt.number,
        )
