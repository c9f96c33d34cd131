"""What a cluster does to jobs: preemption, time limits, dead nodes, scancel, killed drivers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import huldra
from huldra.errors import HuldraCancelled, HuldraJobLost
from huldra.store.process import start_time
from huldra.testing.pipelines import Step
from huldra_submitit.executor import SubmititExecutor
from tests.executors.slurm.stage import PATIENCE_S, Stage
from tests.executors.trees import Tree

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(400)]


@pytest.fixture(autouse=True)
def _whole_nodes(stage: Stage) -> Iterator[None]:
    """Nodes that a test took down come back."""
    yield
    for node in ("n1", "n2"):
        stage.cluster.revive_node(node)


def never_twice_at_once(stage: Stage, name: str) -> bool:
    """Whether each run of a node ended before the next began, as the node itself noted."""
    words = [word for word, _, _ in stage.runs(name)]
    return words == ["began", "ended"] * (len(words) // 2)


def preempt(stage: Stage) -> None:
    """Let a job of the better partition take the whole cluster for a moment."""
    wrap = ("--wrap", "sleep 1", "-o", "/dev/null")
    assert stage.cluster.ask("sbatch", "-p", "high", "-N", "2", "--exclusive", *wrap)


def test_a_preempted_job_resumes_under_its_id(stage: Stage) -> None:
    """Recorded as preempted, requeued by Slurm, partial files kept; its dependents wait."""
    node = stage.resumable("one")
    jobs = huldra.load_or_create(
        {"one": node, "child": Step(name="child", needs=(node,))}, executor="slurm"
    )
    stage.await_run("one")
    preempt(stage)
    stage.await_run("one", 2)
    stage.open("one")
    assert jobs["one"].result(timeout=PATIENCE_S)["runs"] == 2
    assert jobs["child"].result(timeout=PATIENCE_S)["name"] == "child"
    assert stage.attempts(node) == [
        ("queued", "started"),
        ("running", "preempted"),
        ("running", "success"),
    ]
    assert stage.attempt(node)["job_id"] == jobs["one"].job_id
    assert never_twice_at_once(stage, "one")


def test_preemptions_are_bounded(stage: Stage) -> None:
    """HULDRA_PREEMPT_MAX requeues, and then the job ends as preempted."""
    huldra.HULDRA_CONFIG.preempt_max = 1
    node = stage.resumable("one")
    job = node.load_or_create(executor="slurm")
    for count in (1, 2):
        stage.await_run("one", count)
        preempt(stage)
    assert isinstance(job.exception(timeout=PATIENCE_S), HuldraJobLost)
    assert str(job.status()) in ("preempted", "failed")
    assert stage.began("one") == 2
    assert stage.attempt(node)["status"] == "preempted"


def limit(stage: Stage, job_id: object, minutes: int) -> None:
    """Give a job another time limit, as an administrator may.

    Slurm warns up to a minute early and looks every half a minute: a limit of one minute on a job
    that runs brings the warning at Slurm's next look.
    """
    stage.cluster.ask("scontrol", "update", f"jobid={job_id}", f"timelimit={minutes}")


def test_the_warning_before_a_time_limit_requeues(stage: Stage) -> None:
    """Slurm's signal ahead of `--time`: recorded as preempted, requeued by submitit."""
    executor = SubmititExecutor(timeout_min=10, slurm_signal_delay_s=30)
    node = stage.resumable("one")
    job = node.load_or_create(executor=executor)
    stage.await_run("one")
    limit(stage, job.job_id, 1)
    stage.until(lambda: ("running", "preempted") in stage.attempts(node), "the warning")
    limit(stage, job.job_id, 10)
    stage.await_run("one", 2)
    stage.open("one")
    assert job.result(timeout=PATIENCE_S)["runs"] == 2
    assert stage.attempts(node)[1:] == [("running", "preempted"), ("running", "success")]
    assert stage.shown(str(job.job_id))["Restarts"] == "1"
    assert never_twice_at_once(stage, "one")


def test_a_time_limit_without_requeues_ends_the_job(stage: Stage) -> None:
    """With HULDRA_PREEMPT_MAX=0 nothing comes back, and the next call tries again."""
    huldra.HULDRA_CONFIG.preempt_max = 0
    executor = SubmititExecutor(timeout_min=10, slurm_signal_delay_s=30)
    node = stage.resumable("one")
    job = node.load_or_create(executor=executor)
    stage.await_run("one")
    limit(stage, job.job_id, 1)
    assert isinstance(job.exception(timeout=PATIENCE_S), HuldraJobLost)
    assert stage.attempt(node)["status"] == "preempted"
    stage.open("one")
    assert node.load_or_create(executor=executor).result(timeout=PATIENCE_S)["runs"] == 2


