"""The adapter alone, on a cluster inside this process, with a stand-in for the worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from huldra.engines import sent_jobs
from huldra.engines.protocol import JobStatus, TaskGraph
from huldra.engines.resources import Resources
from huldra.store.job_ref import JobRef
from huldra_dask import children
from huldra_dask.executor import DaskExecutor
from tests.executors.dask import standin
from tests.support.children import until

pytestmark = pytest.mark.dask
WAIT_S = 30.0


@pytest.fixture(scope="module")
def executor() -> Iterator[DaskExecutor]:
    """One cluster of two slots for all tests here, whose children run the stand-in."""
    before = children.RUNNER
    children.RUNNER = f"{standin.__name__}:run"
    made = DaskExecutor(workers=2)
    yield made
    made.close()
    children.RUNNER = before


def submit(executor: DaskExecutor, graph: TaskGraph) -> dict[str, JobRef]:
    """Submit, and return the refs by key."""
    refs: dict[str, JobRef] = {}
    executor.submit(graph, refs.__setitem__)
    return refs


def ends(executor: DaskExecutor, refs: dict[str, JobRef]) -> dict[str, JobStatus]:
    """Wait for all and return their ends by key."""
    left = set(refs.values())
    deadline = time.monotonic() + WAIT_S
    while left and time.monotonic() < deadline:
        left -= executor.wait(left, 1.0)
    assert not left, f"still open after {WAIT_S} s: {left}"
    told = executor.status(refs.values())
    return {key: told[ref] for key, ref in refs.items()}


def test_nodes_run_after_what_they_need(executor: DaskExecutor, tmp_path: Path) -> None:
    """A diamond runs in its order, each node once."""
    graph = standin.graph(
        tmp_path,
        {"a": ("ok", []), "b": ("ok", ["a"]), "c": ("ok", ["a"]), "d": ("ok", ["b", "c"])},
    )
    assert set(ends(executor, submit(executor, graph)).values()) == {JobStatus.SUCCEEDED}
    order = [line.split()[0] for line in (tmp_path / "notes").read_text().splitlines()]
    assert (order[0], sorted(order[1:3]), order[3]) == ("a", ["b", "c"], "d")


def test_a_failed_node_takes_along_only_what_needs_it(
    executor: DaskExecutor, tmp_path: Path
) -> None:
    """What needs a failed node never runs; what does not goes on."""
    graph = standin.graph(tmp_path, {"a": ("fail", []), "b": ("ok", ["a"]), "c": ("ok", [])})
    refs = submit(executor, graph)
    assert ends(executor, refs) == {
        "a": JobStatus.FAILED,
        "b": JobStatus.UPSTREAM_FAILED,
        "c": JobStatus.SUCCEEDED,
    }
    assert "told to fail" in executor.failure_reason(refs["a"])
    assert standin.calls_of(tmp_path / "notes", "b") == 0


def test_sys_exit_is_a_failure_and_costs_no_worker(executor: DaskExecutor, tmp_path: Path) -> None:
    """Even `sys.exit(0)` ends the task as a failure, once."""
    refs = submit(executor, standin.graph(tmp_path, {"a": ("exit", [])}))
    assert ends(executor, refs) == {"a": JobStatus.FAILED}
    assert standin.calls_of(tmp_path / "notes", "a") == 1


def test_a_killed_child_costs_its_node_one_retry(executor: DaskExecutor, tmp_path: Path) -> None:
    """A node whose process dies runs again in another one; its neighbours notice nothing."""
    refs = submit(executor, standin.graph(tmp_path, {"a": ("die once", []), "b": ("ok", [])}))
    assert set(ends(executor, refs).values()) == {JobStatus.SUCCEEDED}
    assert standin.calls_of(tmp_path / "notes", "a") == 2
    assert standin.calls_of(tmp_path / "notes", "b") == 1


def test_a_node_that_always_dies_is_lost_in_the_end(executor: DaskExecutor, tmp_path: Path) -> None:
    """Retries are bounded, and what needs the node is told."""
    graph = standin.graph(tmp_path, {"a": ("die", []), "b": ("ok", ["a"])}, preempt_max=4)
    refs = submit(executor, graph)
    assert ends(executor, refs) == {"a": JobStatus.LOST, "b": JobStatus.UPSTREAM_FAILED}
    assert standin.calls_of(tmp_path / "notes", "a") == 2
    assert "perhaps for lack of memory" in executor.failure_reason(refs["a"])


def test_a_running_node_can_be_cancelled(executor: DaskExecutor, tmp_path: Path) -> None:
    """Cancel stops the child, and what needs the node never runs."""
    graph = standin.graph(tmp_path, {"a": ("sleep", []), "b": ("ok", ["a"])})
    refs = submit(executor, graph)
    until(lambda: standin.calls_of(tmp_path / "notes", "a"))
    assert not executor.status([refs["a"]])[refs["a"]].is_over
    executor.cancel([refs["a"]])
    assert ends(executor, refs) == {"a": JobStatus.CANCELLED, "b": JobStatus.UPSTREAM_FAILED}
    until(lambda: not children.CHILDREN.stop([refs["a"].job_id], "cancelled"))


def test_a_queued_node_can_be_cancelled(executor: DaskExecutor, tmp_path: Path) -> None:
    """A node that waits for another one is cancelled without having run."""
    refs = submit(executor, standin.graph(tmp_path, {"a": ("sleep", []), "b": ("ok", ["a"])}))
    executor.cancel([refs["b"]])
    assert executor.wait([refs["b"]], WAIT_S) == {refs["b"]}
    assert executor.status([refs["b"]])[refs["b"]] is JobStatus.CANCELLED
    assert not executor.status([refs["a"]])[refs["a"]].is_over
    executor.cancel([refs["a"]])
    ends(executor, refs)


def test_a_time_limit_ends_the_node(executor: DaskExecutor, tmp_path: Path) -> None:
    """`time_min` is enforced by us."""
    limit = Resources(time_min=1 / 60)
    refs = submit(executor, standin.graph(tmp_path, {"a": ("sleep", [], limit)}))
    assert ends(executor, refs) == {"a": JobStatus.TIMED_OUT}


def test_what_no_worker_gives_is_refused_before(executor: DaskExecutor, tmp_path: Path) -> None:
    """Requests beyond every worker, and unknown keys, are named by `check`."""
    nodes = {
        "fits": ("ok", [], Resources(cpus=2, memory_gb=0.001, extra={"ray_x": 1})),
        "cpus": ("ok", [], Resources(cpus=99)),
        "gpus": ("ok", [], Resources(gpus=1)),
        "typo": ("ok", [], Resources(extra={"dask_resource": 1})),
        "none": ("ok", [], Resources(extra={"partition": 1})),
    }
    refused = {r.key: r for r in executor.check(standin.graph(tmp_path, nodes))}
    assert set(refused) == {"cpus", "gpus", "typo", "none"}
    assert "CPU=99" in refused["cpus"].reason
    assert "--resources" in refused["gpus"].reason


def test_counters_keep_nodes_apart(executor: DaskExecutor, tmp_path: Path) -> None:
    """A node that takes all cpus runs alone."""
    all_of_it = Resources(cpus=2)
    graph = standin.graph(tmp_path, dict.fromkeys("ab", ("sleep", [], all_of_it)))
    refs = submit(executor, graph)
    notes = tmp_path / "notes"
    until(notes.exists)
    assert executor.wait(refs.values(), 0.3) == set()
    first = notes.read_text().split()[0]
    assert len(notes.read_text().splitlines()) == 1
    executor.cancel([refs.pop(first)])
    until(lambda: len(notes.read_text().splitlines()) == 2)
    executor.cancel(refs.values())


def test_what_nobody_can_run_is_given_up(
    executor: DaskExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that got past `check` (its worker left) is lost after a while, not waited for."""
    monkeypatch.setattr(sent_jobs, "_SILENCE_S", 0.1)
    monkeypatch.setattr(executor, "_stalled_after_s", 0.2)  # minutes in real life
    graph = standin.graph(tmp_path, {"a": ("ok", [], Resources(gpus=1))})
    refs = submit(executor, graph)
    assert ends(executor, refs) == {"a": JobStatus.LOST}
    assert "no worker gives" in executor.failure_reason(refs["a"])


def test_prints_of_a_node_are_in_the_logs(executor: DaskExecutor, tmp_path: Path) -> None:
    """`logs` names files that exist."""
    refs = submit(executor, standin.graph(tmp_path, {"a": ("print", [])}))
    ends(executor, refs)
    (path,) = executor.logs([refs["a"]])[refs["a"]]
    assert Path(path).read_text() == "a speaks\n"
