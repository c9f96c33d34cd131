"""Slurm's state words and ids."""

from __future__ import annotations

import pytest

from huldra.engines.protocol import JobStatus
from huldra_submitit.words import job_ids, status_of


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("PENDING", JobStatus.QUEUED),
        ("CONFIGURING", JobStatus.QUEUED),
        ("REQUEUED", JobStatus.QUEUED),
        ("REQUEUE_HOLD", JobStatus.QUEUED),
        ("RUNNING", JobStatus.RUNNING),
        ("COMPLETING", JobStatus.RUNNING),
        ("SUSPENDED", JobStatus.RUNNING),
        ("COMPLETED", JobStatus.SUCCEEDED),
        ("FAILED", JobStatus.FAILED),
        ("CANCELLED", JobStatus.CANCELLED),
        ("CANCELLED by 1000", JobStatus.CANCELLED),
        ("CANCELLED+", JobStatus.CANCELLED),
        ("PREEMPTED", JobStatus.PREEMPTED),
        ("TIMEOUT", JobStatus.TIMED_OUT),
        ("DEADLINE", JobStatus.TIMED_OUT),
        ("OUT_OF_MEMORY", JobStatus.OUT_OF_MEMORY),
        ("OUT_OF_ME+", JobStatus.UNKNOWN),
        ("NODE_FAIL", JobStatus.LOST),
        ("BOOT_FAIL", JobStatus.LOST),
        ("PD", JobStatus.QUEUED),
        ("OOM", JobStatus.OUT_OF_MEMORY),
        ("REVOKED", JobStatus.UNKNOWN),
        ("", JobStatus.UNKNOWN),
        ("SOMETHING_NEW", JobStatus.UNKNOWN),
    ],
)
def test_each_word_has_its_status(word: str, status: JobStatus) -> None:
    """Every word of Slurm's is translated; one that is not known is unknown, and never dead."""
    assert status_of(word) is status


def test_a_dependency_that_can_never_hold_is_an_upstream_failure() -> None:
    """A pending job that waits for ever is told as over."""
    assert status_of("PENDING", "DependencyNeverSatisfied") is JobStatus.UPSTREAM_FAILED
    assert status_of("PENDING", "Dependency") is JobStatus.QUEUED


def test_cancelled_may_stand_for_preempted() -> None:
    """On sites that preempt by cancelling, the setting attempts one word into the other."""
    status = status_of("CANCELLED by 0", cancelled_is_preempted=True)
    assert status is JobStatus.PREEMPTED


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("12", ["12"]),
        ("12_3", ["12_3"]),
        ("12_[0-2,7%2]", ["12_0", "12_1", "12_2", "12_7"]),
        ("12_[0-6:3]", ["12_0", "12_3", "12_6"]),
        ("12_[5]", ["12_5"]),
        ("12.batch", []),
        ("12_3.extern", []),
        ("12_[0-2,...]", []),
        ("", []),
    ],
)
def test_ids_of_arrays_are_expanded(text: str, ids: list[str]) -> None:
    """Ranges become ids, steps are no jobs, and half a list is none."""
    assert job_ids(text) == ids
