"""The text for sbatch."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("submitit")

from huldra_submitit.script import render


@pytest.fixture
def slurm_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A submitit executor where there is no Slurm."""
    from submitit.slurm.slurm import SlurmExecutor

    monkeypatch.setattr(SlurmExecutor, "affinity", classmethod(lambda cls: 2))
    return SlurmExecutor(tmp_path / "logs")


def text_of(executor: Any, size: int = 1, **parameters: Any) -> str:
    """Render with everything that does not matter filled in."""
    return render(
        executor,
        parameters,
        name="job",
        folder="/logs/job",
        manifest="/runs/it's/m.json",
        size=size,
        elements=parameters.pop("elements", range(size)),
        max_requeues=parameters.pop("max_requeues", 5),
    )


def test_the_job_runs_our_start_with_its_manifest(slurm_executor: Any) -> None:
    """Paths are quoted for the shell."""
    text = text_of(slurm_executor)
    assert """-u -P -m huldra_submitit.start '/runs/it'"'"'s/m.json' /logs/job""" in text


def test_a_changed_python_stays_in_front(slurm_executor: Any) -> None:
    """A container's launcher is the user's own parameter."""
    slurm_executor.python = "singularity exec x.sif python3"
    assert "singularity exec x.sif python3 -u -P -m huldra_submitit.start" in text_of(
        slurm_executor
    )


def test_one_node_is_a_plain_job_and_more_are_an_array(slurm_executor: Any) -> None:
    """The parallelism is the array's own limit."""
    assert "--array" not in text_of(slurm_executor)
    assert "#SBATCH --array=0-9%3" in text_of(slurm_executor, size=10, array_parallelism=3)


def test_an_array_has_no_limit_that_nobody_asked_for(slurm_executor: Any) -> None:
    """Submitit would write 256; a limit of the user's is kept, one of 256 too."""
    assert "#SBATCH --array=0-299\n" in text_of(slurm_executor, size=300)
    limited = text_of(slurm_executor, size=300, array_parallelism=256)
    assert "#SBATCH --array=0-299%256\n" in limited


def test_steps_get_the_jobs_environment(slurm_executor: Any) -> None:
    """Also on a site that submits with `--export=NONE`; after the user's own setup."""
    lines = text_of(slurm_executor, setup=["module load x"]).splitlines()
    assert lines.index("module load x") < lines.index("unset SLURM_EXPORT_ENV")


def test_an_array_may_have_holes(slurm_executor: Any) -> None:
    """Nodes that another driver took are left out, the indices of the others stay."""
    text = render(
        slurm_executor,
        {},
        name="job",
        folder="/logs/job",
        manifest="/m.json",
        size=5,
        elements=[0, 1, 4],
        max_requeues=5,
    )
    assert "#SBATCH --array=0-1,4\n" in text


def test_a_job_may_be_requeued_unless_the_user_says_not(slurm_executor: Any) -> None:
    """Whatever the site's default is."""
    assert "#SBATCH --requeue" in text_of(slurm_executor)
    refused = text_of(slurm_executor, additional_parameters={"no-requeue": True})
    assert "#SBATCH --requeue" not in refused


def test_no_time_limit_is_the_partitions_own(slurm_executor: Any) -> None:
    """Submitit's five minutes are for those who ask for nothing through submitit."""
    assert "--time" not in text_of(slurm_executor, time=None)


def test_a_job_of_several_tasks_is_not_ended_by_the_first_that_ends(slurm_executor: Any) -> None:
    """One task makes the node, the others leave at once."""
    assert "--wait=0" in text_of(slurm_executor, ntasks_per_node=4)
    assert "--wait=0" not in text_of(slurm_executor)


def test_rendering_leaves_the_executor_alone(slurm_executor: Any) -> None:
    """Submitit's setters leak; ours must not."""
    slurm_executor.update_parameters(time=7)
    before = dict(slurm_executor.parameters)
    text_of(slurm_executor, size=3, time=9)
    assert slurm_executor.parameters == before


