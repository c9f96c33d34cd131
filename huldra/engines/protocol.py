"""The seam between huldra and an engine: what a graph is, and what an executor promises.

An engine carries tokens only. Configs travel in the run record on the shared disk, results
in the artifacts, and each task is the same call: `huldra.worker.run_node(payload)`, where
`payload` is a short JSON text. `run_node` is idempotent: run twice, or re-run after a worker
died, it makes the artifact once. So an adapter may re-run a payload after an infrastructure
failure, and must never re-run one because `run_node` raised `NodeFailed`.
"""

from __future__ import annotations

import enum
import hashlib
import json
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

from huldra.store.job_ref import JobRef

RESOURCE_KEYS = frozenset({"cpus", "gpus", "memory_gb", "time_min"})
# Of the text that engines carry and of the run record; a worker refuses one that it does not know.
PAYLOAD_PROTOCOL = 2
PAYLOAD_PROTOCOLS = frozenset({1, 2})  # 1: jobs that a version before this one has queued
ENGINE_PREFIXES: tuple[str, ...] = ("local_", "slurm_", "dask_", "ray_")
ENTRY_POINTS = "huldra.executors"


@dataclass(frozen=True)
class Resources:
    """What one node needs, for every engine; never part of the hash.

    `cpus` and `gpus` are counts, `memory_gb` is in units of 2**30 bytes, `time_min` in
    minutes. `extra` holds keys for one engine, with that engine's prefix
    (`{"slurm_partition": "gpu"}`): other engines ignore them; a key with no known prefix is
    refused at submit.
    """

    cpus: float | None = None
    gpus: float | None = None
    memory_gb: float | None = None
    time_min: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in sorted(RESOURCE_KEYS):
            value = getattr(self, key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"Resources.{key} must be a number, not {value!r}")
            if not value >= 0 or value == float("inf"):
                raise ValueError(f"Resources.{key} must be finite and not negative, not {value!r}")


class JobStatus(enum.StrEnum):
    """What an engine says of a job. UNKNOWN is a legal answer and never means dead."""

    QUEUED = "queued"  # the engine has it and has not started it
    RUNNING = "running"
    SUCCEEDED = "succeeded"  # its process ended well; whether the artifact is made, the store says
    FAILED = "failed"  # the user's code, or run_node, ended it as a failure
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"  # ended by the engine for others; it will not be run again by it
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    LOST = "lost"  # the worker, its host or the engine died
    UPSTREAM_FAILED = "upstream_failed"  # never ran: something that it depends on failed
    UNKNOWN = "unknown"

    @property
    def is_over(self) -> bool:
        """Whether the engine will do nothing more for this job."""
        return self not in _OPEN

    @property
    def is_infrastructure(self) -> bool:
        """Whether the job ended for a reason that is not the user's code."""
        return self in _INFRASTRUCTURE


_OPEN = frozenset({JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.UNKNOWN})
_INFRASTRUCTURE = frozenset(
    {JobStatus.PREEMPTED, JobStatus.TIMED_OUT, JobStatus.OUT_OF_MEMORY, JobStatus.LOST}
)


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do; the conformance suite selects its tests by these.

    `survives_driver`: jobs go on when the submitting process exits. `finds_by_id`: another
    process can ask for the status of a job and cancel it. `kills_running`: cancel ends a
    running `_create`. `isolates`: a node runs in a process of its own, so that its death costs
    that node only. `retries_infrastructure`: a worker's death costs the node one retry, made by
    the engine or its adapter. `honours` are the resource keys that it reserves or enforces
    (`time_min` too); a key outside is refused when it is set. `ignores` are keys that are
    accepted without effect (inline execution).
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
    extra_prefix: str = ""


def run_folder(payload: str) -> str:
    """The folder of the run that a task's payload belongs to."""
    run_path: str = json.loads(payload)["run"]
    return os.path.dirname(run_path)


def code_of(payload: str) -> str:
    """What is equal in the payloads of two tasks that one process can serve with what it imports.

    Empty in a payload of an earlier version, and in those of tests.
    """
    code: str = json.loads(payload).get("code", "")
    return code


