"""Dask clusters whose workers are jobs of a real Slurm, started by dask-jobqueue.

The scheduler is in this process, everything listens on the loopback alone, and Slurm's nodes are
this machine. There is a Slurm for these tests: without accounting it is up in a second.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.errors import HuldraRefused
from huldra.testing.pipelines import Step, count_notes
from tests.executors.slurm import cluster as slurms
from tests.support import children, parts
from tests.support.pages import python_blocks

pytestmark = [
    pytest.mark.dask,
    pytest.mark.slurm,
    pytest.mark.faults,
    pytest.mark.xdist_group("slurm"),
    pytest.mark.timeout(180),
]
PATIENCE_S = 90.0
ON_LOOPBACK = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
PYTHONPATH = children.environment("")["PYTHONPATH"]
# What the page's block says of a site's network, and what it has to say on this machine.
HERE = {
    'interface="ib0"': 'interface="lo"',
    '"--lifetime"': '"--dashboard-address=127.0.0.1:0", "--lifetime"',
}

MODELS = """
import json
import os

import huldra

class TrainModel(huldra.Huldra[list[str]]):
    lr: float = 1e-3

    def _resources(self) -> huldra.Resources:
        return huldra.Resources(gpus=1, memory_gb=1)

    def _create(self) -> list[str]:
        told = [os.environ["SLURM_JOB_PARTITION"], os.environ["CUDA_VISIBLE_DEVICES"]]
        (self.huldra_dir / "told.json").write_text(json.dumps(told))
        return told

    def _load(self) -> list[str]:
        return json.loads((self.huldra_dir / "told.json").read_text())

class MyExperiments(huldra.HuldraList[TrainModel]):
    slow = TrainModel(lr=1e-4)
    fast = TrainModel(lr=1e-2)
"""


@pytest.fixture(scope="module")
def slurm() -> Iterator[slurms.Cluster]:
    """A Slurm for the tests here."""
    if importlib.util.find_spec("dask_jobqueue") is None:
        parts.give_up("dask", "no module 'dask_jobqueue' in this environment")
    if reason := slurms.why_not():
        parts.give_up("slurm", reason)
    with slurms.Cluster(slurms.Options(accounting=False)) as cluster:
        yield cluster


def _import_jobqueue() -> None:
    """Import it, and keep the handler of Ctrl-C that it would put its own in the place of."""
    before = signal.getsignal(signal.SIGINT)
    importlib.import_module("dask_jobqueue")
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def on_slurm(
    slurm: slurms.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[slurms.Cluster]:
    """That Slurm, for one test: its commands reach it, and no jobs are left behind."""
    import dask.config

    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    # Where dask-jobqueue, when it is imported, leaves a template of its settings.
    monkeypatch.setattr(dask.config, "PATH", str(tmp_path))
    _import_jobqueue()
    yield slurm
    slurm.cancel_all()


@pytest.fixture
def start(on_slurm: slurms.Cluster, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A function that starts a cluster object with so many jobs; all are closed afterwards."""
    with contextlib.ExitStack() as started:

        def start(jobs: int, *worker_args: str, **options: Any) -> Any:
            from dask_jobqueue import SLURMCluster

            settings = {**shape(tmp_path, *worker_args), **options}
            cluster = started.enter_context(SLURMCluster(**settings))
            cluster.scale(jobs=jobs)
            return cluster

        yield start


@pytest.fixture
def notes(huldra_root: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder for notes, beside a store of the test's own."""
    folder = tmp_path / "notes"
    folder.mkdir()
    before = huldra.HULDRA_CONFIG.snapshot()
    huldra.HULDRA_CONFIG.update(poll_interval=0.2)
    yield folder
    huldra.HULDRA_CONFIG.apply(before)


def shape(folder: Path, *worker_args: str) -> dict[str, Any]:
    """What a cluster object is made with: jobs of one slot, and all of their files in `folder`."""
    loopback = [f"--{name.replace('_', '-')}={value}" for name, value in ON_LOOPBACK.items()]
    return {
        "cores": 1,
        "memory": "1GB",
        "scheduler_options": ON_LOOPBACK,
        "worker_extra_args": [*loopback, *worker_args],
        "job_script_prologue": [f"export PYTHONPATH={PYTHONPATH}"],
        "log_directory": str(folder),
        "local_directory": str(folder / "dask"),
    }


until = functools.partial(children.until, timeout_s=PATIENCE_S)


def jobs_of(slurm: slurms.Cluster) -> set[str]:
    """The ids of the jobs that run."""
    return set((slurm.ask("squeue", "-h", "-t", "running", "-o", "%i") or "").split())


def job_of(pid: int) -> str:
    """The Slurm job that a process of this machine belongs to."""
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.partition("=")[::2] for entry in entries)["SLURM_JOB_ID"]


