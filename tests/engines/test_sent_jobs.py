"""The table of an executor's jobs: what is open, how jobs ended, and waiting for it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from pathlib import Path

from huldra.engines.protocol import JobStatus, SubmittedNode
from huldra.engines.sent_jobs import SentJobs
from huldra.store.job_ref import JobRef

PATIENCE_S = 30.0


def ref(name: str) -> JobRef:
    return JobRef("test", name, {})


def table(folder: Path, *names: str) -> SentJobs[str]:
    """A table with these jobs open; their runs left no record, so nothing is released."""
    jobs = SentJobs[str]()
    jobs.add(
        {
            name: (SubmittedNode(str(folder), f"key of {name}", str(folder / "graph.json")), name)
            for name in names
        }
    )
    return jobs


def nothing_known(refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
    return dict.fromkeys(refs, JobStatus.UNKNOWN)


def test_the_first_end_of_a_job_counts(tmp_path: Path) -> None:
    """A job that was given up as lost is cancelled then, which is not how it ended."""
    jobs = table(tmp_path, "a")
    jobs.end([("a", JobStatus.LOST, "given up")])
    jobs.end([("a", JobStatus.CANCELLED, "cancelled")])
    assert jobs.status_of(ref("a")) is JobStatus.LOST
    assert jobs.reason(ref("a")) == "given up"


def test_a_job_that_is_sent_again_is_open(tmp_path: Path) -> None:
    """The name of a job may come back: what its last end said is over."""
    jobs = table(tmp_path, "a")
    jobs.end([("a", JobStatus.FAILED, "broke")])
    node = SubmittedNode(str(tmp_path), "key of a", str(tmp_path / "graph.json"))
    jobs.add({"a": (node, "again")})
    assert jobs.status_of(ref("a")) is JobStatus.QUEUED
    assert jobs.reason(ref("a")) == ""


def test_a_forgotten_job_is_as_one_of_another_process(tmp_path: Path) -> None:
    """Its engine is asked for it from then on."""
    jobs = table(tmp_path, "a")
    jobs.forget(["a"])
    assert jobs.status_of(ref("a")) is None
    assert jobs.names() == []
    over = jobs.wait([ref("a")], PATIENCE_S, lambda refs: dict.fromkeys(refs, JobStatus.SUCCEEDED))
    assert over == {ref("a")}


def test_handles_are_let_go_with_their_jobs(tmp_path: Path) -> None:
    """An engine may forget what an ended job's handle stood for."""
    jobs = table(tmp_path, "a", "b", "c")
    jobs.end([("a", JobStatus.SUCCEEDED, "")])
    assert jobs.handles(["a", "b", "c"]) == ["b", "c"]
    jobs.drop_handles()
    assert jobs.handles(["b", "c"]) == []
    assert jobs.names() == ["b", "c"]


def test_a_caller_who_waits_is_woken_by_an_end(tmp_path: Path) -> None:
    """It gets the job that ended, long before its timeout."""
    jobs = table(tmp_path, "a", "b")
    found: list[set[JobRef]] = []
    waiting = threading.Thread(
        target=lambda: found.append(jobs.wait([ref("a"), ref("b")], PATIENCE_S, nothing_known))
    )
    waiting.start()
    jobs.end([("b", JobStatus.SUCCEEDED, "")])
    waiting.join(PATIENCE_S / 2)
    assert found == [{ref("b")}]


def test_a_wait_without_an_end_is_over_at_its_timeout(tmp_path: Path) -> None:
    """It gives nothing, and the job stays open."""
    jobs = table(tmp_path, "a")
    assert jobs.wait([ref("a")], 0.01, nothing_known) == set()
    assert "a" in jobs
