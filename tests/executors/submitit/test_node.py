"""Why Slurm ends a job, as its record of the job shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from huldra.engines.protocol import JobStatus
from huldra.store.job_ref import JobRef
from huldra_submitit.jobs import Jobs, error_text, is_own_predecessor
from huldra_submitit.node import TerminationCause, own_job_id, why_ended
from huldra_submitit.queue import QueueMonitor
from tests.executors.submitit.fakes import ScriptedSlurm, says


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ("JobState=COMPLETING Reason=None Restarts=0 PreemptTime=None", TerminationCause.CANCELLED),
        ("JobState=CANCELLED Reason=None Restarts=0", TerminationCause.CANCELLED),
        ("JobState=COMPLETING Reason=None Restarts=1", TerminationCause.REQUEUED),
        ("JobState=PENDING Reason=BeginTime Restarts=1", TerminationCause.REQUEUED),
        ("JobState=RUNNING Reason=None Restarts=0", TerminationCause.WARNED),
        ("JobState=COMPLETING Reason=TimeLimit Restarts=0", TerminationCause.OTHER),
        (
            "JobState=COMPLETING Restarts=0 PreemptTime=2026-01-31T12:00:00",
            TerminationCause.PREEMPTED,
        ),
        ("", TerminationCause.OTHER),
    ],
)
def test_the_record_tells_why(shown: str, why: TerminationCause) -> None:
    """The state is COMPLETING in nearly all cases; other fields tell them apart."""
    assert why_ended(shown, 0) is why


def test_an_earlier_requeue_is_not_this_end() -> None:
    """The count of restarts is compared with that at our own start."""
    assert why_ended("JobState=COMPLETING Reason=None Restarts=2", 2) is TerminationCause.CANCELLED


def test_the_same_job_before_a_requeue_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm calls the job running, which is this process and not the earlier one."""
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert own_job_id() == "12_3"
    assert is_own_predecessor(JobRef("slurm", "12_3", {"restart": 0}))
    assert not is_own_predecessor(JobRef("slurm", "12_3", {"restart": 1}))
    assert not is_own_predecessor(JobRef("slurm", "12_4", {"restart": 0}))


def test_an_earlier_start_is_dead_once_its_script_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Until then only its heartbeat can tell: its node may have lost its network alone."""
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    ref = JobRef("slurm", "12", {"restart": 0, "folder": str(tmp_path)})
    jobs = Jobs(QueueMonitor(ScriptedSlurm(answers={"squeue": says("12|RUNNING|None\n")})))
    assert jobs.status([ref]) == {ref: JobStatus.UNKNOWN}
    (tmp_path / "12_0.over").touch()
    assert jobs.status([ref]) == {ref: JobStatus.LOST}


def test_a_jobs_error_file_is_named_and_quoted(tmp_path: Path) -> None:
    """Its last lines; stdout where stderr is empty or goes there."""
    ref = JobRef("slurm", "12_3", {"folder": str(tmp_path)})
    assert error_text(ref) == ""
    out, err = (tmp_path / f"12_3_0_log.{end}" for end in ("out", "err"))
    out.write_text("all of it\n")
    assert "all of it" in error_text(ref)
    err.write_text("x" * 5000 + "\nmodule: not found\n\nRuntimeError: no environment\n")
    text = error_text(ref)
    assert str(err) in text
    assert "module: not found | RuntimeError: no environment" in text
    assert len(text) < 2500