def await_runs(notes: Path, name: str, count: int = 1) -> set[int]:
    """Wait until a step has begun so often; the processes that it began in."""
    until(lambda: count_notes(notes, name, "began") >= count, f"run {count} of {name}")
    return {int(path.read_text()) for path in notes.glob(f"{name}.began.*")}


def began(notes: Path, *names: str) -> list[int]:
    """How often each of these steps began."""
    return [count_notes(notes, name, "began") for name in names]


def test_a_graph_runs_inside_slurms_jobs(
    start: Callable[..., Any], slurm: slurms.Cluster, notes: Path
) -> None:
    """A graph that is sent before its workers are there runs in their jobs, each node once."""
    first = Step(name="first", notes=str(notes))
    sides = tuple(
        Step(name=name, needs=(first,), does="wait", notes=str(notes)) for name in ("left", "right")
    )
    last = Step(name="last", needs=sides, notes=str(notes))
    job = last.load_or_create(executor=start(2))
    pids = await_runs(notes, "left") | await_runs(notes, "right")
    assert {job_of(pid) for pid in pids} == jobs_of(slurm)
    for side in sides:
        (notes / f"{side.name}.open").touch()
    result = job.result(timeout=PATIENCE_S)
    assert result["inputs"] == {"left": "left", "right": "right"}
    assert job_of(result["pid"]) in jobs_of(slurm)
    assert began(notes, "first", "left", "right", "last") == [1, 1, 1, 1]


def test_a_job_that_ends_in_the_middle_costs_its_node_one_retry(
    start: Callable[..., Any], slurm: slurms.Cluster, notes: Path
) -> None:
    """Slurm ends the job of a node in work: the node runs again in another, nothing else does."""
    cluster = start(2)
    cluster.wait_for_workers(2, timeout=PATIENCE_S)
    first = Step(name="first", notes=str(notes))
    held = Step(name="held", does="wait", needs=(first,), notes=str(notes))
    last = Step(name="last", needs=(held,), notes=str(notes))
    job = last.load_or_create(executor=cluster)
    [pid] = await_runs(notes, "held")
    ended = job_of(pid)
    slurm.ask("scancel", ended)
    [other] = await_runs(notes, "held", 2) - {pid}
    assert job_of(other) != ended
    (notes / "held.open").touch()
    assert job.result(timeout=PATIENCE_S)["inputs"] == {"held": "held"}
    assert began(notes, "first", "held", "last") == [1, 2, 1]


def test_a_new_job_goes_on_where_the_only_one_ended(
    start: Callable[..., Any], slurm: slurms.Cluster, notes: Path
) -> None:
    """With no worker left a node waits, and runs in the job that scaling brings."""
    cluster = start(1)
    held = Step(name="held", does="wait", notes=str(notes))
    job = held.load_or_create(executor=cluster)
    [pid] = await_runs(notes, "held")
    slurm.ask("scancel", job_of(pid))
    until(lambda: not cluster.scheduler_info["workers"], "the worker is gone")
    cluster.scale(jobs=2)  # the one that ended counts until Dask has given it up
    await_runs(notes, "held", 2)
    (notes / "held.open").touch()
    assert job.result(timeout=PATIENCE_S)["name"] == "held"
    assert began(notes, "held") == [2]


