"""The interface between huldra and an engine: what a graph is, and what an executor promises.

An engine carries only tokens. Configs travel in the run record on the shared disk, results in the
artifacts, and each task is the same call: `huldra.worker.run_node(payload)`, where `payload` is a
short JSON text. `run_node` is idempotent: run twice, or again after a worker died, it completes the
artifact once. So an adapter may run a payload again after an infrastructure failure. It must never
do so because `run_node` raised `NodeFailed`.
"""

from __future__ import annotations

import enum
import hashlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

from huldra.engines.resources import GROWTH, RESOURCE_KEYS, Resources
from huldra.store.job_ref import JobRef

# Of the text that engines carry and of the run record; a worker refuses one that it does not know.
PAYLOAD_PROTOCOL = 2
PAYLOAD_PROTOCOLS = frozenset({1, 2})  # 1: jobs that a version before this one has queued
ENGINE_PREFIXES: tuple[str, ...] = ("local_", "slurm_", "dask_", "ray_")
ENTRY_POINTS = "huldra.executors"


class JobStatus(enum.StrEnum):
    """The engine's status of a job. UNKNOWN is a legal answer and never means dead."""

    QUEUED = "queued"  # the engine has it and has not started it
    RUNNING = "running"
    SUCCEEDED = "succeeded"  # its process ended well; the store decides if the artifact is complete
    FAILED = "failed"  # the user's code, or run_node, ended it as a failure
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"  # ended by the engine for other jobs; the engine will not run it again
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    LOST = "lost"  # the worker, its host or the engine died
    UPSTREAM_FAILED = "upstream_failed"  # never ran: one of its dependencies failed
    UNKNOWN = "unknown"

    @property
    def is_over(self) -> bool:
        """Return True if the engine will do nothing more for this job."""
        return self not in _OPEN

    @property
    def is_infrastructure(self) -> bool:
        """Return True if the job ended for a reason other than the user's code."""
        return self in _INFRASTRUCTURE


_OPEN = frozenset({JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.UNKNOWN})
_INFRASTRUCTURE = frozenset(
    {JobStatus.PREEMPTED, JobStatus.TIMED_OUT, JobStatus.OUT_OF_MEMORY, JobStatus.LOST}
)


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do. The conformance suite selects its tests by these.

    Attributes:
        native_dependencies: The engine starts a task only after the tasks in `after` are over.
        arrays: The engine takes many tasks as one job array.
        survives_driver: Jobs continue when the submitting process exits.
        finds_by_id: Another process can query the status of a job and cancel it.
        cancels_queued: `cancel` takes a queued job off the engine.
        kills_running: `cancel` ends a running `_create`.
        isolates: A node runs in its own process, so that its death costs only that node.
        retries_infrastructure: A worker's death costs the node one retry, by the engine or by its
            adapter.
        honours: Resource keys that the engine reserves or enforces (`time_min` too). Any other key
            that a node sets is refused.
        ignores: Resource keys that are accepted without effect (inline execution).
        grows: Resource keys of which a node can get more at another try, as its `Retry` says. A
            `Retry` of any other key that the engine honours is refused.
        extra_prefix: The prefix of this engine's keys in `Resources.extra`.
    """

    native_dependencies: bool = False
    arrays: bool = False
    survives_driver: bool = False
    finds_by_id: bool = False
    cancels_queued: bool = False
    kills_running: bool = False
    isolates: bool = False
    retries_infrastructure: bool = False
    honours: frozenset[str] = frozenset()
    ignores: frozenset[str] = frozenset()
    grows: frozenset[str] = frozenset()
    extra_prefix: str = ""


def run_folder(payload: str) -> str:
    """Return the folder of the run that a task's payload belongs to."""
    run_path: str = json.loads(payload)["run"]
    return os.path.dirname(run_path)


def code_of(payload: str) -> str:
    """Return a token for the code of a task: tasks with equal tokens may share a worker process.

    Empty in a payload of an earlier version, and in those of tests.
    """
    code: str = json.loads(payload).get("code", "")
    return code


@dataclass(frozen=True)
class Task:
    """One node of a graph as an engine sees it.

    `key` is `<namespace>/<hash>`. `task_name` is `<namespace>-<hash>-<claim>`: unique for this
    submission, and the same for all drivers that share it. `payload` is the argument of
    `huldra.worker.run_node`. `needs` are the keys of all dependencies; `after` those of them that
    are in this graph. `after_jobs` are jobs that are in flight under another driver; they belong to
    this engine if `JobRef.engine` equals the executor's `name`. A task may start before they end:
    `run_node` waits for what is missing. `directory` is the artifact's directory, `log_path` the
    file that `run_node` logs to.
    """

    key: str
    task_name: str
    label: str
    payload: str
    directory: str
    log_path: str
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    after_jobs: tuple[JobRef, ...] = ()
    resources: Resources = field(default_factory=Resources)


