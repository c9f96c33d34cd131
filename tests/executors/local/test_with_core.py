"""The pool with the real core: what drivers leave behind, and what the store then says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import huldra
from huldra.catalog import Catalog
from huldra.engines.memory import MemoryKills
from huldra.errors import HuldraError
from huldra.store.process import start_time
from huldra.testing.pipelines import Step
from huldra.testing.suite import Scene
from huldra_local import LocalExecutor


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    before = huldra.HULDRA_CONFIG.snapshot()
    scene = Scene(tmp_path, patience_s=60.0)
    huldra.set_huldra_root(scene.root)
    huldra.HULDRA_CONFIG.update(poll_interval=0.2, preempt_max=1)
    yield scene
    scene.close()
    huldra.HULDRA_CONFIG.apply(before)


@pytest.fixture
def pool() -> Iterator[LocalExecutor]:
    pool = LocalExecutor(2, gpus=["0", "1"], grace_s=5.0)
    yield pool
    pool.close()


def recorded_status(step: Step) -> str:
    """What `state.json` says of the last attempt."""
    state = json.loads((step.huldra_dir / ".huldra" / "state.json").read_text())
    status: str = state["attempt"]["status"]
    return status


# A script as users write it: no main guard, and the pool is left to the end of the process.
SCRIPT = """
import sys
from pathlib import Path
import huldra
from huldra.testing.pipelines import Step
huldra.set_huldra_root(Path(sys.argv[1]))
huldra.HULDRA_CONFIG.poll_interval = 0.2
job = Step(name="held", does="wait", notes=sys.argv[2]).load_or_create(executor="local:1")
while not list(Path(sys.argv[2]).glob("held.began.*")):
    job.wait(0.05)
print("started", flush=True)
if sys.argv[3] == "wait":
    print(job.result()["name"], flush=True)
"""


def start_script(scene: Scene, manner: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(scene.root), str(scene.notes), manner],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def worker_pid(scene: Scene, name: str) -> int:
    (note,) = scene.notes.glob(f"{name}.began.*")
    return int(note.read_text())


def test_a_script_without_a_main_guard_works(scene: Scene) -> None:
    """Workers do not import `__main__`."""
    process = start_script(scene, "wait")
    scene.open("held")
    output, _ = process.communicate(timeout=60)
    assert output == "held\n"
    assert process.returncode == 0


@pytest.mark.parametrize("manner", ["exit", "kill"])
def test_what_runs_when_the_driver_ends_is_recorded_as_preempted(
    manner: str, scene: Scene, pool: LocalExecutor
) -> None:
    """At its exit as after kill -9; and the next call makes the node, with its own pool."""
    process = start_script(scene, "leave" if manner == "exit" else "wait")
    pid = worker_pid(scene, "held")
    if manner == "kill":
        process.kill()
    process.communicate(timeout=60)
    scene.until(lambda: start_time(pid) is None, "the worker ends")
    held = scene.step("held", "wait")
    assert recorded_status(held) == "preempted"
    scene.open("held")
    assert scene.outcome(held.load_or_create(executor=pool))["name"] == "held"
    assert scene.count("held") == 2


def test_ctrl_c_in_the_terminal_reaches_the_driver_alone(scene: Scene) -> None:
    """SIGINT to the driver's process group does not interrupt `_create`; the driver's end does."""
    process = start_script(scene, "wait")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    pid = worker_pid(scene, "held")
    scene.until(lambda: start_time(pid) is None, "the worker ends")
    assert recorded_status(scene.step("held", "wait")) == "preempted"


def test_a_node_over_its_time_is_ended_once_and_can_be_asked_for_again(
    scene: Scene, pool: LocalExecutor
) -> None:
    """The job fails, the attempt is no failure of the user's code."""
    step = scene.step("slow", "wait", claims={"time_min": 3 / 60})
    assert isinstance(scene.failure(step.load_or_create(executor=pool)), HuldraError)
    assert scene.count("slow") == 1
    assert recorded_status(step) == "preempted"
    scene.open("slow")
    assert scene.outcome(step.load_or_create(executor=pool))["name"] == "slow"