@pytest.mark.parametrize(
    ("command", "status"),
    [("touch {result}", 0), ("true", 1), ("false", 1), ("touch {result}; exit 7", 7)],
)
def test_a_teardown_does_not_hide_a_failure(
    slurm_executor: Any, tmp_path: Path, command: str, status: int
) -> None:
    """The script ends with the node's status; one that left no result has failed, too."""
    text = text_of(slurm_executor, teardown=["echo tidy"], use_srun=False)
    text = text.replace("/logs/job", str(tmp_path))
    [line] = [line for line in text.splitlines() if "huldra_submitit.start" in line]
    script = tmp_path / "job.sh"
    script.write_text(
        text.replace(line, f"({command.format(result=tmp_path / '12_3_0_result.pkl')})")
    )
    env = {"PATH": "/usr/bin:/bin", "SLURM_JOB_ID": "15"}
    env |= {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}
    done = subprocess.run(["bash", script], env=env, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (status, "tidy\n")


class Job:
    """A rendered script as a job that its node's process is killed in, again and again."""

    def __init__(self, executor: Any, folder: Path, **parameters: Any) -> None:
        self.folder = folder
        text = text_of(executor, use_srun=False, max_requeues=3, **parameters)
        self._text = text.replace("/logs/job", str(folder)).replace("/proc/self", str(folder))
        self._text = self._text.replace("/sys/fs", str(folder))
        self.show_kills("job_12", 0)
        scontrol = folder / "scontrol"
        scontrol.write_text(f"#!/bin/sh\necho $@ > {folder}/asked\nexit 1\n")
        scontrol.chmod(0o755)

    def show_kills(self, group: str, count: int) -> None:
        """Let the kernel say how many processes of the script's group it killed for memory."""
        (self.folder / "cgroup").mkdir(exist_ok=True)
        events = self.folder / "cgroup" / group / "memory.events"
        events.parent.mkdir(exist_ok=True)
        events.write_text(f"low 0\noom 9\noom_kill {count}\n")
        self._groups = f"0::/{group}/step_batch/user\n"

    def run(self, restarts: int, command: str) -> tuple[bool, int, str]:
        """Start it: whether it asked for a requeue, its status, and what it wrote to stderr."""
        [line] = [line for line in self._text.splitlines() if "huldra_submitit.start" in line]
        text = self._text.replace(line, f"({command})")
        text = text.replace(f"{self.folder}/cgroup 2>", f"{self.folder}/groups 2>")
        (self.folder / "groups").write_text(self._groups)
        script = self.folder / "job.sh"
        script.write_text(text)
        asked = self.folder / "asked"
        asked.unlink(missing_ok=True)
        env = {"PATH": f"{self.folder}:/usr/bin:/bin", "SLURM_JOB_ID": "12"}
        env["SLURM_RESTART_COUNT"] = str(restarts)
        command = ["bash", str(script)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20)
        return asked.exists(), done.returncode, done.stderr


KILL = "kill -9 $BASHPID"


@pytest.fixture
def job(slurm_executor: Any, tmp_path: Path) -> Job:
    return Job(slurm_executor, tmp_path, mem="4GB")


@pytest.mark.parametrize(
    ("signum", "restarts", "is_requeued"),
    [(9, 0, True), (9, 2, True), (9, 3, False), (12, 0, True), (15, 0, False)],
)
def test_a_killed_process_is_requeued_up_to_a_limit(
    job: Job, signum: int, restarts: int, is_requeued: bool
) -> None:
    """Under the same job id, by the script itself; SIGTERM is Slurm's to judge."""
    found = job.run(restarts, f"kill -{signum} $BASHPID")
    assert found[:2] == (is_requeued, 128 + signum)


def test_the_second_kill_in_a_row_is_the_last(job: Job) -> None:
    """It says what it may have been, what was asked for and what to write."""
    assert job.run(0, KILL)[0]
    is_requeued, status, printed = job.run(1, KILL)
    assert (is_requeued, status) == (False, 137)
    assert "huldra: killed twice in a row, perhaps for lack of memory;" in printed
    assert "slurm_mem=4GB" in printed
    assert "huldra.Resources(memory_gb=...)" in printed


def test_kills_with_a_preemption_between_them_do_not_add_up(job: Job) -> None:
    """The start before this one left another word, or none."""
    assert job.run(0, KILL)[0]
    job.run(1, "exit 140")
    assert job.run(2, KILL)[0]


def test_a_kill_for_lack_of_memory_is_the_last(job: Job) -> None:
    """The kernel counts it in the job's own group: the first time is enough."""
    job.show_kills("job_12", 1)
    is_requeued, _, printed = job.run(0, KILL)
    assert not is_requeued
    assert "huldra: killed for lack of memory;" in printed
    assert "slurm_mem=4GB" in printed


def test_slurms_own_word_for_lack_of_memory_is_told(job: Job) -> None:
    """Where `srun` says so itself."""
    assert "killed for lack of memory" in job.run(0, "exit 253")[2]


def test_kills_of_other_jobs_say_nothing(job: Job) -> None:
    """Where a site does not give each job a group of its own, the count is of the whole host."""
    job.show_kills("slurmd.service", 5)
    assert job.run(0, KILL)[0]