class SubmittedNode(NamedTuple):
    """What an executor keeps of a node that was submitted to it: its store, key and run."""

    root: str
    key: str
    run_path: str


@dataclass(frozen=True)
class TaskGraph:
    """Tasks in topological order (each after all its dependencies), with their run record.

    `run_id` is unique. `run_path` is the file of the run record, on disk before `submit` is called.
    `root` is the store's root. `preempt_max` is the number of retries after infrastructure
    failures, beside the first try. `named_job` is what the executor's `job_template` returned for
    the graph.
    """

    run_id: str
    run_path: str
    root: str
    tasks: Mapping[str, Task]
    preempt_max: int = 5
    named_job: JobRef | None = None

    @property
    def run_suffix(self) -> str:
        """A suffix for task names: of this run, and of no other one of any store.

        The attempts of an artifact that was removed count from 1 again. An engine that remembers
        names must not take the new attempt for the job of before.
        """
        text = f"{self.root}\0{self.run_path}"
        return f"-{hashlib.blake2s(text.encode(), digest_size=8).hexdigest()}"

    def refs(self, named: JobRef) -> dict[str, JobRef]:
        """Return the job of each task, where `named` is the part that all of their refs share."""
        return {key: named.named(task.task_name) for key, task in self.tasks.items()}

    def sent(self, key: str) -> SubmittedNode:
        """Return what an executor keeps of a submitted task."""
        return SubmittedNode(self.root, key, self.run_path)

    def in_flight(self, open_jobs: Mapping[tuple[str, str], str]) -> dict[str, list[str]]:
        """Return the open jobs that each task depends on; `open_jobs` maps (root, key) to a name.

        The core does not find jobs that end with this process, so they are not in `after_jobs`. A
        task that does not wait for them at its engine would hold a worker only to wait; enough such
        tasks, and their dependencies never get a worker.
        """
        if not open_jobs:
            return {}
        found = {
            key: [
                open_jobs[self.root, need]
                for need in task.needs
                if need not in self.tasks and (self.root, need) in open_jobs
            ]
            for key, task in self.tasks.items()
        }
        return {key: names for key, names in found.items() if names}


@dataclass(frozen=True)
class Refusal:
    """Why an engine cannot take a task: the task's `key`, the `request` (a resource key), why."""

    key: str
    request: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.request}: {self.reason}"


OnSubmitted = Callable[[str, JobRef], None]


@runtime_checkable
class Executor(Protocol):
    """What an adapter provides. Any thread may call any method."""

    @property
    def name(self) -> str:
        """The engine's name: `JobRef.engine` of its jobs, and the key in the registry."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this executor can do; constant for its lifetime."""
        ...

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Return each request that the engine cannot honour; an empty list if there is none.

        Submits nothing. An engine that cannot tell yet, for example because no worker has declared
        its resources, does not refuse.

        Raises:
            HuldraExecutorError: The engine could not be reached. Transient.
        """
        ...

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Submit the whole graph without waiting for any task to run.

        On return the engine has accepted all tasks; whether they will run or succeed is not
        promised. Calls `on_submitted(key, ref)` as soon as each job has an id, before it submits
        the next, so that a crash of this process loses no job.

        Raises:
            HuldraSubmitError: The engine did not accept all tasks. Those that it had accepted are
                cancelled first, or named in the message. Transient where the engine was
                unreachable or busy; the message has the engine's reason.
        """
        ...

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """Return the status of each ref, with one query of the engine for all of them.

        A job whose status the engine could not report is UNKNOWN, never dead; so are all jobs of a
        query that failed. A ref of another process is a legal argument.
        """
        ...

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Block until at least one job is over and return all that are; empty after `timeout_s`.

        `timeout_s` is in seconds; 0 only checks. A job that the executor cannot observe is left
        out, which does not mean that it still runs.
        """
        ...

    def cancel(self, refs: Collection[JobRef]) -> None:
        """Ask the engine to end these jobs; jobs that are over stay as they are.

        On return the request is made; the jobs may end later. The core has already recorded the
        cancellation beside each claim, so a job that the engine cannot end still sees it.

        Raises:
            HuldraExecutorError: The engine could not be reached. Transient.
        """
        ...

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """Return the paths of the engine's own log files of each job.

        A path need not exist yet; a file that exists is readable on this host.
        """
        ...

    def close(self) -> None:
        """Release what this executor started itself; jobs of an outside cluster continue.

        Queued jobs that end with this executor are released, so that other drivers can submit them.
        """
        ...


@runtime_checkable
class NamesJobs(Protocol):
    """Optional: an executor that chooses the names of its jobs itself.

    Then the queued attempts of a run share one record of their jobs, which is many times faster
    than one for each, and `run_node` finds its job by itself.
    """

    def job_template(self, graph: TaskGraph) -> JobRef:
        """Return what the refs of the graph's jobs have in common; called before anything is sent.

        Its `job_id` is what follows each `Task.task_name`. The names are on disk before `submit` is
        called, so `status` answers UNKNOWN for a name that may still be on its way.
        """
        ...


@runtime_checkable
class RecoversJobs(Protocol):
    """Optional: an executor whose engine finds a job that this process did not live to record."""

    def recovery_hints(self, graph: TaskGraph) -> Mapping[str, Mapping[str, Any]]:
        """Return for each key what finds its job again, as JSON; called before anything is sent."""
        ...

    def recover(self, ref: JobRef) -> JobRef | None:
        """Return the job's own ref for one whose `meta["hint"]` is such a hint; None if not found.

        Raises:
            HuldraExecutorError: The engine could not be reached. Transient.
        """
        ...


@runtime_checkable
class ReportsFailures(Protocol):
    """Optional: an executor that keeps what its engine said of jobs that ended badly."""

    def failure_reason(self, ref: JobRef) -> str:
        """Return the engine's own words, for the error of a lost job; "" where it said nothing."""
        ...