def test_two_gpu_nodes_see_one_gpu_each(scene: Scene, pool: LocalExecutor) -> None:
    """The environment was set before their process began."""
    steps = [scene.step(f"gpu{n}", "tell gpus", claims={"gpus": 1}) for n in range(4)]
    reports = {scene.outcome(job)["report"] for job in scene.send(pool, *steps)}
    assert reports <= {"0", "1"}


def test_what_was_printed_is_in_the_jobs_logs(scene: Scene, pool: LocalExecutor) -> None:
    """The worker's file stands beside `huldra.log`."""
    job = scene.step("loud", "print").load_or_create(executor=pool)
    scene.outcome(job)
    assert "and on the other stream" in str(job.logs())


def test_a_worker_that_died_is_not_the_end_of_the_pool(scene: Scene, pool: LocalExecutor) -> None:
    """Kill -9 of every worker in turn: each held node is made by its retry."""
    steps = [scene.step(f"held{n}", "wait") for n in range(2)]
    jobs = scene.send(pool, *steps)
    for step in steps:
        scene.await_note(step.name)
        os.kill(worker_pid(scene, step.name), signal.SIGKILL)
    for step in steps:
        scene.await_note(step.name, count=2)
    scene.open("held0", "held1")
    assert [scene.outcome(job)["name"] for job in jobs] == ["held0", "held1"]
    assert [scene.count(step.name) for step in steps] == [2, 2]


def test_a_stopped_worker_is_waited_for(scene: Scene, pool: LocalExecutor) -> None:
    """SIGSTOP is no death: nobody else makes the node meanwhile."""
    job = scene.step("paused", "wait").load_or_create(executor=pool)
    scene.await_note("paused")
    pid = worker_pid(scene, "paused")
    os.kill(pid, signal.SIGSTOP)
    scene.open("paused")
    assert not job.wait(0.5)
    os.kill(pid, signal.SIGCONT)
    assert scene.outcome(job)["name"] == "paused"
    assert scene.count("paused") == 1


def test_a_worker_that_is_interrupted_before_its_node_began_costs_a_retry(scene: Scene) -> None:
    """SIGINT on the way into a node is no failure of its code, and nobody waits for it."""
    first = scene.step("first")
    last = scene.step("last", needs=[first])
    pool = LocalExecutor(1, runner="tests.executors.local.stub:run_interrupted_once")
    assert scene.outcome(last.load_or_create(executor=pool))["name"] == "last"
    pool.close()
    assert list(scene.root.glob("runs/*/interrupted"))


def test_a_node_that_broke_before_it_began_is_not_waited_for(scene: Scene) -> None:
    """What depends on it fails at once, and both are made by a call with a pool that works."""
    first = scene.step("first")
    last = scene.step("last", needs=[first])
    broken = LocalExecutor(1, runner="tests.executors.local.stub:run_on_bad_disk")
    job = last.load_or_create(executor=broken)
    assert first.huldra_hash in str(scene.failure(job))
    assert recorded_status(first) == "crashed"
    sound = LocalExecutor(1)
    assert scene.outcome(last.load_or_create(executor=sound))["name"] == "last"
    broken.close()
    sound.close()


