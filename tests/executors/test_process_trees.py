"""What a node starts ends with it, and what it changes of its process is gone for the next one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.store.process import start_time
from tests.executors.trees import Changes, Tree
from tests.support.children import until

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux only")


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Iterator[Path]:
    before = huldra.HULDRA_CONFIG.snapshot()
    huldra.set_huldra_root(tmp_path / "store")
    huldra.HULDRA_CONFIG.update(preempt_max=0, poll_interval=0.2)
    (tmp_path / "notes").mkdir()
    yield tmp_path
    huldra.HULDRA_CONFIG.apply(before)


RAY = [pytest.mark.ray, pytest.mark.xdist_group("ray"), pytest.mark.timeout(300)]


OWN_WORKERS = ["local", pytest.param("dask", marks=pytest.mark.dask)]
ENGINES = [*OWN_WORKERS, pytest.param("ray", marks=RAY)]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    executor = start(request.param)
    yield executor
    executor.close()


def start(engine: str) -> Any:
    """An executor of one worker."""
    if engine == "ray":
        from huldra_ray import RayExecutor

        return RayExecutor(cpus=1)
    if engine == "dask":
        from huldra_dask import DaskExecutor

        return DaskExecutor(workers=1)
    from huldra_local import LocalExecutor

    return LocalExecutor(workers=1)


def processes(notes: Path) -> list[int]:
    """Those of the trees that still run."""
    return [int(path.stem) for path in notes.glob("*.pid") if start_time(int(path.stem))]


def cancel(job: Any, worker: int) -> None:
    assert job.cancel()


def kill_worker(job: Any, worker: int) -> None:
    os.kill(worker, signal.SIGKILL)


def test_no_process_outlives_a_node_that_is_cancelled(engine: Any, store: Path) -> None:
    """Neither what has a session of its own nor what ignores SIGTERM, at any depth."""
    _end_a_tree(engine, store, cancel)


@pytest.mark.parametrize("engine", OWN_WORKERS, indirect=True)
def test_no_process_outlives_a_worker_that_is_killed(engine: Any, store: Path) -> None:
    """Where huldra starts the worker, what starts that sees to it; Ray does not."""
    _end_a_tree(engine, store, kill_worker)


def _end_a_tree(engine: Any, store: Path, end: Callable[[Any, int], None]) -> None:
    notes = store / "notes"
    job = Tree(name="t", notes=str(notes), then="wait").load_or_create(executor=engine)
    until((notes / "t.worker").exists)
    assert len(processes(notes)) == 4
    end(job, int((notes / "t.worker").read_text()))
    job.wait(30)
    until(lambda: not processes(notes), timeout_s=15)


def test_no_process_outlives_a_node_that_ends_well(engine: Any, store: Path) -> None:
    """They are gone when the node is over; the next one gets another process."""
    notes = store / "notes"
    job = Tree(name="t", notes=str(notes)).load_or_create(executor=engine)
    assert job.result(timeout=60) == "x"
    until(lambda: not processes(notes), timeout_s=15)
    after = Changes(name="after", code="").load_or_create(executor=engine).result(timeout=60)
    assert after["pid"] != int((notes / "t.worker").read_text())


@pytest.fixture
def local_cluster(store: Path) -> Any:
    """Submitit's own cluster of processes on this machine."""
    submitit = pytest.importorskip("submitit")
    executor = submitit.LocalExecutor(folder=store / "logs")
    executor.update_parameters(timeout_min=5)
    return executor


@pytest.mark.parametrize("then", ["wait", "end"])
def test_no_process_outlives_a_node_of_submitits_local_cluster(
    local_cluster: Any, store: Path, then: str
) -> None:
    """Neither one that is cancelled nor one that ends well."""
    notes = store / "notes"
    job = Tree(name="t", notes=str(notes), then=then).load_or_create(executor=local_cluster)
    until((notes / "t.worker").exists)
    if then == "wait":
        assert job.cancel()
    assert job.wait(60)
    until(lambda: not processes(notes), "the end of all processes", 15)


# What one node does, and what the next one finds if nothing of it is left.
LEFT = {
    "environment": (
        "import os; os.environ['LEFT'] = '1'",
        "import os; found = 'LEFT' in os.environ",
    ),
    "umask": ("import os; os.umask(0o777)", "import os; found = os.umask(0o22) == 0o777"),
    "timer": (
        "import signal; signal.setitimer(signal.ITIMER_REAL, 0.2)",
        "import time; time.sleep(0.5); found = False",
    ),
    "handler": (
        "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "import signal; found = signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN",
    ),
    "start method": (
        "import multiprocessing as m; m.set_start_method('spawn')",
        "import multiprocessing as m; found = m.get_start_method(allow_none=True) is not None",
    ),
    "streams": (
        "import sys, io; sys.stdout = sys.stderr = io.StringIO()",
        "import sys, io; found = isinstance(sys.stdout, io.StringIO)",
    ),
    "closed stream": ("import sys; sys.stdout.close()", "import sys; found = sys.stdout.closed"),
    "descriptor": (
        "import os; os.dup2(os.open('/dev/null', 1), 1)",
        "import os, stat; found = not stat.S_ISREG(os.fstat(1).st_mode)",
    ),
    "decimal": (
        "import decimal; decimal.getcontext().prec = 3",
        "import decimal; found = decimal.getcontext().prec == 3",
    ),
    "recursion limit": (
        "import sys; sys.setrecursionlimit(777)",
        "import sys; found = sys.getrecursionlimit() == 777",
    ),
    "import path": (
        "import sys; sys.path.insert(0, '/left')",
        "import sys; found = '/left' in sys.path",
    ),
    "folder": ("import os; os.chdir('/')", "import os; found = os.getcwd() == '/'"),
    "warnings": (
        "import warnings; warnings.simplefilter('error')",
        "import warnings; found = warnings.filters[0][0] == 'error'",
    ),
    "logging": (
        "import logging; logging.disable(60)",
        "import logging; found = logging.root.manager.disable == 60",
    ),
    "signal mask": (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])",
        "import signal; found = signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, [])",
    ),
}


def make(engine: Any, name: str, code: str) -> dict[str, Any]:
    found: dict[str, Any]
    found = Changes(name=name, code=code).load_or_create(executor=engine).result(timeout=60)
    return found


def test_a_warm_worker_hands_on_a_clean_state(engine: Any) -> None:
    """The next node finds nothing of it, in the same process."""
    make(engine, "warm", "import decimal, logging, multiprocessing, signal, time, warnings")
    for what, (leave, look) in LEFT.items():
        first = make(engine, f"leaves {what}", leave)
        second = make(engine, f"looks for {what}", look)
        assert second["found"] is False, what
        assert second["pid"] == first["pid"], what


@pytest.mark.parametrize("engine", OWN_WORKERS, indirect=True)
def test_what_cannot_be_put_back_gives_the_next_node_another_process(engine: Any) -> None:
    """A stream of the process itself that is gone."""
    first = make(engine, "leaves", "import sys; sys.__stdout__.close()")
    assert make(engine, "next", "")["pid"] != first["pid"]


def test_unseeded_numbers_differ_from_node_to_node(engine: Any) -> None:
    """Whatever an earlier node of that process seeded."""
    pytest.importorskip("numpy")
    draw = "import random, numpy; found = [random.random(), numpy.random.random()]"
    seeded = "import random, numpy; random.seed(0); numpy.random.seed(0)"
    make(engine, "a", seeded)
    first = make(engine, "b", draw)["found"]
    make(engine, "c", seeded)
    second = make(engine, "d", draw)["found"]
    assert first[0] != second[0]
    assert first[1] != second[1]
