"""The pool of worker processes, with a stub in place of the core."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from huldra.engines.protocol import JobStatus
from huldra.engines.resources import Resources
from huldra.errors import HuldraSubmitError
from huldra.store.job_ref import JobRef
from huldra_local import LocalExecutor, connect
from tests.executors.local.stub import RUNNER, Orders, finish, is_alive, send
from tests.support.children import until

MakePool = Callable[..., LocalExecutor]


def test_a_dependent_starts_after_all_that_it_needs(pool: LocalExecutor, orders: Orders) -> None:
    """The diary shows the diamond in order."""
    graph = orders.graph(
        orders.task("top"),
        orders.task("left", after=["top"]),
        orders.task("right", after=["top"]),
        orders.task("bottom", after=["left", "right"]),
    )
    assert set(finish(pool, send(pool, graph)).values()) == {"succeeded"}
    order = [tuple(entry[:2]) for entry in orders.entries()]
    assert order[:2] == [("top", "began"), ("top", "ended")]
    assert order[-2:] == [("bottom", "began"), ("bottom", "ended")]


def test_workers_stay_warm(pool: LocalExecutor, orders: Orders) -> None:
    """Many tasks share as many processes as there are workers, at most."""
    finish(pool, send(pool, orders.graph(*[orders.task(f"t{n}") for n in range(50)])))
    assert len({entry[2] for entry in orders.entries()}) <= 2


def test_all_workers_work_at_once(make_pool: MakePool, orders: Orders) -> None:
    """A held task does not keep another from starting."""
    pool = make_pool(2)
    gate = str(orders.folder / "gate")
    refs = send(pool, orders.graph(*[orders.task(f"t{n}", "wait", until=gate) for n in range(3)]))
    until(lambda: sum(orders.count(f"t{n}", "began") for n in range(3)) == 2)
    assert pool.status([refs["t2"]])[refs["t2"]] is JobStatus.QUEUED
    Path(gate).touch()
    assert set(finish(pool, refs).values()) == {"succeeded"}


def test_a_failure_leaves_the_worker_alive_and_dependents_are_sent_to_be_told(
    make_pool: MakePool, orders: Orders
) -> None:
    """An exception is an answer; what depends on it still goes to `run_node`."""
    pool = make_pool(1)
    graph = orders.graph(
        orders.task("bad", "fail"),
        orders.task("exit", "exit"),
        orders.task("child", "fail", ["bad"]),
    )
    assert finish(pool, send(pool, graph)) == {
        "bad": "failed",
        "exit": "failed",
        "child": "upstream_failed",
    }
    assert len({entry[2] for entry in orders.entries()}) == 1


def test_a_killed_worker_costs_its_task_one_try(pool: LocalExecutor, orders: Orders) -> None:
    """The task is run again by a new worker."""
    flag = str(orders.folder / "flag")
    graph = orders.graph(orders.task("victim", "die_once", flag=flag), orders.task("other"))
    assert set(finish(pool, send(pool, graph)).values()) == {"succeeded"}
    assert orders.count("victim", "began") == 2
    assert orders.count("other", "began") == 1


def test_retries_are_bounded(pool: LocalExecutor, orders: Orders) -> None:
    """A task that always kills its worker is lost after `preempt_max` retries."""
    graph = orders.graph(orders.task("poison", "leave"), preempt_max=2)
    assert finish(pool, send(pool, graph)) == {"poison": "lost"}
    assert orders.count("poison", "began") == 3


def test_a_death_is_seen_although_a_grandchild_holds_the_pipe(
    pool: LocalExecutor, orders: Orders
) -> None:
    """What the task had forked neither hides its worker's death nor outlives it."""
    graph = orders.graph(orders.task("parent", "start_child"), preempt_max=0)
    assert finish(pool, send(pool, graph)) == {"parent": "lost"}
    (child,) = [e[1].partition(":")[2] for e in orders.entries() if e[1].startswith("child:")]
    until(lambda: not is_alive(int(child)))


def test_cancel_drops_what_is_queued(make_pool: MakePool, orders: Orders) -> None:
    """A cancelled task never starts."""
    pool = make_pool(1)
    gate = str(orders.folder / "gate")
    refs = send(pool, orders.graph(orders.task("held", "wait", until=gate), orders.task("queued")))
    until(lambda: orders.count("held", "began") == 1)
    pool.cancel([refs["queued"]])
    assert pool.wait([refs["queued"]], 10) == {refs["queued"]}
    Path(gate).touch()
    assert finish(pool, refs) == {"held": "succeeded", "queued": "cancelled"}
    assert orders.count("queued", "began") == 0


