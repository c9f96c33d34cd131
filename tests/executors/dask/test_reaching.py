"""How an executor on Dask is had: by name, by the user's own objects, and when it is not there."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

import huldra
import huldra_dask
from huldra.engines.protocol import JobStatus
from huldra.errors import HuldraExecutorError
from huldra.store.job_ref import JobRef
from huldra.store.process import start_time, this_process
from huldra.testing.pipelines import Step

pytestmark = pytest.mark.dask


def test_a_users_client_is_an_executor(huldra_root: Path) -> None:
    """A `Client` is taken as it is, used for all its calls by one executor, and left open."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        step = Step(name="a")
        assert step.load_or_create(executor=client).result(timeout=60)["name"] == "a"
        assert huldra_dask.from_object(client) is huldra_dask.from_object(client)
        assert client.status == "running"
        by_cluster = huldra_dask.from_object(cluster)
        assert by_cluster is not None
        assert by_cluster.capabilities.survives_driver is False
        by_cluster.close()


def test_a_client_by_address_knows_a_scheduler_of_its_own_process() -> None:
    """Jobs end with the process that their scheduler lives in, however that is reached."""
    import distributed

    with distributed.LocalCluster(
        n_workers=0, processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0"
    ) as cluster:
        executor = huldra_dask.DaskExecutor(cluster.scheduler_address)
        assert executor.capabilities.survives_driver is False
        executor.close()


def test_requests_that_dask_cannot_count_yet_are_said(
    huldra_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the first worker is there nobody knows what workers declare."""
    import distributed

    with distributed.LocalCluster(
        n_workers=0, processes=False, dashboard_address="127.0.0.1:0", resources={"CPU": 1}
    ) as cluster:
        job = Step(name="a", claims={"cpus": 1}).load_or_create(executor=cluster)
        assert "no Dask worker has connected yet" in caplog.text
        cluster.scale(1)
        assert job.result(timeout=60)["name"] == "a"
        caplog.clear()
        again = Step(name="b", claims={"cpus": 1}).load_or_create(executor=cluster)
        assert again.result(timeout=60)["name"] == "b"
        assert "no Dask worker has connected yet" not in caplog.text


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    """`executor="dask"` works from a plain script, quietly, and ends with it."""
    script = tmp_path / "script.py"
    script.write_text(
        "import huldra\n"
        "from huldra.testing.pipelines import Step\n"
        f"huldra.set_huldra_root({str(tmp_path / 'store')!r})\n"
        "sweep = huldra.load_or_create([Step(name='a'), Step(name='b')], executor='dask:2')\n"
        "print(sorted(r['name'] for r in sweep.results(timeout=60).values()))\n"
    )
    environ = {"PYTHONPATH": ":".join(p for p in sys.path if p), "HULDRA_LOG_LEVEL": "ERROR"}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, env=environ)
    assert (done.returncode, done.stdout) == (0, "['a', 'b']\n"), done.stderr
    assert done.stderr == ""


def test_asking_whose_object_it_is_imports_nothing() -> None:
    """Neither the package nor `from_object` imports Dask."""
    program = (
        "import sys, huldra_dask\n"
        "assert huldra_dask.from_object(object()) is None\n"
        "assert not {'dask', 'distributed'} & set(sys.modules)\n"
    )
    environ = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=environ)


def test_a_version_that_is_too_old_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names what is there and what to install."""
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "2024.1.0")
    with pytest.raises(ImportError, match=r"2024\.1\.0 is too old: pip install 'distributed>="):
        huldra_dask.from_name("dask")


def test_a_missing_library_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Dask the message names what to install."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match="pip install 'distributed>="):
        huldra_dask.from_name("dask")


def test_a_name_that_means_nothing_is_refused() -> None:
    """The message shows the names that there are."""
    with pytest.raises(HuldraExecutorError, match="dask://host:port"):
        huldra_dask.from_name("dask:many")


def test_a_scheduler_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the address."""
    from huldra_dask import cluster

    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT_S", 0.5)
    with pytest.raises(HuldraExecutorError, match=r"tcp://127\.0\.0\.1:1"):
        cluster.connect_to("tcp://127.0.0.1:1", timeout_s=0.5)


@pytest.mark.parametrize(
    ("is_alive", "word"), [(False, JobStatus.LOST), (True, JobStatus.QUEUED)], ids=["dead", "alive"]
)
def test_a_job_of_another_drivers_own_cluster(is_alive: bool, word: JobStatus) -> None:
    """It is lost when that driver is dead; while that lives, nobody else can tell more."""
    started = str(start_time(os.getppid())) if is_alive else "1"
    driver = {**this_process().to_json(), "pid": os.getppid(), "started": started}
    ref = JobRef("dask", "x", {"scheduler": "inproc://x", "scheduler_id": "y", "driver": driver})
    assert huldra_dask.connect(ref).status([ref])[ref] is word


def test_two_roots_on_one_cluster_keep_apart(huldra_root: Path, tmp_path: Path) -> None:
    """The same config in two stores is two tasks."""
    executor = huldra_dask.from_name("dask:2")
    step = Step(name="rooted")
    first = step.load_or_create(executor=executor)
    first.result(timeout=60)
    huldra.set_huldra_root(tmp_path / "other")
    second = step.load_or_create(executor=executor)
    second.result(timeout=60)
    assert first.job_id != second.job_id
    executor.close()


def test_a_closed_client_is_refused() -> None:
    """The error says what to pass instead."""
    import distributed

    own = huldra_dask.from_name("dask:1")
    assert isinstance(own, huldra_dask.DaskExecutor)
    client = distributed.Client(own.client.cluster, set_as_default=False)
    client.close()
    with pytest.raises(HuldraExecutorError, match="create a new one"):
        huldra_dask.from_object(client)
    own.close()


def test_a_scheduler_with_tls_is_refused_without_keys() -> None:
    """Its keys are this process's to have; the error says where Dask looks for them."""
    with pytest.raises(HuldraExecutorError, match="ca-file"):
        huldra_dask.from_name("dask:tls://127.0.0.1:1")
