"""`ExecutorSuite`: what every executor must do, written once.

Subclass it in a test module of yours, and give it an executor:

    from huldra.testing import Driver, ExecutorSuite

    class TestMyEngine(ExecutorSuite):
        patience_s = 60.0                  # how long one node may take to come through, at worst

        @pytest.fixture
        def executor(self, shared_folder):
            engine = ...                   # what a user passes to `load_or_create(executor=…)`
            yield engine
            engine.close()

        @pytest.fixture
        def driver(self):                  # how *another process* gets an executor of this engine
            return Driver(executor="myengine://…")          # by name, or
            return Driver(factory="my_tests.support:make")  # by a function, called there

Fixtures that you may replace:

* `executor` (must): what `load_or_create(executor=…)` takes; a name will do. Fresh for each test,
  or of a wider scope if it is slow to start: tests leave nothing running behind.
* `driver`: a `Driver`, or None (the default: tests with a second driver are skipped). Where jobs
  outlive their drivers or are found by id, it must reach the same engine as `executor`.
* `shared_folder`: an empty folder that driver and workers see under one path (`tmp_path` unless
  you say otherwise).

Class attributes: `patience_s`; `sweep_size` (200 nodes over 3 datasets); `runs_in_submit` (True for
an engine that is done when `submit` returns: tests that need a node to be held are skipped);
`keeps_prints` (False for one whose nodes run in processes that are not huldra's, which print where
they always did); `cancel_within_s`, from another process's request to the end of `_create`.

Everything else goes by `capabilities`: a test whose capability is not claimed is skipped with that
reason. A capability selects tests; it does not excuse wrong behaviour. Workers must be able to
import `huldra.testing.pipelines`.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.engines import registry
from huldra.engines.protocol import (
    Capabilities,
    Executor,
    JobStatus,
    OnSubmitted,
    Refusal,
    TaskGraph,
)
from huldra.errors import (
    HuldraComputeError,
    HuldraDependencyError,
    HuldraError,
    HuldraRefused,
    RemoteError,
)
from huldra.store.job_ref import JobRef
from huldra.store.process import start_time
from huldra.testing.pipelines import Step, count_notes

_LOOK_S = 0.02
_CLONE = """
from huldra.testing import pipelines

class Cloned(pipelines.Step):
    def _create(self):
        pipelines.BEHAVIOURS["tell clone"] = lambda step: {word!r}
        return super()._create()