def test_cancel_ends_what_runs(make_pool: MakePool, orders: Orders) -> None:
    """SIGTERM first; the next task gets a fresh worker."""
    pool = make_pool(1)
    refs = send(pool, orders.graph(orders.task("long", "wait", until=str(orders.folder / "never"))))
    until(lambda: orders.count("long", "began") == 1)
    pool.cancel(refs.values())
    assert finish(pool, refs) == {"long": "cancelled"}
    assert finish(pool, send(pool, orders.graph(orders.task("next")))) == {"next": "succeeded"}


def test_cancel_kills_what_does_not_listen(make_pool: MakePool, orders: Orders) -> None:
    """After the grace comes SIGKILL."""
    pool = make_pool(1, grace_s=0.2)
    never = str(orders.folder / "never")
    refs = send(pool, orders.graph(orders.task("deaf", "ignore_sigterm", until=never)))
    until(lambda: orders.count("deaf", "deaf") == 1)
    pool.cancel(refs.values())
    assert finish(pool, refs) == {"deaf": "cancelled"}


def test_cancel_of_what_is_over_changes_nothing(pool: LocalExecutor, orders: Orders) -> None:
    """A job that ended stays as it ended."""
    refs = send(pool, orders.graph(orders.task("one")))
    finish(pool, refs)
    pool.cancel(refs.values())
    assert finish(pool, send(pool, orders.graph(orders.task("two")))) == {"two": "succeeded"}
    assert finish(pool, refs) == {"one": "succeeded"}


def test_time_min_is_enforced(make_pool: MakePool, orders: Orders) -> None:
    """A task over its time is ended and not tried again; the worker's time is not the task's."""
    pool = make_pool(1)
    limit = Resources(time_min=0.3 / 60)
    never = str(orders.folder / "never")
    refs = send(pool, orders.graph(orders.task("slow", "wait", until=never, resources=limit)))
    assert finish(pool, refs) == {"slow": "timed_out"}
    assert orders.count("slow", "began") == 1


def test_one_gpu_is_never_shared(make_pool: MakePool, orders: Orders) -> None:
    """Two running 1-GPU tasks see one GPU each, and not the same."""
    pool = make_pool(3, gpus=["4", "7"])
    gate = str(orders.folder / "gate")
    wanted = Resources(gpus=1)
    tasks = [orders.task(f"g{n}", "wait", until=gate, resources=wanted) for n in range(3)]
    refs = send(pool, orders.graph(*tasks, orders.task("plain")))
    until(lambda: orders.count("plain", "ended") == 1)
    until(lambda: sum(entry[1] == "began" for entry in orders.entries()) == 3)
    running = [entry[3] for entry in orders.entries() if entry[0] != "plain"]
    assert sorted(running) == ["4", "7"]
    Path(gate).touch()
    assert set(finish(pool, refs).values()) == {"succeeded"}


def test_more_than_the_pool_has_is_refused(make_pool: MakePool, orders: Orders) -> None:
    """Each impossible request is named."""
    pool = make_pool(2, cpus=4, gpus=1, memory_gb=8)
    wanted = Resources(cpus=5, gpus=2, memory_gb=9, extra={"local_x": 1, "gpu": 1, "ray_y": 1})
    refusals = pool.check(orders.graph(orders.task("greedy", resources=wanted), orders.task("ok")))
    assert {r.request for r in refusals} == {"cpus", "gpus", "memory_gb", "local_x", "gpu"}
    assert {r.key for r in refusals} == {"stub/greedy"}


def test_what_a_task_prints_goes_to_its_runs_folder(pool: LocalExecutor, orders: Orders) -> None:
    """The log that is named has what the task and its children printed, for each run again."""
    for _ in range(2):
        refs = send(pool, graph := orders.graph(orders.task("loud", "print")))
        assert finish(pool, refs) == {"loud": "succeeded"}
        (path,) = pool.logs(refs.values())[refs["loud"]]
        assert Path(path).parent == Path(graph.run_path).parent
        assert Path(path).read_text().count("from the node loud") == 1
        assert "from its child" in Path(path).read_text()


def test_a_task_finds_nothing_on_stdin(pool: LocalExecutor, orders: Orders) -> None:
    """Reading stdin takes no task away from the worker."""
    refs = send(pool, orders.graph(orders.task("reader", "read_stdin"), orders.task("next")))
    assert set(finish(pool, refs).values()) == {"succeeded"}