def test_a_worker_that_never_comes_up_leaves_nothing_queued(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """The node and what depends on it fail, and are made by a call with a pool that works."""
    huldra.HULDRA_CONFIG.preempt_max = 0
    first = scene.step("first")
    last = scene.step("last", needs=[first])
    broken = LocalExecutor(1, runner="no_such_module_anywhere:run")
    jobs = scene.send(broken, first, last)
    assert all(isinstance(scene.failure(job), HuldraError) for job in jobs)
    assert {recorded_status(step) for step in (first, last)} <= {"crashed", "failed"}
    sound = LocalExecutor(1)
    assert scene.outcome(last.load_or_create(executor=sound))["name"] == "last"
    broken.close()
    sound.close()


# One worker, which is held: what is sent after it never begins.
_QUEUES = """
import os, sys, time
from pathlib import Path
import huldra
from huldra.testing.pipelines import Step
root, notes, how = sys.argv[1:]
huldra.set_huldra_root(Path(root))
steps = [Step(name="held", does="wait", notes=notes), Step(name="bad", does="fail", notes=notes)]
huldra.load_or_create(steps, executor="local:1")
while not list(Path(notes).glob("held.began.*")):
    time.sleep(0.01)
if how:
    os.kill(os.getpid(), getattr(__import__("signal"), how))
    time.sleep(60)
"""


@pytest.mark.parametrize("how", ["", "SIGINT", "SIGTERM"])
def test_what_never_began_does_not_hide_what_failed_before(scene: Scene, how: str) -> None:
    """The driver ends with a retry in its queue: the failure stays, in Python and for onlookers.

    A script that ends, or is interrupted, leaves nothing stale. SIGTERM ends Python at once.
    """
    bad = scene.step("bad", "fail")
    scene.failure(bad.load_or_create(executor="local:1"))
    command = [sys.executable, "-c", _QUEUES, str(scene.root), str(scene.notes), how]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run(command, env=environ, timeout=60, capture_output=True)
    assert scene.count("bad") == 1
    assert huldra.StateManager.read(bad.huldra_dir).result == "failed"
    assert "failed before: builtins.ValueError" in str(huldra.plan([bad]))
    (row,) = Catalog([scene.root]).find(bad.huldra_hash)
    assert row.result_status == "failed"
    assert row.attempt_status == ("stale" if how == "SIGTERM" else "preempted")
    if how != "SIGTERM":
        assert "the last attempt failed: builtins.ValueError" in str(bad.explain())


def test_the_history_of_a_run_says_that_its_queued_attempt_started(scene: Scene) -> None:
    """A job that began well is no crash."""
    step = scene.step("one")
    scene.outcome(step.load_or_create(executor="local:1"))
    history = huldra.StateManager.history(step.huldra_dir)
    assert [attempt.status.value for attempt in history] == ["started", "success"]


@pytest.fixture
def kernel_lacks_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker that is killed from now on was killed for lack of memory, the kernel says."""
    monkeypatch.setattr(MemoryKills, "explain_one", lambda _: True)


@pytest.mark.usefixtures("kernel_lacks_memory")
def test_a_node_killed_for_memory_is_made_with_more(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """As its `Retry` asks for, up to what the pool has, without a retry of HULDRA_PREEMPT_MAX."""
    huldra.HULDRA_CONFIG.preempt_max = 0
    hungry = scene.step("hungry", "die once", claims={"memory_gb": 2}, retry={"memory": 4.0})
    with caplog.at_level("WARNING", "huldra"), LocalExecutor(1, memory_gb=3) as pool:
        assert scene.outcome(hungry.load_or_create(executor=pool))["name"] == "hungry"
    assert "try 2 with memory_gb=3" in caplog.text
    assert scene.count("hungry") == 2


@pytest.mark.usefixtures("kernel_lacks_memory")
def test_a_node_killed_for_memory_is_not_tried_again_without_a_retry(
    scene: Scene, pool: LocalExecutor
) -> None:
    """The error says what was requested, what the process had used, and what to write."""
    hungry = scene.step("hungry", "die once", claims={"memory_gb": 2})
    error = str(scene.failure(hungry.load_or_create(executor=pool)))
    assert scene.count("hungry") == 1
    assert "requested memory_gb=2" in error
    assert "GiB" in error
    assert "huldra.Retry(memory=2.0)" in error
