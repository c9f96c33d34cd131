"""What is Ray's alone: ends of nodes, resources, what names it, and three engines at once."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import huldra
import huldra_ray
from huldra.engines.protocol import JobStatus, Task
from huldra.engines.resources import Resources
from huldra.errors import HuldraExecutorError
from huldra.testing.pipelines import Step, count_notes
from huldra_ray import RayExecutor, resources
from huldra_ray.ended import NodeEnded, status_of
from tests.support import children

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray"), pytest.mark.timeout(300)]
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def executor() -> Iterator[RayExecutor]:
    """One runtime for all tests here."""
    executor = RayExecutor(cpus=3)
    yield executor
    executor.close()


def task(**declared: Any) -> Task:
    """A task that asks for these."""
    return Task("m/C/0", "m/C-0-1", "C", "{}", "/", "/", resources=Resources(**declared))


def test_resources_become_rays_options() -> None:
    """One declaration, in Ray's words and units."""
    declared = Resources(
        cpus=2, gpus=0.5, memory_gb=1.5, extra={"ray_resources": {"TPU": 1}, "slurm_x": 1}
    )
    assert resources.options(declared) == {
        "num_cpus": 2,
        "num_gpus": 0.5,
        "memory": 3 * 2**29,
        "resources": {"TPU": 1},
    }
    assert resources.options(Resources()) == {}


def test_what_no_node_gives_is_refused_with_what_there_is() -> None:
    """The refusal names the request, and what the largest node has."""
    nodes = [{"CPU": 4.0, "memory": 8.0 * 2**30}, {"CPU": 1.0, "GPU": 1.0}]
    found = [str(r) for r in resources.refuse([task(memory_gb=9)], nodes)]
    assert found == ["m/C/0: memory_gb: wanted 9, the largest node of the cluster gives 8"]
    together = resources.refuse([task(cpus=2, gpus=1)], nodes)
    assert "no single node" in together[0].reason
    assert resources.refuse([task(extra={"ray_resource": 1})], nodes)[0].request == "ray_resource"
    assert resources.refuse([task(cpus=4), task(gpus=1)], nodes) == []


def test_ends_differ_by_their_cause() -> None:
    """A user's error, a worker's death, memory and the end of another node are different things."""
    from ray import exceptions

    def wrapped(cause: Exception) -> Any:
        made = exceptions.RayTaskError("f", "text", cause)
        return made.as_instanceof_cause()

    ends = {
        JobStatus.FAILED: wrapped(NodeEnded("failed", "me", "x")),
        JobStatus.TIMED_OUT: wrapped(NodeEnded("timed_out", "me", "x")),
        JobStatus.LOST: exceptions.WorkerCrashedError(),
        JobStatus.OUT_OF_MEMORY: exceptions.OutOfMemoryError("x"),
        JobStatus.CANCELLED: exceptions.TaskCancelledError(),
    }
    assert {status: status_of(error, "me")[0] for status, error in ends.items()} == {
        status: status for status in ends
    }
    for upstream in (
        wrapped(NodeEnded("failed", "other", "x")),
        wrapped(exceptions.WorkerCrashedError()),
        wrapped(exceptions.TaskCancelledError()),
    ):
        assert status_of(upstream, "me")[0] is JobStatus.UPSTREAM_FAILED


def test_a_time_limit_ends_the_node(executor: RayExecutor, huldra_root: Path) -> None:
    """`time_min` is enforced by us, and says so."""
    step = Step(name="slow", does="wait", notes=str(huldra_root), claims={"time_min": 1 / 60})
    huldra_root.mkdir(exist_ok=True)
    job = step.load_or_create(executor=executor)
    assert job.exception(timeout=PATIENCE_S) is not None
    assert job.ref is not None
    assert executor.status([job.ref])[job.ref] is JobStatus.TIMED_OUT


_CANCELS_AT_ONCE = """
import json
import ray
from huldra_ray import driver_path, remote
from huldra_ray.supervisor import Supervisor

def entry(name, after):
    call = json.dumps({"payload": "{}", "name": name, "time_limit_s": None}).encode()
    more = {"directory": "/nowhere", "options": {}, "retries": 0}
    return {"name": name, "call": call, "after": after, **more}

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
supervisor = Supervisor(remote.task_for)
cursor = 0
site = driver_path.describe()
for r in range(20):
    names = [f"{r}-{i}" for i in range(10)]
    supervisor.submit([entry(f"{r}", [])] + [entry(name, [f"{r}"]) for name in names], site)
    supervisor.cancel(names)
    while cursor < 11 * (r + 1):
        cursor = supervisor.news(cursor, 10)[0]
    print(*{status for status, _ in supervisor.status(names).values()})
for r in range(3):
    names = [f"free-{r}-{i}" for i in range(300)]
    supervisor.submit([entry(name, []) for name in names], site)
    supervisor.cancel(names)
    while cursor < 220 + 300 * (r + 1):
        cursor = supervisor.news(cursor, 10)[0]
    print({status for status, _ in supervisor.status(names).values()} <= {"cancelled", "failed"})
"""


_SHUTS_RAY_DOWN = """
import huldra, huldra_ray, ray
from huldra.testing.pipelines import Step

executor = huldra_ray.RayExecutor(cpus=2)
folder = huldra.get_huldra_root()
folder.mkdir()
waits = Step(name="waits", does="wait", notes=str(folder))
job = waits.load_or_create(executor=executor)
ray.shutdown()
print(type(job.exception(timeout=60)).__name__)
"""