def test_a_hard_time_limit_is_recorded(stage: Stage) -> None:
    """Without the warning the job is ended by Slurm: TIMEOUT there, preempted here."""
    executor = SubmititExecutor(timeout_min=10, slurm_signal_delay_s=0)
    node = stage.resumable("one")
    job = node.load_or_create(executor=executor)
    stage.await_run("one")
    stage.cluster.ask("scontrol", "update", f"jobid={job.job_id}", "endtime=now")
    assert isinstance(job.exception(timeout=PATIENCE_S), HuldraJobLost)
    assert stage.attempt(node)["status"] == "preempted"
    assert stage.shown(str(job.job_id))["JobState"] in ("TIMEOUT", "COMPLETED", "FAILED")


def test_a_dead_node_costs_a_requeue(stage: Stage) -> None:
    """A slurmd is killed: the job comes back elsewhere, and never runs twice at once."""
    node = stage.resumable("one")
    job = node.load_or_create(executor="slurm")
    stage.await_run("one")
    lost = stage.shown(str(job.job_id))["NodeList"]
    stage.cluster.kill_node(lost)
    stage.cluster.ask("scontrol", "update", f"nodename={lost}", "state=down", "reason=test")
    stage.until(lambda: stage.shown(str(job.job_id)).get("Restarts") == "1", "a requeue")
    stage.until(
        lambda: stage.shown(str(job.job_id))["JobState"] == "RUNNING", "the job's second start"
    )
    # The node lost its daemon alone: the first process lives, and the second one waits for it.
    stage.open("one")
    assert job.result(timeout=PATIENCE_S)["runs"] in (1, 2)
    assert never_twice_at_once(stage, "one")


def test_a_dead_node_and_its_processes(stage: Stage) -> None:
    """The node's processes die with it: the next start takes over and resumes."""
    node = stage.resumable("one")
    job = node.load_or_create(executor="slurm")
    stage.await_run("one")
    lost = stage.shown(str(job.job_id))["NodeList"]
    stage.cluster.kill_node(lost)
    [(_, pid, _)] = stage.runs("one")
    os.kill(pid, signal.SIGKILL)
    stage.cluster.ask("scontrol", "update", f"nodename={lost}", "state=down", "reason=test")
    stage.await_run("one", 2)
    stage.open("one")
    assert job.result(timeout=PATIENCE_S)["runs"] == 2
    assert ("running", "crashed") in stage.attempts(node)


def test_scancel_is_a_cancel(stage: Stage) -> None:
    """By Slurm's own command: recorded as cancelled, not run again by anybody."""
    node = stage.resumable("one")
    job = node.load_or_create(executor="slurm")
    stage.await_run("one")
    stage.cluster.ask("scancel", str(job.job_id))
    with pytest.raises(HuldraCancelled):
        job.result(timeout=PATIENCE_S)
    assert str(job.status()) == "cancelled"
    assert stage.attempt(node)["status"] == "cancelled"
    assert stage.shown(str(job.job_id))["JobState"] == "CANCELLED"


def test_scancel_of_what_is_queued(stage: Stage) -> None:
    """A job that never started has nobody to record it; the engine's word is enough."""
    node = stage.resumable("one")
    jobs = huldra.load_or_create(
        {"one": node, "child": Step(name="child", needs=(node,))}, executor="slurm"
    )
    stage.cluster.ask("scancel", str(jobs["child"].job_id))
    stage.until(jobs["child"].done, "the end of the cancelled job")
    assert str(jobs["child"].status()) == "cancelled"


def test_cancel_stands_for_preemption_where_a_site_says_so(stage: Stage) -> None:
    """HULDRA_CANCELLED_IS_PREEMPTED: recorded as preempted, and brought back; bounded."""
    huldra.HULDRA_CONFIG.cancelled_is_preempted = True
    node = stage.resumable("one")
    job = node.load_or_create(executor="slurm")
    stage.await_run("one")
    stage.cluster.ask("scancel", str(job.job_id))
    stage.await_run("one", 2)
    assert stage.attempts(node)[1] == ("running", "preempted")
    stage.open("one")
    assert job.result(timeout=PATIENCE_S)["runs"] == 2