_FORMER_NAMES = {
    "job_template": "named_jobs",
    "recovery_hints": "job_hints",
    "recover": "find",
    "failure_reason": "why",
}


def optional_method(executor: object, name: str) -> Callable[..., Any] | None:
    """Return the executor's method of an optional protocol, None where it has none.

    Its name of the version before still works, with a `DeprecationWarning`.
    """
    method: Callable[..., Any] | None = getattr(executor, name, None)
    if method is not None:
        return method
    former: Callable[..., Any] | None = getattr(executor, _FORMER_NAMES[name], None)
    if former is not None:
        kind = type(executor).__qualname__
        text = f"{kind}.{_FORMER_NAMES[name]} is called {name} now; the old name goes in a version"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
    return former


def refuse_by_capabilities(graph: TaskGraph, capabilities: Capabilities) -> list[Refusal]:
    """Return the requests that `capabilities` alone rule out; adapters call it in `check`."""
    refusals = []
    prefixes = ENGINE_PREFIXES
    if any(not key.startswith(prefixes) for t in graph.tasks.values() for key in t.resources.extra):
        prefixes = _known_prefixes(capabilities.extra_prefix)
    for task in graph.tasks.values():
        cannot = sorted(RESOURCE_KEYS - capabilities.honours - capabilities.ignores)
        refusals += [
            Refusal(task.key, key, "not supported by this engine")
            for key in cannot
            if getattr(task.resources, key)
        ]
        refusals += [
            Refusal(task.key, f"retry.{factor}", why)
            for factor, why in _growth_refusals(task.resources, capabilities)
        ]
        for key in task.resources.extra:
            if not key.startswith(prefixes):
                known = ", ".join(f"{prefix}…" for prefix in prefixes)
                why = f"unknown option; expected a key that starts with {known}"
                refusals.append(Refusal(task.key, key, why))
    return refusals


def _growth_refusals(resources: Resources, capabilities: Capabilities) -> list[tuple[str, str]]:
    """Return what a node's `Retry` asks for and the engine cannot give: the factor, and why."""
    if resources.retry is None:
        return []
    can = capabilities.grows | capabilities.ignores
    return [
        (factor, f"this engine cannot give more {key} at another try; leave {factor}= out of Retry")
        for factor, _, key in GROWTH
        if getattr(resources.retry, factor) is not None and key not in can
    ]


def _known_prefixes(own: str) -> tuple[str, ...]:
    """Return huldra's prefixes, the engine's own, and those of engines of other packages.

    The prefix of such a package is the name of its entry point with `_`, or `EXTRA_PREFIX` of its
    module. Only a module that is already imported is read, because keys of an engine that is not
    used must not import it.
    """
    found = dict.fromkeys(ENGINE_PREFIXES)
    if own:
        found[own] = None
    for name, module in registered_engines().items():
        found[f"{name}_"] = None
        if declared := getattr(sys.modules.get(module), "EXTRA_PREFIX", ""):
            found[str(declared)] = None
    return tuple(found)


@lru_cache(maxsize=1)
def registered_engines() -> dict[str, str]:
    """Return the engines of other packages: the name of each, and its module."""
    import importlib.metadata  # half of the time that importing huldra would take

    found = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return {point.name: point.value for point in found}