_HEARS_OF_THE_SHUTDOWN_LATE = """
import json, threading
import ray
from huldra_ray import driver_path, remote
from huldra_ray.supervisor import Supervisor

call = json.dumps({"payload": "{}", "name": "a", "time_limit_s": None}).encode()
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
supervisor = Supervisor(remote.task_for)
entry = {"name": "a", "call": call, "after": [], "directory": "/", "options": {}, "retries": 5}
supervisor._listener = lambda node, ref: lambda future: None
supervisor.submit([entry], driver_path.describe())
node = supervisor._nodes["a"]
ray.shutdown()
supervisor._ends.put((node, node.ref, ray.exceptions.WorkerCrashedError()))
supervisor._ends.put(None)
[thread.join(30) for thread in threading.enumerate() if thread.name == "huldra-ray"]
print(ray.is_initialized())
"""


def test_what_a_shutdown_ends_does_not_start_ray_again(huldra_root: Path) -> None:
    """A node whose worker died with the runtime is not sent again: Ray would start for that."""
    ended = children.run(_HEARS_OF_THE_SHUTDOWN_LATE, huldra_root)
    assert (ended.returncode, ended.stdout.strip()) == (0, "False"), ended.stderr


def test_a_runtime_that_the_user_shuts_down_loses_its_jobs_and_no_more(huldra_root: Path) -> None:
    """After `ray.shutdown()` the driver lives, and its jobs say that they are lost."""
    ended = children.run(_SHUTS_RAY_DOWN, huldra_root)
    assert (ended.returncode, ended.stdout.strip()) == (0, "HuldraJobLost"), ended.stderr


def test_cancel_of_what_was_just_sent_leaves_the_driver_alive(huldra_root: Path) -> None:
    """A cancel that overtakes its task inside of Ray aborts nothing, and the engine goes on."""
    ended = children.run(_CANCELS_AT_ONCE, huldra_root)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["cancelled"] * 20 + ["True"] * 3


def test_the_module_and_the_context_name_the_runtime(executor: RayExecutor) -> None:
    """`executor=ray` and `executor=ray.init()` mean the runtime of this process."""
    import ray

    assert huldra_ray.from_object(ray) is executor
    assert huldra_ray.from_name("ray").capabilities.survives_driver is False
    assert huldra_ray.from_object(object()) is None


def test_a_node_comes_back_to_the_workers_folder(executor: RayExecutor, huldra_root: Path) -> None:
    """Ray's worker processes run others' tasks too: a node leaves them where they were."""
    import ray

    where = ray.remote(lambda: __import__("os").getcwd())
    before = set(ray.get([where.remote() for _ in range(6)]))
    sweep = huldra.load_or_create([Step(name=f"n{i}") for i in range(6)], executor=executor)
    sweep.results(timeout=PATIENCE_S)
    assert set(ray.get([where.remote() for _ in range(6)])) <= before


@pytest.mark.dask
def test_one_sweep_on_three_engines_at_one_instant(
    executor: RayExecutor, huldra_root: Path, tmp_path: Path
) -> None:
    """Ray, Dask and the local pool are asked for the same sweep: each artifact is made once."""
    from huldra_dask import DaskExecutor
    from huldra_local import LocalExecutor

    notes = tmp_path / "notes"
    notes.mkdir()
    huldra.HULDRA_CONFIG.update(poll_interval=0.2)
    data = [Step(name=f"data{i}", notes=str(notes)) for i in range(3)]
    models = [Step(name=f"model{i}", needs=(data[i % 3],), notes=str(notes)) for i in range(24)]
    dask, local = DaskExecutor(workers=2), LocalExecutor(2)
    try:
        sweeps = [huldra.load_or_create(models, executor=e) for e in (executor, dask, local)]
        found = [sweep.results(timeout=PATIENCE_S) for sweep in sweeps]
    finally:
        dask.close()
        local.close()
    assert [len(results) for results in found] == [24, 24, 24]
    assert {count_notes(notes, step.name, "began") for step in (*data, *models)} == {1}


def test_asking_whose_object_it_is_imports_nothing() -> None:
    """Neither the package nor `from_object` imports Ray."""
    program = (
        "import sys, huldra_ray\n"
        "assert huldra_ray.from_object(object()) is None\n"
        "assert 'ray' not in sys.modules\n"
    )
    environ = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=environ)


def test_a_version_that_is_too_old_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names what is there and what to install."""
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "2.9.0")
    with pytest.raises(ImportError, match=r"2\.9\.0 is too old: pip install 'ray>="):
        huldra_ray.from_name("ray")


def test_a_missing_library_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Ray the message names what to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match="pip install 'ray>="):
        huldra_ray.from_name("ray")


def test_a_start_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Ray raises becomes an error of ours, with its root."""
    from huldra_ray import runtime

    def init(**_: object) -> None:
        raise ConnectionError("failed to connect") from RuntimeError("InvalidAuthToken")

    fake = SimpleNamespace(is_initialized=lambda: False, init=init)
    monkeypatch.setattr(runtime, "require", lambda: fake)
    with pytest.raises(HuldraExecutorError, match="InvalidAuthToken"):
        runtime.reach("127.0.0.1:1")


def test_a_runtime_that_the_network_reaches_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ray that does not keep to the loopback is shut down, and the error says where it was."""
    from huldra_ray import runtime

    ended: list[bool] = []
    fake = SimpleNamespace(
        is_initialized=lambda: False,
        init=lambda **_: None,
        nodes=lambda: [{"NodeManagerAddress": "192.0.2.7"}],
        shutdown=lambda: ended.append(True),
    )
    monkeypatch.setattr(runtime, "require", lambda: fake)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(HuldraExecutorError, match=r"127\.0\.0\.1, found it on 192\.0\.2\.7"):
        runtime.reach(None)
    assert ended


def test_the_example_runs(
    executor: RayExecutor, huldra_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sweep by name, on the runtime that is there."""
    from examples import ray_sweep

    ray_sweep.main()
    assert "6 models, none failed: True" in capsys.readouterr().out
