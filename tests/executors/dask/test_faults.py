"""Dask clusters that lose workers, or their scheduler, while jobs run."""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.engines import sent_jobs
from huldra.errors import HuldraExecutorError, HuldraJobLost
from huldra.testing.pipelines import Step, count_notes
from huldra_dask import DaskExecutor
from huldra_dask import executor as executor_module
from tests.executors.dask import clusters
from tests.support import children

pytestmark = [pytest.mark.dask, pytest.mark.faults, pytest.mark.timeout(180)]
PATIENCE_S = 90.0


@pytest.fixture
def notes(huldra_root: Path, tmp_path: Path) -> Path:
    """A folder for notes, beside a store of the test's own."""
    folder = tmp_path / "notes"
    folder.mkdir()
    huldra.HULDRA_CONFIG.update(poll_interval=0.2)
    return folder


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[clusters.Outside]:
    """A cluster for one test: it will not be whole afterwards."""
    folder = tmp_path / "dask"
    folder.mkdir()
    with clusters.outside(folder) as cluster:
        yield cluster


@pytest.fixture
def executor(cluster: clusters.Outside) -> Iterator[DaskExecutor]:
    """The driver's executor."""
    executor = DaskExecutor(cluster.address)
    yield executor
    executor.close()


until = functools.partial(children.until, timeout_s=PATIENCE_S)


def pids_of(notes: Path, name: str) -> list[int]:
    """The processes that a step ran in."""
    return [int(path.read_text()) for path in notes.glob(f"{name}.began.*")]


def parent_of(pid: int) -> int:
    """A process's parent: of a node's process, the Dask worker."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_worker_killed_in_the_middle_costs_its_node_one_retry(
    executor: DaskExecutor, notes: Path
) -> None:
    """A Dask worker dies with a node in work: the node runs again, what was made stays made."""
    first = Step(name="first", notes=str(notes))
    held = Step(name="held", does="wait", needs=(first,), notes=str(notes))
    last = Step(name="last", needs=(held,), notes=str(notes))
    job = last.load_or_create(executor=executor)
    until(lambda: pids_of(notes, "held"), "held began")
    os.kill(parent_of(pids_of(notes, "held")[0]), signal.SIGKILL)
    until(lambda: len(pids_of(notes, "held")) == 2, "held began again")
    (notes / "held.open").touch()
    assert job.result(timeout=PATIENCE_S)["inputs"] == {"held": "held"}
    assert [count_notes(notes, n, "began") for n in ("first", "held", "last")] == [1, 2, 1]


def test_a_worker_that_is_retired_stops_its_node_which_runs_elsewhere(notes: Path) -> None:
    """A worker is asked to leave with a node in work: its child is stopped, and another goes on."""
    import distributed

    quiet: dict[str, Any] = {"dashboard_address": "127.0.0.1:0", "threads_per_worker": 1}
    with (
        distributed.LocalCluster(n_workers=2, processes=False, **quiet) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        held = Step(name="held", does="wait", notes=str(notes))
        job = held.load_or_create(executor=client)
        until(lambda: pids_of(notes, "held"), "held began")
        (first,) = pids_of(notes, "held")
        (worker,) = [address for address, keys in client.processing().items() if keys]
        client.retire_workers([worker], close_workers=True)
        until(lambda: len(pids_of(notes, "held")) == 2, "held began again")
        (notes / "held.open").touch()
        assert job.result(timeout=PATIENCE_S)["pid"] != first
    until(lambda: not Path(f"/proc/{first}").exists(), "the first process is gone, and waited for")


@pytest.mark.iproute2
def test_a_broken_connection_to_the_scheduler_loses_no_job(
    cluster: clusters.Outside, executor: DaskExecutor, notes: Path
) -> None:
    """A driver whose connection is reset waits on, hears of the end, and sends the next."""
    held = Step(name="held", does="wait", notes=str(notes))
    job = held.load_or_create(executor=executor)
    until(lambda: pids_of(notes, "held"), "held began")
    _cut_off(executor)
    assert not job.wait(timeout=2)
    (notes / "held.open").touch()
    assert job.result(timeout=PATIENCE_S)["name"] == "held"
    following = Step(name="next", needs=(held,), notes=str(notes)).load_or_create(executor=executor)
    assert following.result(timeout=PATIENCE_S)["name"] == "next"
    assert count_notes(notes, "held", "began") == 1


def _cut_off(executor: DaskExecutor) -> None:
    """Reset the connection that the scheduler tells its client of ends by."""
    port = executor.client.scheduler_comm.comm.local_address.rpartition(":")[2]
    command = ["ss", "-K", "-tn", f"sport = :{port}"]
    told = subprocess.run(command, capture_output=True, text=True)
    assert "ESTAB" in told.stdout, told


def test_a_dead_scheduler_ends_every_wait_and_the_next_cluster_goes_on(
    cluster: clusters.Outside, executor: DaskExecutor, notes: Path, tmp_path: Path
) -> None:
    """When the scheduler dies the jobs are lost at once; what was made is not made again."""
    first = Step(name="first", notes=str(notes))
    held = Step(name="held", does="wait", needs=(first,), notes=str(notes))
    last = Step(name="last", needs=(held,), notes=str(notes))
    job = last.load_or_create(executor=executor)
    until(lambda: pids_of(notes, "held"), "held began")
    os.killpg(cluster.scheduler.pid, signal.SIGKILL)
    with pytest.raises((HuldraJobLost, HuldraExecutorError)):
        job.result(timeout=PATIENCE_S)
    attempt = huldra.StateManager.history(last.huldra_dir)[-1]
    assert not attempt.is_queued, "others, who cannot ask this scheduler, would wait for it"
    cluster.close()
    (notes / "held.open").touch()
    other = DaskExecutor(workers=2)
    again = last.load_or_create(executor=other)
    assert again.result(timeout=PATIENCE_S)["name"] == "last"
    other.close()
    assert count_notes(notes, "first", "began") == 1


def test_a_scheduler_whose_port_somebody_else_takes_is_given_up(
    cluster: clusters.Outside,
    executor: DaskExecutor,
    notes: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Something that listens there by then, and says nothing, keeps no job waiting for ever."""
    monkeypatch.setattr(executor_module, "_RECONNECT_S", 3.0)
    port = int(cluster.address.rpartition(":")[2])
    held = Step(name="held", does="wait", notes=str(notes))
    jobs = [held.load_or_create(executor=executor)]
    jobs.append(
        Step(name="last", needs=(held,), notes=str(notes)).load_or_create(executor=executor)
    )
    until(lambda: pids_of(notes, "held"), "held began")
    os.killpg(cluster.scheduler.pid, signal.SIGKILL)
    cluster.scheduler.wait()
    with socket.create_server(("127.0.0.1", port)):
        for job in jobs:
            with pytest.raises((HuldraJobLost, HuldraExecutorError)):
                job.result(timeout=PATIENCE_S)


def test_a_cluster_without_workers_is_noticed_and_served_by_the_next_one(
    cluster: clusters.Outside,
    executor: DaskExecutor,
    notes: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Jobs that wait for workers say so, and run when one comes."""
    monkeypatch.setattr(sent_jobs, "_SILENCE_S", 0.2)
    for worker in cluster.workers:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    job = Step(name="patient", notes=str(notes)).load_or_create(executor=executor)

    def is_told() -> bool:
        job.wait(timeout=0.5)
        return "there are no workers" in caplog.text

    until(is_told, "the log says that there are no workers")
    cluster.add_worker()
    assert job.result(timeout=PATIENCE_S)["name"] == "patient"