"""


@dataclass(frozen=True)
class Driver:
    """How another process makes an executor: `executor`, a name, or `factory`, `module:function`.

    `environ` is added to that process's environment.
    """

    executor: str = ""
    factory: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)


class Spy:
    """An executor that passes everything on and remembers the graphs that it was sent."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self.graphs: list[TaskGraph] = []
        self.refs: dict[str, JobRef] = {}

    def __getattr__(self, name: str) -> Any:
        """Pass on the methods of the optional protocols."""
        return getattr(self._inner, name)

    @property
    def name(self) -> str:
        """The inner executor's name."""
        return self._inner.name

    @property
    def capabilities(self) -> Capabilities:
        """The inner executor's capabilities."""
        return self._inner.capabilities

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Pass on."""
        return self._inner.check(graph)

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Remember, and pass on."""
        self.graphs.append(graph)

        def remember(key: str, ref: JobRef) -> None:
            self.refs[key] = ref
            on_submitted(key, ref)

        self._inner.submit(graph, remember)

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """Pass on."""
        return self._inner.status(refs)

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Pass on."""
        return self._inner.wait(refs, timeout_s)

    def cancel(self, refs: Collection[JobRef]) -> None:
        """Pass on."""
        self._inner.cancel(refs)

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """Pass on."""
        return self._inner.logs(refs)

    def close(self) -> None:
        """Leave the inner executor to its fixture."""


class Scene:
    """One test's store, notes and gates."""

    def __init__(self, folder: Path, patience_s: float) -> None:
        self.folder = folder
        self.patience_s = patience_s
        self.root = folder / "store"
        self.notes = folder / "notes"
        self.notes.mkdir()
        self._drivers: list[subprocess.Popen[bytes]] = []

    def step(
        self, name: str, does: str = "nothing", needs: Sequence[Step] = (), **more: Any
    ) -> Step:
        """A node that leaves its notes here."""
        return Step(name=name, does=does, needs=tuple(needs), notes=str(self.notes), **more)

    def open(self, *names: str) -> None:
        """Let held nodes go on."""
        for name in names:
            (self.notes / f"{name}.open").touch()

    def count(self, name: str, what: str = "began") -> int:
        """How often the node noted this."""
        return count_notes(self.notes, name, what)

    def await_note(self, name: str, what: str = "began", count: int = 1) -> None:
        """Wait until the node has noted this so often."""
        self.until(lambda: self.count(name, what) >= count, f"{name} {what}")

    def await_death(self, name: str) -> None:
        """Wait until the process that began the node is gone."""
        (began,) = self.notes.glob(f"{name}.began.*")
        pid = int(began.read_text())
        self.until(lambda: start_time(pid) is None, f"the end of process {pid}")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition, or fail saying what did not happen."""
        deadline = time.monotonic() + self.patience_s
        while not condition():
            assert time.monotonic() < deadline, f"in {self.patience_s:g} s, never: {what}"
            time.sleep(_LOOK_S)

    def send(self, executor: object, *steps: Step) -> list[Any]:
        """Submit several configs as one graph; their jobs in the order given."""
        sweep = huldra.load_or_create(list(steps), executor=executor)
        return list(sweep.values())

    def outcome(self, job: Any) -> dict[str, Any]:
        """What the job's artifact holds."""
        value: dict[str, Any] = job.result(timeout=self.patience_s)
        return value

    def failure(self, job: Any) -> BaseException:
        """What the job failed with."""
        error = job.exception(timeout=self.patience_s)
        assert error is not None, "wanted a failure, found a result"
        assert isinstance(error, BaseException)
        return error

    def start_driver(self, driver: Driver, then: str, *steps: Step, **more: Any) -> Path:
        """Start another process that sends these steps; returns the path of its order."""
        order = self.folder / f"order-{len(self._drivers)}.json"
        settings = {k: getattr(huldra.HULDRA_CONFIG, k) for k in ("poll_interval", "preempt_max")}
        record = {
            "root": str(self.root),
            "settings": settings,
            "steps": [step.to_dict() for step in steps],
            "executor": driver.executor,
            "factory": driver.factory,
            "then": then,
            **more,
        }
        order.write_text(json.dumps(record))
        environ = {
            **os.environ,
            **driver.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        with open(f"{order}.log", "wb") as log:
            command = [sys.executable, "-m", "huldra.testing.driver", str(order)]
            process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        self._drivers.append(process)
        return order

    def start_clone(self, driver: Driver, word: str, names: Sequence[str]) -> Path:
        """Start a driver that has a module of its own, whose nodes report `word`."""
        clone = self.folder / f"clone-{word}"
        clone.mkdir()
        (clone / "huldra_suite_clone.py").write_text(_CLONE.format(word=word))
        documents = [self.step(name, "tell clone").to_dict() for name in names]
        for document in documents:
            document["objects"][document["root"]]["class"] = "huldra_suite_clone:Cloned"
        return self.start_driver(driver, "wait", steps=documents, paths=[str(clone)])

    def report(self, order: Path, what: str) -> dict[str, Any]:
        """What a driver wrote about its order, once it has."""
        path = Path(f"{order}.{what}")
        process = self._drivers[int(order.stem.rpartition("-")[2])]
        deadline = time.monotonic() + self.patience_s
        while not path.exists():
            ended = process.poll() is not None and not path.exists()
            if ended or time.monotonic() > deadline:
                text = Path(f"{order}.log").read_text(errors="replace")
                pytest.fail(f"the driver did not get to {what!r} (exit {process.poll()}):\n{text}")
            time.sleep(_LOOK_S)
        record: dict[str, Any] = json.loads(path.read_text())
        return record

    def await_driver(self, order: Path) -> None:
        """Wait until a driver has ended by itself."""
        process = self._drivers[int(order.stem.rpartition("-")[2])]
        process.wait(self.patience_s)

    def kill_driver(self, order: Path) -> None:
        """Kill -9 a driver."""
        process = self._drivers[int(order.stem.rpartition("-")[2])]
        process.kill()
        process.wait()

    def close(self) -> None:
        """End what is left of the drivers, and let every held node go."""
        for process in self._drivers:
            if process.poll() is None:
                process.kill()
            process.wait()


class ExecutorSuite:
    """The tests; see the head of this module for what a subclass provides."""

    patience_s = 60.0
    sweep_size = 200
    runs_in_submit = False
    keeps_prints = True
    cancel_within_s = 2.0

    # What a subclass provides

    @pytest.fixture
    def shared_folder(self, tmp_path: Path) -> Path:
        """A folder that driver and workers share."""
        return tmp_path

    @pytest.fixture
    def executor(self) -> object:
        """What is under test: every subclass says."""
        raise NotImplementedError("a subclass of ExecutorSuite must define the fixture `executor`")

    @pytest.fixture
    def driver(self) -> Driver | None:
        """How another process makes an executor of this engine."""
        return None

    # What the suite adds

    @pytest.fixture
    def scene(self, shared_folder: Path) -> Iterator[Scene]:
        """A store of this test's own, with short intervals; all comes back afterwards."""
        config = huldra.HULDRA_CONFIG
        before = config.snapshot()
        scene = Scene(shared_folder, self.patience_s)
        huldra.set_huldra_root(scene.root)
        config.update(poll_interval=0.2, preempt_max=2, wait_log_every=5.0)
        yield scene
        scene.close()
        config.apply(before)

    @pytest.fixture
    def seam(self, executor: object) -> Executor:
        """The adapter behind what the user passes."""
        return registry.resolve(executor)

    @pytest.fixture
    def spy(self, seam: Executor) -> Spy:
        """The adapter, watched."""
        return Spy(seam)

    @pytest.fixture
    def second_driver(self, driver: Driver | None) -> Driver:
        """The way to a second driver, or a skip."""
        if driver is None:
            pytest.skip("this suite names no way for a second driver to reach the engine")
        return driver

    def claims(self, seam: Executor, capability: str) -> None:
        """Skip the test unless the engine claims this capability."""
        if not getattr(seam.capabilities, capability):
            pytest.skip(f"{seam.name} does not claim the capability {capability!r}")

    def runs_beside(self) -> None:
        """Skip the test where a node cannot be held while the driver goes on."""
        if self.runs_in_submit:
            pytest.skip("this engine runs inside submit: nothing can be held")

    def keeps_output(self, seam: Executor) -> None:
        """Skip the test where nodes print to a process that is not huldra's."""
        self.claims(seam, "isolates")
        if not self.keeps_prints:
            pytest.skip("this engine's nodes run in processes that are not huldra's")

    # One node

    def test_one_node_is_made_on_the_engine_and_loaded_here(
        self, executor: object, scene: Scene
    ) -> None:
        """A job's result is what `_load` finds, and `_create` ran once."""
        job = scene.step("one").load_or_create(executor=executor)
        assert scene.outcome(job)["from"] == "_load"
        assert job.done()
        assert job.exception(timeout=self.patience_s) is None
        assert scene.count("one") == 1

    def test_a_hit_is_a_finished_job_and_sends_nothing(self, spy: Spy, scene: Scene) -> None:
        """What is made already never reaches the engine."""
        step = scene.step("hit")
        scene.outcome(step.load_or_create(executor=spy))
        again = step.load_or_create(executor=spy)
        assert again.done()
        assert scene.outcome(again)["name"] == "hit"
        assert len(spy.graphs) == 1
        assert scene.count("hit") == 1

    def test_a_job_says_that_it_has_ended_well(
        self, seam: Executor, spy: Spy, scene: Scene
    ) -> None:
        """The engine's own word for a job that went well is SUCCEEDED, once it is over."""
        scene.outcome(scene.step("well").load_or_create(executor=spy))
        refs = list(spy.refs.values())
        scene.until(lambda: all(s.is_over for s in seam.status(refs).values()), "the job is over")
        assert set(seam.status(refs).values()) <= {JobStatus.SUCCEEDED, JobStatus.UNKNOWN}

    def test_the_job_ids_stand_in_the_artifacts_state(self, spy: Spy, scene: Scene) -> None:
        """`state.json` names the engine's job while and after it runs."""
        step = scene.step("named")
        job = step.load_or_create(executor=spy)
        scene.outcome(job)
        state = json.loads((step.huldra_dir / ".huldra" / "state.json").read_text())
        (ref,) = spy.refs.values()
        assert job.job_id == ref.job_id
        assert state["attempt"]["job_id"] == ref.job_id
        assert state["attempt"]["backend"] == spy.name

    # Graphs

    def test_a_chain_runs_in_order(self, executor: object, scene: Scene) -> None:
        """Each link finds the one before it made."""
        step = scene.step("link0")
        for number in range(1, 6):
            step = scene.step(f"link{number}", needs=[step])
        assert scene.outcome(step.load_or_create(executor=executor))["inputs"] == {"link4": "link4"}
        assert [scene.count(f"link{n}") for n in range(6)] == [1] * 6

    def test_a_diamond_makes_its_top_once(self, executor: object, scene: Scene) -> None:
        """What two nodes need is made once, before both."""
        top = scene.step("top")
        sides = [scene.step("left", needs=[top]), scene.step("right", needs=[top])]
        bottom = scene.step("bottom", needs=sides)
        inputs = scene.outcome(bottom.load_or_create(executor=executor))["inputs"]
        assert inputs == {"left": "left", "right": "right"}
        assert {n: scene.count(n) for n in ("top", "left", "right", "bottom")} == {
            "top": 1,
            "left": 1,
            "right": 1,
            "bottom": 1,
        }

    def test_fan_out_and_in(self, executor: object, scene: Scene) -> None:
        """One node feeds many, and one node needs them all."""
        source = scene.step("source")
        middle = [scene.step(f"middle{n}", needs=[source]) for n in range(12)]
        sink = scene.step("sink", needs=middle)
        assert len(scene.outcome(sink.load_or_create(executor=executor))["inputs"]) == 12
        assert scene.count("source") == 1
        assert sum(scene.count(f"middle{n}") for n in range(12)) == 12

    def test_a_sweep_over_shared_datasets(self, executor: object, scene: Scene) -> None:
        """A large sweep over three datasets makes each dataset once and each run once."""
        data = [scene.step(f"data{n}") for n in range(3)]
        runs = [scene.step(f"run{n}", needs=[data[n % 3]]) for n in range(self.sweep_size)]
        jobs = scene.send(executor, *runs)
        assert [scene.outcome(job)["name"] for job in jobs] == [run.name for run in runs]
        assert [scene.count(f"data{n}") for n in range(3)] == [1, 1, 1]
        assert len(list(scene.notes.glob("run*.began.*"))) == self.sweep_size

    def test_what_is_made_is_not_sent_again(self, spy: Spy, scene: Scene) -> None:
        """A graph holds only what is missing."""
        base = scene.step("base")
        scene.outcome(base.load_or_create(executor=spy))
        upper = scene.step("upper", needs=[base])
        scene.outcome(upper.load_or_create(executor=spy))
        assert [len(graph.tasks) for graph in spy.graphs] == [1, 1]
        assert scene.count("base") == 1

    def test_two_sweeps_share_what_is_in_flight(self, executor: object, scene: Scene) -> None:
        """A node that one sweep has sent is attached to by the next, not sent again."""
        self.runs_beside()
        shared = scene.step("shared", "wait")
        first = scene.send(executor, scene.step("first", needs=[shared]))
        second = scene.send(executor, scene.step("second", needs=[shared]), shared)
        scene.open("shared")
        names = [scene.outcome(job)["name"] for job in (*first, *second)]
        assert names == ["first", "second", "shared"]
        assert scene.count("shared") == 1

    def test_a_later_sweep_does_not_starve_the_one_that_it_waits_for(
        self, executor: object, scene: Scene
    ) -> None:
        """Nodes that wait for what is in flight do not fill the engine so that it never comes."""
        self.runs_beside()
        link = scene.step("link0", "wait")
        for number in range(1, 4):
            link = scene.step(f"link{number}", needs=[link])
        chain = link.load_or_create(executor=executor)
        crowd = scene.send(executor, *[scene.step(f"crowd{n}", needs=[link]) for n in range(8)])
        scene.open("link0")
        assert scene.outcome(chain)["name"] == "link3"
        assert [scene.outcome(job)["inputs"] for job in crowd] == [{"link3": "link3"}] * 8

    def test_sweeps_of_many_threads_share_their_inputs(self, seam: Executor, scene: Scene) -> None:
        """Eight threads send five nodes each over ten shared inputs: all are made, none is stuck.

        A worker must not be held by what waits for a node behind it in the same queue.
        """
        self.runs_beside()
        inputs = [scene.step(f"input{number}") for number in range(10)]
        start = threading.Barrier(8)
        outcomes: list[str] = []

        def sweep(thread: int) -> None:
            steps = [
                scene.step(
                    f"t{thread}n{node}",
                    needs=[inputs[(thread + node + step) % 10] for step in (0, 3, 7)],
                )
                for node in range(5)
            ]
            start.wait(self.patience_s)
            outcomes.extend(scene.outcome(job)["name"] for job in scene.send(seam, *steps))

        threads = [threading.Thread(target=sweep, args=(n,), daemon=True) for n in range(8)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + self.patience_s
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert sorted(outcomes) == sorted(f"t{t}n{n}" for t in range(8) for n in range(5))
        assert [scene.count(step.name) for step in inputs] == [1] * 10

    def test_two_drivers_share_what_they_both_want(
        self, executor: object, second_driver: Driver, scene: Scene
    ) -> None:
        """Two processes that send overlapping graphs make each artifact once."""
        self.runs_beside()
        shared = scene.step("shared", "wait")
        ours = scene.step("ours", needs=[shared])
        theirs = scene.step("theirs", needs=[shared])
        order = scene.start_driver(second_driver, "wait", theirs, shared)
        job = ours.load_or_create(executor=executor)
        scene.report(order, "sent")
        scene.open("shared")
        assert scene.outcome(job)["inputs"] == {"shared": "shared"}
        results = scene.report(order, "done")["results"]
        assert [r.get("value", r).get("name", r) for r in results] == ["theirs", "shared"]
        assert {n: scene.count(n) for n in ("shared", "ours", "theirs")} == {
            "shared": 1,
            "ours": 1,
            "theirs": 1,
        }

    # Failures of the user's code

    def test_a_failure_stops_its_dependents_and_nothing_else(
        self, executor: object, scene: Scene
    ) -> None:
        """Dependents of a failed node never start and name it; the rest is made."""
        good = scene.step("good")
        bad = scene.step("bad", "fail", needs=[good])
        child = scene.step("child", needs=[bad])
        grandchild = scene.step("grandchild", needs=[child, good])
        other = scene.step("other", needs=[good])
        *_, late, fine = scene.send(executor, bad, child, grandchild, other)
        assert scene.outcome(fine)["inputs"] == {"good": "good"}
        error = scene.failure(late)
        assert isinstance(error, HuldraDependencyError)
        assert bad.huldra_hash in error.failed_key + str(error)
        assert str(bad.huldra_dir) in str(error) or bad.huldra_hash in error.log_path
        assert [scene.count(n) for n in ("bad", "child", "grandchild")] == [1, 0, 0]

    def test_an_error_of_the_users_is_told_and_not_replayed(
        self, executor: object, scene: Scene
    ) -> None:
        """The job's exception carries the original as text; `_create` ran once."""
        error = scene.failure(scene.step("bad", "fail").load_or_create(executor=executor))
        assert isinstance(error, HuldraComputeError)
        original = error.original_error
        assert isinstance(original, RemoteError)
        assert original.type_name.endswith("ValueError")
        assert "step bad was told to fail" in original.message
        assert "was told to fail" in original.traceback_text
        assert "_fail" in original.traceback_text
        assert scene.count("bad") == 1

    def test_a_failed_node_is_tried_again_by_the_next_call(
        self, executor: object, scene: Scene
    ) -> None:
        """Failure is no verdict for ever: an explicit call tries again."""
        step = scene.step("moody", "fail once")
        scene.failure(step.load_or_create(executor=executor))
        assert scene.outcome(step.load_or_create(executor=executor))["name"] == "moody"
        assert scene.count("moody") == 2

    def test_what_was_discarded_is_made_again(self, executor: object, scene: Scene) -> None:
        """Its attempts count from 1 again, and no job of before answers for the new one."""
        bad, fine = scene.step("bad", "fail"), scene.step("fine")
        for count in (1, 2):
            failed, made = scene.send(executor, bad, fine)
            assert isinstance(scene.failure(failed), HuldraComputeError)
            assert scene.outcome(made)["name"] == "fine"
            assert (scene.count("bad", "began"), scene.count("fine", "began")) == (count, count)
            assert bad.discard()
            assert fine.discard()

    def test_an_exception_that_does_not_pickle_harms_nobody(
        self, executor: object, scene: Scene
    ) -> None:
        """An odd exception arrives as text, and the engine goes on."""
        odd, fine = scene.send(executor, scene.step("odd", "fail oddly"), scene.step("fine"))
        assert "odd: odd" in str(scene.failure(odd))
        assert scene.outcome(fine)["name"] == "fine"

    def test_sys_exit_is_a_failure(self, executor: object, scene: Scene) -> None:
        """`sys.exit(0)` in `_create` fails the node, and its dependents do not start."""
        leaver = scene.step("leaver", "exit")
        child = scene.step("child", needs=[leaver])
        first, second = scene.send(executor, leaver, child)
        error = scene.failure(first)
        assert isinstance(error, HuldraComputeError)
        assert "SystemExit" in str(error)
        assert isinstance(scene.failure(second), HuldraDependencyError)
        assert scene.count("leaver") == 1
        assert scene.count("child") == 0

    # Failures of the infrastructure

    def test_a_worker_killed_once_costs_its_node_one_retry(
        self, executor: object, seam: Executor, scene: Scene
    ) -> None:
        """Kill -9 in the middle of `_create`: the node is made by a second try, others by one."""
        self.claims(seam, "isolates")
        self.claims(seam, "retries_infrastructure")
        victim = scene.step("victim", "die once")
        child = scene.step("child", needs=[victim])
        bystanders = [scene.step(f"bystander{n}") for n in range(4)]
        jobs = scene.send(executor, child, *bystanders)
        assert scene.outcome(jobs[0])["name"] == "child"
        assert all(scene.outcome(job) for job in jobs)
        assert scene.count("victim") == 2
        assert [scene.count(b.name) for b in bystanders] == [1] * 4

    @pytest.mark.parametrize("manner", ["die", "leave"])
    def test_a_node_that_always_kills_its_worker_ends(
        self, manner: str, executor: object, seam: Executor, scene: Scene
    ) -> None:
        """Retries are bounded by `HULDRA_PREEMPT_MAX`; the job then fails, dependents too."""
        self.claims(seam, "isolates")
        poison = scene.step("poison", manner)
        child = scene.step("child", needs=[poison])
        first, second, fine = scene.send(executor, poison, child, scene.step("fine"))
        assert isinstance(scene.failure(first), HuldraError)
        assert isinstance(scene.failure(second), HuldraError)
        assert scene.outcome(fine)["name"] == "fine"
        assert 1 <= scene.count("poison") <= 1 + huldra.HULDRA_CONFIG.preempt_max
        assert scene.count("child") == 0
        if not seam.capabilities.finds_by_id:  # others cannot ask: the store has to say it
            last = [huldra.StateManager.history(step.huldra_dir)[-1] for step in (poison, child)]
            assert not any(attempt.is_queued for attempt in last)

    def test_the_second_kill_in_a_row_is_the_last(
        self, executor: object, seam: Executor, scene: Scene
    ) -> None:
        """A node that is killed each time is not tried for ever, and its error says what to do."""
        self.claims(seam, "isolates")
        self.claims(seam, "retries_infrastructure")
        huldra.HULDRA_CONFIG.preempt_max = 4
        error = scene.failure(scene.step("poison", "die").load_or_create(executor=executor))
        assert scene.count("poison") == 2
        assert "perhaps for lack of memory" in str(error)
        assert "memory_gb" in str(error)

    def test_a_time_limit_that_was_reached_is_longer_at_the_next_try(
        self, executor: object, seam: Executor, scene: Scene
    ) -> None:
        """A node whose `Retry` asks for more time is made by its second try."""
        if "time_min" not in seam.capabilities.grows:
            pytest.skip("the engine does not claim to give more time at another try")
        more = {"time": 3.0, "max_tries": 8}
        slow = scene.step("slow", "sleep once", claims={"time_min": 0.02}, retry=more)
        job = slow.load_or_create(executor=executor)
        assert scene.outcome(job)["name"] == "slow"
        assert scene.count("slow") == 2

    @pytest.mark.parametrize(
        ("key", "factor"), [("memory_gb", "memory"), ("time_min", "time")], ids=["memory", "time"]
    )
    def test_a_growth_that_the_engine_cannot_give_is_refused(
        self, key: str, factor: str, spy: Spy, scene: Scene
    ) -> None:
        """Before anything is sent, naming the word of the `Retry`."""
        if key in spy.capabilities.grows | spy.capabilities.ignores:
            pytest.skip(f"the engine gives more {key} at another try, or ignores the request")
        step = scene.step("wanting", claims={key: 1}, retry={factor: 2.0})
        with pytest.raises(HuldraRefused, match=f"retry.{factor}|{key}"):
            step.load_or_create(executor=spy)
        assert spy.graphs == []

    # Cancelling

    def test_cancel_of_what_is_queued(self, executor: object, seam: Executor, scene: Scene) -> None:
        """A cancelled node that has not started never starts; what it waited for goes on."""
        self.claims(seam, "cancels_queued")
        self.runs_beside()
        held = scene.step("held", "wait")
        later = scene.step("later", needs=[held])
        first, second = scene.send(executor, held, later)
        second.cancel()
        scene.open("held")
        assert scene.outcome(first)["name"] == "held"
        with pytest.raises(concurrent.futures.CancelledError):
            second.result(timeout=self.patience_s)
        assert scene.count("later") == 0

    def test_cancel_of_what_runs(self, executor: object, seam: Executor, scene: Scene) -> None:
        """Cancel ends a running `_create`, and the engine goes on."""
        self.claims(seam, "kills_running")
        step = scene.step("endless", "wait")
        job = step.load_or_create(executor=executor)
        scene.await_note("endless")
        job.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            job.result(timeout=self.patience_s)
        assert scene.count("endless", "ended") == 0
        assert scene.outcome(scene.step("after").load_or_create(executor=executor))

    def test_a_cancelled_node_can_be_asked_for_again(
        self, executor: object, seam: Executor, scene: Scene
    ) -> None:
        """A cancel holds for one attempt."""
        self.claims(seam, "kills_running")
        step = scene.step("again", "wait")
        job = step.load_or_create(executor=executor)
        scene.await_note("again")
        job.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            job.result(timeout=self.patience_s)
        scene.open("again")
        assert scene.outcome(step.load_or_create(executor=executor))["name"] == "again"

    # Waiting

    def test_result_and_wait_keep_their_timeouts(self, executor: object, scene: Scene) -> None:
        """A timeout ends the waiting and not the job."""
        self.runs_beside()
        job = scene.step("slow", "wait").load_or_create(executor=executor)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            job.result(timeout=0.2)
        assert time.monotonic() - began < self.patience_s / 2
        assert not job.done()
        scene.open("slow")
        assert scene.outcome(job)["name"] == "slow"

    def test_the_seams_wait_returns_at_its_timeout(
        self, seam: Executor, spy: Spy, scene: Scene
    ) -> None:
        """`wait` gives the empty set at the timeout, and what is over as soon as it is."""
        self.runs_beside()
        job = scene.step("slow", "wait").load_or_create(executor=spy)
        refs = list(spy.refs.values())
        assert seam.wait(refs, 0.1) == set()
        assert not seam.status(refs)[refs[0]].is_over
        scene.open("slow")
        scene.outcome(job)
        scene.until(lambda: bool(seam.wait(refs, 1.0)), "the engine says that it is over")

    def test_status_over_a_life(self, executor: object, scene: Scene) -> None:
        """A job is queued or running while it is held, and success at the end."""
        self.runs_beside()
        job = scene.step("held", "wait").load_or_create(executor=executor)
        assert str(job.status()) in {"queued", "running"}
        scene.await_note("held")
        scene.until(lambda: str(job.status()) == "running", "status() says running")
        scene.open("held")
        scene.outcome(job)
        assert str(job.status()) in {"success", "succeeded"}

    def test_the_engines_word_on_a_job_that_it_never_had(self, seam: Executor) -> None:
        """An unknown ref gets an answer, no error, and never one that says running."""
        ref = JobRef(seam.name, "nobody-4711", {})
        assert seam.status([ref])[ref] not in {JobStatus.RUNNING, JobStatus.SUCCEEDED}
        seam.cancel([ref])
        assert list(seam.logs([ref])[ref]) == []

    # Resources

    def test_a_resource_key_of_no_engine_is_refused(self, spy: Spy, scene: Scene) -> None:
        """A misspelled key is refused before anything is sent, naming node and key."""
        step = scene.step("misspelled", extra={"gpu_type": "a100"})
        with pytest.raises(HuldraRefused, match="gpu_type") as refused:
            step.load_or_create(executor=spy)
        assert "Step" in str(refused.value)
        assert spy.graphs == []
        assert scene.count("misspelled") == 0
        again = scene.step("misspelled")
        assert scene.outcome(again.load_or_create(executor=spy))["name"] == "misspelled"

    def test_keys_of_other_engines_are_ignored(
        self, executor: object, seam: Executor, scene: Scene
    ) -> None:
        """One declaration serves all engines."""
        ours = seam.capabilities.extra_prefix
        prefixes = [p for p in ("slurm_", "dask_", "ray_", "local_") if p != ours]
        step = scene.step("portable", extra={f"{prefix}whatever": 1 for prefix in prefixes})
        assert scene.outcome(step.load_or_create(executor=executor))["name"] == "portable"

    @pytest.mark.parametrize("key", ["cpus", "gpus", "memory_gb"])
    def test_more_than_there_can_be_is_refused_or_ignored(
        self, key: str, spy: Spy, scene: Scene
    ) -> None:
        """A request that can never be met is refused, where it is not stated to be ignored."""
        step = scene.step("greedy", claims={key: 100_000})
        if key in spy.capabilities.ignores:
            assert scene.outcome(step.load_or_create(executor=spy))["name"] == "greedy"
            return
        with pytest.raises(HuldraError, match=key):
            scene.outcome(step.load_or_create(executor=spy))
        assert scene.count("greedy") == 0

    def test_a_modest_request_is_honoured(
        self, executor: object, seam: Executor, scene: Scene
    ) -> None:
        """What an engine says that it honours, it takes."""
        modest = {"cpus": 1, "memory_gb": 0.25, "time_min": 5}
        wanted = {k: v for k, v in modest.items() if k in seam.capabilities.honours}
        job = scene.step("modest", claims=wanted).load_or_create(executor=executor)
        assert scene.outcome(job)["name"] == "modest"

    # What crosses the boundary

    def test_fields_that_are_not_hashed_travel(self, executor: object, scene: Scene) -> None:
        """The worker's object has the fields that the hash does not know: its notes are here."""
        scene.outcome(scene.step("noted").load_or_create(executor=executor))
        assert scene.count("noted", "ended") == 1

    def test_settings_that_were_changed_in_code_reach_workers(
        self, executor: object, scene: Scene
    ) -> None:
        """An assignment to HULDRA_CONFIG counts on workers."""
        huldra.HULDRA_CONFIG.stale_after = 4321.0
        job = scene.step("settings", "tell settings").load_or_create(executor=executor)
        report = scene.outcome(job)["report"]
        assert report == {"stale_after": 4321.0, "root": str(scene.root)}

    def test_two_roots_in_turn(self, executor: object, scene: Scene) -> None:
        """A worker that has worked for one root works for another."""
        step = scene.step("rooted", "tell settings")
        assert scene.outcome(step.load_or_create(executor=executor))["report"]["root"] == str(
            scene.root
        )
        huldra.set_huldra_root(scene.folder / "other store")
        report = scene.outcome(step.load_or_create(executor=executor))["report"]
        assert report["root"] == str(scene.folder / "other store")
        assert scene.count("rooted") == 2

    def test_what_a_node_prints_and_reads_is_its_own(self, executor: object, scene: Scene) -> None:
        """Printing cannot break the engine's protocol."""
        job = scene.step("loud", "print").load_or_create(executor=executor)
        assert scene.outcome(job)["name"] == "loud"

    def test_logs_are_reachable(self, executor: object, scene: Scene) -> None:
        """`Job.logs()` has what `_create` logged."""
        job = scene.step("chatty").load_or_create(executor=executor)
        scene.outcome(job)
        assert "step chatty begins" in str(job.logs())

    def test_output_is_kept_beside_the_log(
        self, executor: object, seam: Executor, scene: Scene
    ) -> None:
        """What a node and its children print is in its `output.log`, for any later caller."""
        self.keeps_output(seam)
        loud = scene.step("loud", "print")
        job = loud.load_or_create(executor=executor)
        scene.outcome(job)
        kept = loud.huldra_dir / ".huldra" / "output.log"
        printed = kept.read_text()
        for line in ('{"id": 1, "ok": true}', "and on the other stream", "a child of loud"):
            assert line in printed.splitlines(), printed
        assert job.logs()["output.log"] == printed
        assert loud.load_or_create(executor=executor).logs()["output.log"] == printed

    def test_output_is_each_nodes_own(self, executor: object, seam: Executor, scene: Scene) -> None:
        """Nodes that share a process share no file; one that prints nothing has none."""
        self.keeps_output(seam)
        steps = [scene.step(f"loud{n}", "print") for n in range(4)]
        jobs = scene.send(executor, *steps, scene.step("mute"))
        logs = [job.logs() for job in jobs if scene.outcome(job)]
        assert "output.log" not in logs.pop()
        for step, log in zip(steps, logs, strict=True):
            children = [line for line in log["output.log"].splitlines() if "a child" in line]
            assert children == [f"a child of {step.name}"]

    def test_output_survives_a_kill(self, executor: object, seam: Executor, scene: Scene) -> None:
        """What was printed before a kill -9 is kept, and each further attempt has a headline."""
        self.keeps_output(seam)
        victim = scene.step("victim", "print and die")
        scene.failure(victim.load_or_create(executor=executor))
        kept = (victim.huldra_dir / ".huldra" / "output.log").read_text()
        assert kept.startswith("about to die\n")
        assert kept.count("about to die\n") == scene.count("victim")
        assert kept.count("--- attempt ") == scene.count("victim") - 1

    def test_output_of_the_users_process_stays_there(
        self, executor: object, seam: Executor, scene: Scene
    ) -> None:
        """Where a node runs in a process that is not huldra's, its output is not touched."""
        if seam.capabilities.isolates and self.keeps_prints:
            pytest.skip("this engine's processes exist for nodes")
        loud = scene.step("loud", "print")
        scene.outcome(loud.load_or_create(executor=executor))
        assert not (loud.huldra_dir / ".huldra" / "output.log").exists()

    # Calls inside `_create`

    def test_a_call_beyond_the_plan_is_made_inline_and_said(
        self, executor: object, scene: Scene
    ) -> None:
        """What `_create` asks for beyond the plan is made there, with a warning that says so."""
        extra = scene.step("extra")
        outer = scene.step("outer", "ask for nested", nested=(extra,))
        job = outer.load_or_create(executor=executor)
        assert scene.outcome(job)["report"] == ["extra"]
        assert scene.count("extra") == 1
        assert "_dependencies" in str(job.logs())

    def test_a_nested_executor_runs_inline_on_a_worker(
        self, executor: object, scene: Scene
    ) -> None:
        """An executor named inside `_create` does not start a second engine."""
        nested = (scene.step("nested0"), scene.step("nested1"))
        outer = scene.step("outer", "send nested", nested=nested, nested_executor="local:2")
        assert scene.outcome(outer.load_or_create(executor=executor))["report"] == [
            "nested0",
            "nested1",
        ]
        assert [scene.count(n.name) for n in nested] == [1, 1]

    # Other processes

    def test_a_pickled_job_works_in_this_process(self, executor: object, scene: Scene) -> None:
        """A job that was pickled and read again gives the same result."""
        job = scene.step("pickled").load_or_create(executor=executor)
        again = pickle.loads(pickle.dumps(job))  # noqa: S301  our own
        assert scene.outcome(again)["name"] == "pickled"
        assert again.job_id == job.job_id

    def test_a_pickled_job_works_in_another_process(self, executor: object, scene: Scene) -> None:
        """Another process can wait for a job and load its result: that goes through the store."""
        self.runs_beside()
        job = scene.step("sent", "wait").load_or_create(executor=executor)
        scene.await_note("sent")
        path = scene.folder / "job.pickle"
        path.write_bytes(pickle.dumps(job))
        order = scene.start_driver(Driver(), "look", pickles=[str(path)], cancel=False)
        scene.open("sent")
        (result,) = scene.report(order, "done")["results"]
        assert result.get("value", result).get("name") == "sent", result

    def test_a_job_is_found_again_by_its_id(
        self, executor: object, seam: Executor, second_driver: Driver, scene: Scene
    ) -> None:
        """Another process that asks for what is in flight gets the same job."""
        self.claims(seam, "finds_by_id")
        step = scene.step("found", "wait")
        job = step.load_or_create(executor=executor)
        order = scene.start_driver(second_driver, "wait", step)
        assert scene.report(order, "sent")["job_ids"] == [job.job_id]
        scene.open("found")
        (result,) = scene.report(order, "done")["results"]
        assert result.get("value", result).get("name") == "found", result
        assert scene.count("found") == 1

    def test_a_job_is_cancelled_from_another_process(
        self, executor: object, seam: Executor, scene: Scene
    ) -> None:
        """A pickled job can be cancelled by any process that has it."""
        self.claims(seam, "kills_running")
        job = scene.step("distant", "wait").load_or_create(executor=executor)
        scene.await_note("distant")
        path = scene.folder / "job.pickle"
        path.write_bytes(pickle.dumps(job))
        scene.start_driver(Driver(), "look", pickles=[str(path)], cancel=True)
        with pytest.raises(concurrent.futures.CancelledError):
            job.result(timeout=self.patience_s)

    def test_two_clones_at_one_time_get_their_own_code(
        self, second_driver: Driver, scene: Scene
    ) -> None:
        """Drivers whose modules share a name have their nodes made by their own files."""
        orders = {
            word: scene.start_clone(second_driver, word, [f"{word}{n}" for n in range(6)])
            for word in ("one", "other")
        }
        for word, order in orders.items():
            results = scene.report(order, "done")["results"]
            seen = {str(result.get("value", result).get("report", result)) for result in results}
            assert seen == {word}

    def test_a_cancel_from_another_process_ends_a_sleeping_create_for_good(
        self, executor: object, seam: Executor, scene: Scene
    ) -> None:
        """One `time.sleep` in `_create` ends soon after the request, and nothing runs it again."""
        self.claims(seam, "kills_running")
        step = scene.step("asleep", "sleep")
        job = step.load_or_create(executor=executor)
        scene.await_note("asleep")
        path = scene.folder / "job.pickle"
        path.write_bytes(pickle.dumps(job))
        scene.start_driver(Driver(), "look", pickles=[str(path)], cancel=True)
        with pytest.raises(concurrent.futures.CancelledError):
            job.result(timeout=self.patience_s)
        (asked,) = (step.huldra_dir / ".huldra" / "claims").glob("*.cancel")
        # Where the engine kills the process at once it does not come to a note.
        for woke in scene.notes.glob("asleep.woke.*"):
            assert woke.stat().st_mtime - asked.stat().st_mtime < self.cancel_within_s
        assert scene.outcome(scene.step("after").load_or_create(executor=executor))
        assert scene.count("asleep") == 1

    @pytest.mark.parametrize("manner", ["vanish", "kill"])
    def test_jobs_outlive_their_driver(
        self, manner: str, seam: Executor, second_driver: Driver, scene: Scene
    ) -> None:
        """Where the engine outlives its driver, so does the whole graph, queued nodes too."""
        self.claims(seam, "survives_driver")
        first = scene.step("first", "wait")
        last = scene.step("last", needs=[scene.step("second", needs=[first])])
        order = scene.start_driver(second_driver, "vanish" if manner == "vanish" else "wait", last)
        scene.report(order, "sent")
        if manner == "kill":
            scene.kill_driver(order)
        scene.await_note("first")
        scene.open("first")
        scene.until(lambda: bool(last.exists()), "the graph is made without its driver")
        assert [scene.count(n) for n in ("first", "second", "last")] == [1, 1, 1]

    def test_a_driver_that_ends_frees_what_it_held(
        self, executor: object, seam: Executor, second_driver: Driver, scene: Scene
    ) -> None:
        """Where jobs end with their driver, the next call makes what is missing."""
        self.runs_beside()
        if seam.capabilities.survives_driver:
            pytest.skip(f"{seam.name} outlives its drivers")
        first = scene.step("first", "wait")
        last = scene.step("last", needs=[first])
        order = scene.start_driver(second_driver, "wait", last)
        scene.report(order, "sent")
        scene.await_note("first")
        scene.kill_driver(order)
        scene.await_death("first")
        scene.open("first")
        assert scene.outcome(last.load_or_create(executor=executor))["name"] == "last"
        assert scene.count("last") == 1

    @pytest.mark.parametrize("manner", ["leave", "interrupt"])
    def test_a_driver_that_leaves_takes_its_queue_along(
        self, manner: str, seam: Executor, second_driver: Driver, scene: Scene
    ) -> None:
        """What a driver had queued is over once its script has ended, or was interrupted."""
        self.runs_beside()
        if seam.capabilities.survives_driver:
            pytest.skip(f"{seam.name} outlives its drivers")
        first = scene.step("first", "wait")
        crowd = [scene.step(f"later{n}", needs=[first]) for n in range(20)]
        order = scene.start_driver(second_driver, manner, *crowd)
        scene.report(order, "sent")
        scene.await_note("first")
        Path(f"{order}.leave").touch()
        if not seam.capabilities.kills_running:
            scene.open("first")  # what runs is waited for
        scene.await_driver(order)
        last = [huldra.StateManager.history(step.huldra_dir)[-1] for step in crowd]
        assert [attempt.is_queued for attempt in last] == [False] * 20
        assert sum(scene.count(step.name) for step in crowd) < 20

    def test_an_executor_that_is_closed_frees_what_it_held(
        self, seam: Executor, second_driver: Driver, scene: Scene
    ) -> None:
        """Where jobs end with their executor, others need not wait until its driver ends, too."""
        self.runs_beside()
        if seam.capabilities.survives_driver:
            pytest.skip(f"{seam.name} outlives its drivers")
        first = scene.step("first", "wait")
        last = scene.step("last", needs=[first])
        order = scene.start_driver(second_driver, "close", last)
        scene.await_note("first")
        Path(f"{order}.close").touch()
        if not seam.capabilities.kills_running:
            scene.open("first")  # what runs is waited for
        scene.report(order, "closed")
        scene.open("first")
        other = scene.start_driver(Driver(executor="inline"), "wait", last)
        (result,) = scene.report(other, "done")["results"]
        assert result.get("value", result).get("name") == "last", result


__all__ = ["Driver", "ExecutorSuite", "Scene", "Spy"]
