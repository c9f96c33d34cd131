"""submitit's own local and debug executors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.errors import HuldraCancelled, HuldraComputeError, HuldraDependencyError
from huldra.testing.pipelines import Step, count_notes
from huldra.testing.suite import Scene
from huldra_submitit import from_object
from huldra_submitit.plain import PlainExecutor

submitit = pytest.importorskip("submitit")

PATIENCE_S = 60.0


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A store of this test's own."""
    before = huldra.HULDRA_CONFIG.snapshot()
    scene = Scene(tmp_path, PATIENCE_S)
    huldra.set_huldra_root(scene.root)
    huldra.HULDRA_CONFIG.update(poll_interval=0.2, preempt_max=2)
    yield scene
    scene.close()
    huldra.HULDRA_CONFIG.apply(before)


def local(folder: Path, **parameters: Any) -> PlainExecutor:
    """Submitit's local cluster, wrapped."""
    executor = submitit.AutoExecutor(folder=folder / "logs", cluster="local")
    executor.update_parameters(timeout_min=5, **parameters)
    wrapped = from_object(executor)
    assert isinstance(wrapped, PlainExecutor)
    return wrapped


def test_a_graph_runs_in_local_processes(scene: Scene) -> None:
    """Each node waits for what it needs; logs are submitit's files too."""
    base = scene.step("base")
    job = scene.step("upper", needs=[base]).load_or_create(executor=local(scene.folder))
    assert scene.outcome(job)["inputs"] == {"base": "base"}
    assert scene.outcome(job)["pid"] != os.getpid()
    assert any(path.endswith("_log.out") for path in job.logs())


def test_a_failure_is_told_and_stops_dependents(scene: Scene) -> None:
    """As on every engine."""
    bad = scene.step("bad", "fail")
    job = scene.step("child", needs=[bad]).load_or_create(executor=local(scene.folder))
    assert isinstance(scene.failure(job), HuldraDependencyError)
    assert scene.count("child") == 0


def test_a_local_job_is_cancelled(scene: Scene) -> None:
    """Also when it runs: recorded as cancelled."""
    step = scene.step("endless", "wait")
    job = step.load_or_create(executor=local(scene.folder))
    scene.await_note("endless")
    assert job.cancel()
    with pytest.raises(HuldraCancelled):
        job.result(timeout=PATIENCE_S)


def test_a_local_job_outlives_its_driver_and_is_found_again(scene: Scene) -> None:
    """By the controller's pid and start time."""
    code = (
        "import submitit, huldra, pathlib, os, sys\n"
        f"huldra.set_huldra_root(pathlib.Path({str(scene.root)!r}))\n"
        "from huldra_submitit import from_object\n"
        "from huldra.testing.pipelines import Step\n"
        f"executor = submitit.AutoExecutor({str(scene.folder / 'logs')!r}, cluster='local')\n"
        "executor.update_parameters(timeout_min=5)\n"
        f"step = Step(name='one', does='wait', notes={str(scene.notes)!r})\n"
        "print(step.load_or_create(executor=from_object(executor)).job_id)\n"
        "sys.stdout.flush()\n"
        "os._exit(0)\n"
    )
    out = scene.folder / "driver.out"
    with out.open("wb") as file:
        subprocess.run(
            [sys.executable, "-c", code], stdout=file, stderr=file, check=True, timeout=PATIENCE_S
        )
    scene.await_note("one")
    job = scene.step("one", "wait").load_or_create(executor=local(scene.folder))
    assert job.job_id == out.read_text().split()[-1]
    assert str(job.status()) == "running"
    scene.open("one")
    assert scene.outcome(job)["name"] == "one"
    assert scene.count("one") == 1


def test_the_users_executor_is_not_changed(scene: Scene) -> None:
    """Resources of a node stay with the node."""
    executor = submitit.AutoExecutor(folder=scene.folder / "logs", cluster="local")
    executor.update_parameters(timeout_min=5)
    before = dict(executor._executor.parameters)
    wrapped = from_object(executor)
    step = scene.step("short", claims={"time_min": 3})
    scene.outcome(step.load_or_create(executor=wrapped))
    assert executor._executor.parameters == before


@pytest.mark.slow
def test_the_warning_before_a_time_limit_requeues(scene: Scene) -> None:
    """Submitit's signal: recorded as preempted, started again by submitit's controller."""
    executor = submitit.AutoExecutor(folder=scene.folder / "logs", cluster="local")
    # The signal comes ten seconds after the start.
    executor.update_parameters(timeout_min=1, local_setup=[], slurm_time=1)
    executor._executor.update_parameters(signal_delay_s=50)
    step = scene.step("one", "wait")
    job = step.load_or_create(executor=from_object(executor))
    scene.await_note("one", count=2)
    scene.open("one")
    assert scene.outcome(job)["name"] == "one"


def test_debug_runs_in_this_process(scene: Scene) -> None:
    """As submitit's debug executor does; a failure does not open a debugger."""
    executor = from_object(submitit.AutoExecutor(folder=scene.folder / "logs", cluster="debug"))
    base = scene.step("base")
    job = scene.step("upper", needs=[base]).load_or_create(executor=executor)
    assert job.done()
    assert scene.outcome(job)["pid"] == os.getpid()
    bad = scene.step("bad", "fail").load_or_create(executor=executor)
    assert isinstance(scene.failure(bad), HuldraComputeError)


def test_a_step_is_counted_by_its_notes(scene: Scene) -> None:
    """The notes that other tests here rely on are written once a run."""
    Step(name="once", notes=str(scene.notes)).load_or_create()
    assert count_notes(scene.notes, "once", "began") == 1


def test_the_jobs_own_files_name_the_output_of_the_node(scene: Scene) -> None:
    """Who looks into submitit's file, where prints used to be, finds the way to them."""
    step = scene.step("loud", "print")
    job = step.load_or_create(executor=local(scene.folder))
    scene.outcome(job)
    kept = step.huldra_dir / ".huldra" / "output.log"
    own = "".join(text for name, text in job.logs().items() if "/logs/" in name)
    assert f"what _create prints is in {kept}\n" in own
    assert "a child of loud" in kept.read_text()
    assert "a child of loud" not in own