@pytest.mark.slow
def test_a_worker_at_the_end_of_its_lifetime_is_no_death(
    start: Callable[..., Any], slurm: slurms.Cluster, notes: Path
) -> None:
    """With `--lifetime` a node runs again even where Dask allows for no death of a worker."""
    import dask.config
    import distributed  # noqa: F401  brings its settings along: one of them is changed for a moment

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        cluster = start(1, "--lifetime", "5s")
    held = Step(name="held", does="wait", notes=str(notes))
    job = held.load_or_create(executor=cluster)
    await_runs(notes, "held")
    until(lambda: not jobs_of(slurm), "the worker's job ends by itself")
    (notes / "held.open").touch()
    cluster.scale(jobs=2)
    assert job.result(timeout=PATIENCE_S)["name"] == "held"
    assert began(notes, "held") == [2]


def test_a_gpu_that_slurm_gives_and_the_worker_declares_reaches_the_node(
    start: Callable[..., Any], notes: Path
) -> None:
    """A node that asks for a GPU sees the device of the job, through a client of the cluster."""
    import distributed

    cluster = start(1, "--resources", "GPU=1", job_extra_directives=["--gres=gpu:1"])
    with distributed.Client(cluster, set_as_default=False) as client:
        step = Step(name="a", does="tell gpus", claims={"gpus": 1}, notes=str(notes))
        assert step.load_or_create(executor=client).result(timeout=PATIENCE_S)["report"] == "0"


def test_a_gpu_that_no_worker_declares_is_refused(start: Callable[..., Any], notes: Path) -> None:
    """Even if Slurm gave the job one: the scheduler is sent nothing, and the error says how."""
    cluster = start(1, job_extra_directives=["--gres=gpu:1"])
    cluster.wait_for_workers(1, timeout=PATIENCE_S)
    step = Step(name="a", claims={"gpus": 1}, notes=str(notes))
    with pytest.raises(HuldraRefused, match='start workers with --resources "GPU=1"'):
        step.load_or_create(executor=cluster)
    assert not cluster.scheduler.tasks
    assert not step.exists()


def test_a_killed_driver_takes_its_jobs_along(
    on_slurm: slurms.Cluster, notes: Path, huldra_root: Path, tmp_path: Path
) -> None:
    """Its scheduler is gone: what ran is recorded as preempted, Slurm's jobs end, others go on."""
    held = Step(name="held", does="wait", notes=str(notes))
    code = f"""
        from dask_jobqueue import SLURMCluster
        from huldra.testing.pipelines import Step

        cluster = SLURMCluster(**{shape(tmp_path)!r})
        cluster.scale(jobs=1)
        {held.to_python()}.load_or_create(executor=cluster).result()
    """
    driver = children.start(code, huldra_root, DASK_CONFIG=str(tmp_path))
    try:
        await_runs(notes, "held")
    finally:
        driver.kill()
        driver.communicate()
    until(lambda: not jobs_of(on_slurm), "the jobs of the driver end")
    state = json.loads((held.huldra_dir / ".huldra" / "state.json").read_text())
    assert state["attempt"]["status"] == "preempted"
    (notes / "held.open").touch()
    assert held.load_or_create()["name"] == "held"
    assert began(notes, "held") == [2]


@pytest.mark.usefixtures("on_slurm")
def test_the_pages_block_runs(tmp_path: Path) -> None:
    """As a script of the user's, with the loopback as its network."""
    [block] = python_blocks("docs/dask.md", "## On Slurm, through dask-jobqueue")
    for shown, here in HERE.items():
        assert shown in block
        block = block.replace(shown, here)
    (tmp_path / "my_project").mkdir()
    (tmp_path / "my_project" / "experiments.py").write_text(MODELS)
    (tmp_path / "script.py").write_text(block)
    environ = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), PYTHONPATH]),
        "DASK_CONFIG": str(tmp_path),
        "DASK_JOBQUEUE__SLURM__SCHEDULER_OPTIONS": repr(ON_LOOPBACK),
        "DASK_JOBQUEUE__SLURM__LOG_DIRECTORY": str(tmp_path),
    }
    printed = children.run_script(tmp_path / "script.py", environ, PATIENCE_S)
    assert printed == "{'slow': ['gpu', '0'], 'fast': ['gpu', '0']}\n"