def test_a_driver_killed_right_after_sbatch_leaves_no_orphan(stage: Stage) -> None:
    """Its job was never recorded: it is found by name, not sent again, and is made."""
    shim = Path(stage.folder, "shims", "sbatch")
    text = shim.read_text().replace("exec ", "")
    shim.write_text(f'{text}[ -n "$KILL_DRIVER" ] && kill -9 $PPID\nexit 0\n')
    driver = stage.drive(
        "Resumable(name='one', notes=notes).load_or_create(executor='slurm')\n", KILL_DRIVER="1"
    )
    assert driver.wait(timeout=PATIENCE_S) == -signal.SIGKILL
    node = stage.resumable("one")
    assert stage.attempts(node) == [("queued", "open")]
    assert not (node.huldra_dir / ".huldra" / "claims" / "1.job").exists()
    job = node.load_or_create(executor="slurm")
    assert stage.commands("sbatch") == 1
    assert job.job_id == (stage.cluster.ask("squeue", "-h", "-o", "%i") or "").strip()
    stage.await_run("one")
    stage.open("one")
    assert job.result(timeout=PATIENCE_S)["runs"] == 1
    assert stage.began("one") == 1


def test_an_unrecorded_job_is_not_taken_for_dead_while_it_is_pending(stage: Stage) -> None:
    """Its attempt is kept for it: nobody else may make the artifact."""
    shim = Path(stage.folder, "shims", "sbatch")
    text = shim.read_text().replace("exec ", "")
    shim.write_text(f'{text}[ -n "$KILL_DRIVER" ] && kill -9 $PPID\nexit 0\n')
    for name in ("n1", "n2"):
        stage.cluster.ask("scontrol", "update", f"nodename={name}", "state=drain", "reason=t")
    driver = stage.drive(
        "Resumable(name='one', notes=notes).load_or_create(executor='slurm')\n", KILL_DRIVER="1"
    )
    driver.wait(timeout=PATIENCE_S)
    node = stage.resumable("one")
    job = node.load_or_create(executor="slurm")
    assert str(job.status()) == "queued"
    assert stage.commands("sbatch") == 1
    assert job.cancel()
    stage.until(lambda: not stage.cluster.ask("squeue", "-h"), "the end of the orphan")
    assert str(job.status()) == "cancelled"


def test_a_driver_killed_before_sbatch_frees_what_it_queued(stage: Stage) -> None:
    """Slurm never had the job: the next call sends it."""
    shim = Path(stage.folder, "shims", "sbatch")
    text = shim.read_text()
    shim.write_text(
        text.replace("exec ", '[ -n "$KILL_DRIVER" ] && kill -9 $PPID && exit 1\nexec ')
    )
    driver = stage.drive(
        "Resumable(name='one', notes=notes).load_or_create(executor='slurm')\n", KILL_DRIVER="1"
    )
    driver.wait(timeout=PATIENCE_S)
    stage.open("one")
    node = stage.resumable("one")
    assert stage.attempts(node) == [("queued", "open")]
    assert node.load_or_create(executor="slurm").result(timeout=PATIENCE_S)["runs"] == 1
    assert stage.attempts(node)[0] == ("queued", "crashed")


def test_a_controller_that_is_away_kills_no_job(stage: Stage) -> None:
    """While queries fail the job is what it was."""
    node = stage.resumable("one")
    job = node.load_or_create(executor="slurm")
    stage.await_run("one")
    stage.cluster.stop_controller()
    try:
        assert str(job.status()) == "running"
        assert not job.done()
    finally:
        stage.cluster.start_controller()
    stage.open("one")
    assert job.result(timeout=PATIENCE_S)["runs"] == 1


def test_no_process_outlives_a_job(stage: Stage) -> None:
    """Neither one that is cancelled nor one that ends well, also where Slurm does not see to it."""
    for then in ("wait", "end"):
        notes = stage.notes / then
        notes.mkdir()
        tree = Tree(name=then, notes=str(notes), then=then)
        job = tree.load_or_create(executor="slurm")
        stage.until((notes / f"{then}.worker").exists, "the node's processes")
        if then == "wait":
            assert job.cancel()
        assert job.wait(PATIENCE_S)
        pids = [int(path.stem) for path in notes.glob("*.pid")]
        assert len(pids) == 4
        stage.until(lambda pids=pids: not any(map(start_time, pids)), "their end", 20.0)  # type: ignore[misc]  # a default binds it now