@pytest.mark.parametrize("variable", ["HULDRA_MAKING", "HULDRA_WORKER_BOOT"])
def test_what_a_worker_does_not_inherit(
    variable: str, pool: LocalExecutor, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the driver is in the middle of making is not what the worker makes."""
    monkeypatch.setenv(variable, "1 some/key")
    refs = send(pool, orders.graph(orders.task("one", "look_for_variable", variable=variable)))
    assert finish(pool, refs) == {"one": "succeeded"}


def test_a_later_graph_waits_for_a_job_of_an_earlier_one(
    make_pool: MakePool, orders: Orders
) -> None:
    """A job of this pool that is in flight is a dependency like any other."""
    pool = make_pool(2)
    gate = str(orders.folder / "gate")
    first = send(pool, orders.graph(orders.task("first", "wait", until=gate)))
    later = send(pool, orders.graph(orders.task("later", after_jobs=list(first.values()))))
    other = send(pool, orders.graph(orders.task("other")))
    assert finish(pool, other) == {"other": "succeeded"}
    assert orders.count("later", "began") == 0
    Path(gate).touch()
    assert finish(pool, first | later) == {"first": "succeeded", "later": "succeeded"}


def test_an_idle_worker_is_let_go(make_pool: MakePool, orders: Orders) -> None:
    """Memory and GPUs are not held for ever; the next task starts a new worker."""
    pool = make_pool(1, idle_s=0.1)
    finish(pool, send(pool, orders.graph(orders.task("one"))))
    (pid,) = {int(entry[2]) for entry in orders.entries()}
    until(lambda: not is_alive(pid))
    assert finish(pool, send(pool, orders.graph(orders.task("two")))) == {"two": "succeeded"}


def test_close_ends_what_runs_and_takes_nothing_more(make_pool: MakePool, orders: Orders) -> None:
    """Running and queued jobs end as preempted, workers are gone, submit says that it is closed."""
    pool = make_pool(1)
    never = str(orders.folder / "never")
    graph = orders.graph(orders.task("long", "wait", until=never), orders.task("queued"))
    refs = send(pool, graph)
    until(lambda: orders.count("long", "began") == 1)
    pool.close()
    assert finish(pool, refs) == {"long": "preempted", "queued": "preempted"}
    assert not any(is_alive(int(entry[2])) for entry in orders.entries())
    with pytest.raises(HuldraSubmitError, match="closed"):
        send(pool, orders.graph(orders.task("late")))
    pool.close()


def test_a_failing_on_submitted_takes_back_what_was_sent(
    make_pool: MakePool, orders: Orders
) -> None:
    """When the caller cannot record an id, nothing of that graph goes on."""
    pool = make_pool(1)
    never = str(orders.folder / "never")
    seen: list[JobRef] = []

    def refuse_second(key: str, ref: JobRef) -> None:
        seen.append(ref)
        if len(seen) == 2:
            raise OSError("disk full")

    graph = orders.graph(orders.task("one", "wait", until=never), orders.task("two"))
    with pytest.raises(OSError, match="disk full"):
        pool.submit(graph, refuse_second)
    assert finish(pool, {"one": seen[0]}) == {"one": "cancelled"}


def test_a_worker_that_cannot_start_is_told_with_its_log(
    orders: Orders, caplog: pytest.LogCaptureFixture
) -> None:
    """A runner that does not import loses the job, and the log says why."""
    pool = LocalExecutor(1, runner="no_such_module_anywhere:run")
    graph = orders.graph(orders.task("one"), preempt_max=0)
    assert finish(pool, send(pool, graph)) == {"one": "lost"}
    pool.close()
    assert "before it was up" in caplog.text
    log = Path(graph.run_path).parent / f"local-{socket.gethostname()}.log"
    assert "no_such_module_anywhere" in log.read_text()


def test_connect_finds_the_pool_of_this_process(pool: LocalExecutor, orders: Orders) -> None:
    """In its own process a ref leads back to its executor."""
    refs = send(pool, orders.graph(orders.task("one")))
    assert connect(JobRef.from_json(refs["one"].to_json())) is pool
    assert finish(pool, refs) == {"one": "succeeded"}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # the point of it
def test_a_forked_child_has_a_pool_of_its_own(pool: LocalExecutor, orders: Orders) -> None:
    """The child leaves the parent's workers alone, and sees the parent's jobs from outside."""
    gate = str(orders.folder / "gate")
    held = send(pool, orders.graph(orders.task("held", "wait", until=gate)))
    until(lambda: orders.count("held", "began") == 1)
    graph = orders.graph(orders.task("childs"))
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            outside = pool.status(held.values())[held["held"]]
            inside = finish(pool, send(pool, graph), 20)
            pool.close()
            status = 0 if (outside, inside) == ("queued", {"childs": "succeeded"}) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    Path(gate).touch()
    assert finish(pool, held) == {"held": "succeeded"}


DRIVER = f"""
import sys
from pathlib import Path
from huldra_local import LocalExecutor
from tests.executors.local.stub import Orders, send
from tests.support.children import until
folder, manner = Path(sys.argv[1]), sys.argv[2]
orders = Orders(folder)
pool = LocalExecutor(1, runner={RUNNER!r})
refs = send(pool, orders.graph(orders.task("long", "wait", until=str(folder / "never"))))
until(lambda: orders.count("long", "began") == 1)
print(list(refs.values())[0].to_json(), flush=True)
if manner == "stay":
    until(lambda: False, timeout_s=60)
"""


def start_driver(orders: Orders, manner: str) -> tuple[subprocess.Popen[str], JobRef]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(orders.folder), manner],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ref = JobRef.from_json(eval(process.stdout.readline()))
    process.stdout.close()
    return process, ref


def workers_of(orders: Orders) -> set[int]:
    return {int(entry[2]) for entry in orders.entries()}


def test_workers_end_with_a_driver_that_ends(orders: Orders) -> None:
    """At the driver's exit what runs is ended, soon."""
    process, ref = start_driver(orders, "leave")
    assert process.wait(30) == 0
    until(lambda: not any(map(is_alive, workers_of(orders))))
    assert connect(ref).status([ref])[ref] is JobStatus.LOST


def test_workers_end_with_a_driver_that_is_killed(orders: Orders) -> None:
    """Kill -9 of the driver ends its workers, and its jobs are lost for those who look."""
    process, ref = start_driver(orders, "stay")
    assert connect(ref).status([ref])[ref] is JobStatus.QUEUED
    assert connect(ref).wait([ref], 0.1) == set()
    assert workers_of(orders)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: not any(map(is_alive, workers_of(orders))))
    assert connect(ref).wait([ref], 10) == {ref}