@dataclass(frozen=True)
class Task:
    """One node of a graph as an engine sees it.

    `key` is `<namespace>/<hash>`. `task_name` is `<namespace>-<hash>-<claim>`, unique for this
    submission and stable across drivers that share it. `payload` is the argument of
    `huldra.worker.run_node`. `needs` are the keys of all that it needs; those of them that are in
    this graph are `after`. `after_jobs` are jobs that were found in flight under another driver (of
    this engine, where `JobRef.engine` equals the executor's `name`; a task may start before they
    end, `run_node` waits for what is missing).
    `directory` is the artifact's directory, `log_path` the file that `run_node` logs to.
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
    resources: Resources = Resources()


class SubmittedNode(NamedTuple):
    """A node as the executor that it was sent to remembers it: its store, its key and its run."""

    root: str
    key: str
    run_path: str


@dataclass(frozen=True)
class TaskGraph:
    """Tasks in topological order (each after all that it needs), with their run record.

    `run_id` is unique; `run_path` is the run record's file, on disk before `submit` is called.
    `root` is the store's root. `named_job` is what the executor's `named_jobs` said of the graph.
    """

    run_id: str
    run_path: str
    root: str
    tasks: Mapping[str, Task]
    preempt_max: int = 5
    named_job: JobRef | None = None

    @property
    def store_suffix(self) -> str:
        """What may follow a task's name: equal for all drivers of one store, and for no others."""
        return f"-{hashlib.blake2s(self.root.encode(), digest_size=4).hexdigest()}"

    def refs(self, named: JobRef) -> dict[str, JobRef]:
        """The job of each task, where `named` is what all of their refs have in common."""
        return {key: named.named(task.task_name) for key, task in self.tasks.items()}

    def sent(self, key: str) -> SubmittedNode:
        """What to remember of a task of this graph once it was sent."""
        return SubmittedNode(self.root, key, self.run_path)

    def in_flight(self, open_jobs: Mapping[tuple[str, str], str]) -> dict[str, list[str]]:
        """What each task needs of an executor's open jobs, which are given by root and key.

        Jobs that end with this process are not recorded where the core would find them for
        `after_jobs`. A task that does not wait for them at its engine would hold a worker only to
        wait there: enough of these, and what they need never gets one.
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
    """Why an engine will not take a task: the task's `key`, the `request` (a resource key), why."""

    key: str
    request: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.request}: {self.reason}"


OnSubmitted = Callable[[str, JobRef], None]


@runtime_checkable
class Executor(Protocol):
    """What an adapter provides. All methods may be called from any thread."""

    @property
    def name(self) -> str:
        """The engine's name: the `engine` of its refs, and the key in the registry."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this executor can do, fixed for its life."""
        ...

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Name each request that cannot be honoured; send nothing. Empty means all is well."""
        ...

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Hand the whole graph over, without waiting for any task to run.

        Calls `on_submitted(key, ref)` as each job's id is born, before it sends the next.
        Raises `HuldraSubmitError` if the engine did not take all of it; what was sent by then
        is cancelled first, or named in the message.
        """
        ...

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """Ask the engine once for all refs. A query that fails answers UNKNOWN, never dead."""
        ...

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Return those that are over, as soon as one is, or the empty set at the timeout."""
        ...

    def cancel(self, refs: Collection[JobRef]) -> None:
        """End these jobs if the engine still has them; those that are over stay as they are."""
        ...

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """Name the engine's own log files of each job; those that exist are readable here."""
        ...

    def close(self) -> None:
        """Release what this executor started itself; jobs of an outside cluster go on."""
        ...


def refuse_by_capabilities(graph: TaskGraph, capabilities: Capabilities) -> list[Refusal]:
    """Name the requests that `capabilities` alone rule out: each adapter's `check` starts here."""
    refusals = []
    prefixes = ENGINE_PREFIXES
    if any(not key.startswith(prefixes) for t in graph.tasks.values() for key in t.resources.extra):
        prefixes = _known_prefixes(capabilities.extra_prefix)
    for task in graph.tasks.values():
        cannot = sorted(RESOURCE_KEYS - capabilities.honours - capabilities.ignores)
        refusals += [
            Refusal(task.key, key, "this engine cannot honour it")
            for key in cannot
            if getattr(task.resources, key)
        ]
        for key in task.resources.extra:
            if not key.startswith(prefixes):
                known = ", ".join(f"{prefix}…" for prefix in prefixes)
                refusals.append(Refusal(task.key, key, f"no engine's prefix (known: {known})"))
    return refusals


def _known_prefixes(own: str) -> tuple[str, ...]:
    """Ours, the engine's own, and those of engines that other packages bring.

    Such a package's prefix is the name of its entry point with `_`, or what its module says as
    `EXTRA_PREFIX`; only a module that is imported already is asked, for keys of engines that are
    not used must not import them.
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
    """The engines that other packages bring, by their names: the module of each."""
    import importlib.metadata  # half of the time that importing huldra would take

    found = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return {point.name: point.value for point in found}


class NodeExecutor:
    """Base for engines that take a graph task by task and know dependencies natively.

    A subclass writes `submit_one(task, after)`, where `after` holds what `submit_one` returned
    for the tasks before it; `ref_of(handle)` attempts such a handle into a `JobRef`.
    """

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Submit in topological order and report each id as it is born."""
        handles: dict[str, Any] = {}
        for key, task in graph.tasks.items():
            handle = self.submit_one(task, [handles[k] for k in task.after])
            handles[key] = handle
            on_submitted(key, self.ref_of(task, handle))

    def submit_one(self, task: Task, after: Sequence[Any]) -> Any:
        """Send one task that starts once all of `after` have ended, well or badly."""
        raise NotImplementedError

    def ref_of(self, task: Task, handle: Any) -> JobRef:
        """The ref of a handle that `submit_one` returned."""
        raise NotImplementedError