def test_a_pool_that_was_let_go_is_found_by_its_jobs(orders: Orders) -> None:
    """Dropping the executor does not lose what it runs; leaving its `with` block closes it."""
    gate = str(orders.folder / "gate")
    graph = orders.graph(orders.task("held", "wait", until=gate))
    refs = send(LocalExecutor(1, runner=RUNNER), graph)
    gc.collect()
    found = connect(refs["held"])
    assert isinstance(found, LocalExecutor)
    Path(gate).touch()
    with found:
        assert finish(found, refs) == {"held": "succeeded"}
    with pytest.raises(HuldraSubmitError, match="closed"):
        send(found, orders.graph(orders.task("late")))


def test_a_limit_of_months_is_a_limit_like_others(make_pool: MakePool, orders: Orders) -> None:
    """No clock of the system's has to take it, and neither has a wait without end."""
    pool = make_pool(1, grace_s=float("inf"))
    months = Resources(time_min=30 * 24 * 60)
    ages = Resources(time_min=1e300)
    gate = str(orders.folder / "gate")
    graph = orders.graph(
        orders.task("held", "wait", until=gate, resources=months),
        orders.task("ages", resources=ages),
    )
    refs = send(pool, graph)
    until(lambda: orders.count("held", "began") == 1)
    assert pool.status([refs["held"]])[refs["held"]] is JobStatus.RUNNING
    Path(gate).touch()
    assert pool.wait([refs["ages"]], float("inf")) == {refs["ages"]}
    assert set(finish(pool, refs).values()) == {"succeeded"}
    pool.close()


FEW_DESCRIPTORS = """
import os, resource, sys
from pathlib import Path
import huldra
from huldra.testing.pipelines import Step
from huldra_local import LocalExecutor
huldra.set_huldra_root(Path(sys.argv[1]))
spare = int(sys.argv[2])
steps = [Step(name=f"s{n}", does="wait", notes=sys.argv[1] + "/../notes") for n in range(12)]
for step in steps:
    Path(sys.argv[1], "../notes", f"{step.name}.open").touch()
pool = LocalExecutor(12, cpus=12)
pool._started()
used = max(map(int, os.listdir("/proc/self/fd")))
resource.setrlimit(resource.RLIMIT_NOFILE, (used + spare, 4096))
sweep = huldra.load_or_create(steps, executor=pool)
sweep.wait()
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
for job in sweep.values():
    print(job.status().value, job.exception())
"""


@pytest.mark.parametrize("spare", [16, 4])
def test_tasks_without_a_new_worker_wait_for_those_that_there_are(
    tmp_path: Path, spare: int
) -> None:
    """A process that has no descriptors left makes all with few workers; with none, it says why."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "store").mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", FEW_DESCRIPTORS, str(tmp_path / "store"), str(spare)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "HULDRA_PREEMPT_MAX": "1",
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    lines = ended.stdout.splitlines()
    assert len(lines) == 12, ended.stderr
    if spare == 16:
        assert set(lines) == {"success None"}, ended.stderr
    else:
        assert all("Too many open files" in line for line in lines), lines
