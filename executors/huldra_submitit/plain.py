"""submitit's own clusters without a scheduler: `local` processes, in-process `debug`, plugins.

Nothing here knows dependencies: every node is submitted at once, and `run_node` waits for what
it needs. `local` starts a process a node without any limit on their number; for many nodes
huldra's own `"local"` engine is the better one.
"""

from __future__ import annotations

import atexit
import copy
import glob
import os
import pickle
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from huldra.engines.kit import (
    RESOURCE_KEYS,
    Capabilities,
    JobRef,
    JobStatus,
    OnSubmitted,
    Refusal,
    Task,
    TaskGraph,
    refuse_by_capabilities,
    start_time,
    this_process,
)
from huldra.errors import HuldraExecutorError, HuldraSubmitError, NodeFailed
from huldra_submitit import parameters as params
from huldra_submitit.node import Node
from huldra_submitit.words import status_of

ENGINE = "submitit"
_PAUSE_S = 0.1

# Handles of processes that this one started: submitit reaps them through these.
_handles: dict[str, Any] = {}


@atexit.register
def _reap() -> None:
    for handle in _handles.values():
        if hasattr(handle, "get_info"):
            handle.get_info()
    _handles.clear()  # their destructors need modules that interpreter exit takes away


class PlainExecutor:
    """Sends graphs to a submitit executor that is not Slurm's; the executor is never changed."""

    def __init__(self, executor: Any) -> None:
        self._executor = getattr(executor, "_executor", executor)
        self._cluster = str(type(self._executor).name())
        self._debug: dict[str, JobStatus] = {}

    @property
    def name(self) -> str:
        """The engine's name."""
        return ENGINE

    @property
    def capabilities(self) -> Capabilities:
        """What this cluster can do: `local` outlives the driver, `debug` is the driver."""
        is_local = self._cluster == "local"
        return Capabilities(
            survives_driver=is_local,
            finds_by_id=is_local,
            cancels_queued=is_local,
            kills_running=is_local,
            isolates=self._cluster != "debug",
            honours=frozenset({"gpus", "time_min"}) if is_local else frozenset(),
            ignores=RESOURCE_KEYS - {"gpus", "time_min"} if is_local else RESOURCE_KEYS,
            extra_prefix=params.PREFIX,
        )

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Name requests that submitit cannot honour here; `slurm_` keys have no effect."""
        refused = refuse_by_capabilities(graph, self.capabilities)
        if self._cluster == "local":
            there = self._gpus_here()
            refused += [
                Refusal(key, "gpus", f"{task.resources.gpus:g} GPUs, but this host has {there}")
                for key, task in graph.tasks.items()
                if task.resources.gpus and task.resources.gpus > there
            ]
        return refused

    def _gpus_here(self) -> int:
        visible = self._executor.parameters.get("visible_gpus")
        return len(visible) if visible else len(glob.glob("/dev/nvidia[0-9]*"))

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Submit every node; `debug` makes each one here and now, as submitit does.

        Raises:
            HuldraSubmitError: submitit refused a node; what was sent before goes on or fails by
                itself, and the message names it.
        """
        jobs: list[Any] = []
        for key, task in graph.tasks.items():
            try:
                job = self._submit_one(graph, task)
            except (OSError, RuntimeError, ValueError, NameError, AssertionError) as error:
                sent = ", ".join(str(job.job_id) for job in jobs) or "nothing"
                raise HuldraSubmitError(
                    f"{key}: submitit's {self._cluster} executor refused it: {error}; sent before"
                    f" and going on: {sent}",
                    key=key,
                ) from error
            jobs.append(job)
            on_submitted(key, self._ref(job))
        if self._cluster == "debug":
            for job in jobs:
                self._run_here(job)

    def _submit_one(self, graph: TaskGraph, task: Task) -> Any:
        executor = copy.copy(self._executor)
        asked = params.resource_parameters(task.resources)
        executor.parameters = {**self._executor.parameters, **_local_names(asked)}
        if self._cluster == "debug":
            return executor.submit(InProcess(task.payload))
        # -P: the working directory is no place to import from; the run record has the path.
        executor.python = f"{executor.python} -P"
        executor._throttling = 0.0  # noqa: SLF001  a pause that is meant for a scheduler
        job = executor.submit(Node(task.payload, ENGINE, graph.preempt_max))
        _handles[str(job.job_id)] = job
        return job

    def _ref(self, job: Any) -> JobRef:
        job_id = str(job.job_id)
        meta: dict[str, Any] = {
            "cluster": self._cluster,
            "logs": [str(job.paths.stdout), str(job.paths.stderr)],
            "result": str(job.paths.result_pickle),
        }
        if self._cluster == "local":
            meta |= {"started": start_time(int(job_id)) or "", **_here()}
        return JobRef(ENGINE, job_id, meta)

    def _run_here(self, job: Any) -> None:
        failure = job.submission().result()  # `results()` would open a debugger on errors of ours
        status = JobStatus.SUCCEEDED if failure is None else JobStatus.FAILED
        self._debug[str(job.job_id)] = status

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """Return the status of each job: by its process, then by submitit's record of its end."""
        return {ref: self._status_of(ref) for ref in refs}

    def _status_of(self, ref: JobRef) -> JobStatus:
        if ref.job_id in self._debug:
            return self._debug[ref.job_id]
        if ref.meta.get("cluster") == "local":
            return local_status(ref)
        handle = _handles.get(ref.job_id)
        return JobStatus.UNKNOWN if handle is None else status_of(str(handle.state))

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Those that are over, as soon as one is, or the empty set at the timeout."""
        deadline = time.monotonic() + timeout_s
        while True:
            over = {ref for ref, status in self.status(refs).items() if status.is_over}
            left_s = deadline - time.monotonic()
            if over or left_s <= 0 or not refs:
                return over
            time.sleep(min(_PAUSE_S, left_s))

    def cancel(self, refs: Collection[JobRef]) -> None:
        """End the processes of these jobs; submitit passes the signal on to the node."""
        for ref in refs:
            if ref.meta.get("cluster") == "local":
                if local_status(ref) is JobStatus.RUNNING:
                    os.kill(int(ref.job_id), signal.SIGTERM)
            elif ref.job_id in _handles:
                _handles[ref.job_id].cancel(check=False)

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """Name submitit's files of stdout and stderr."""
        return {ref: [p for p in ref.meta.get("logs", ()) if os.path.exists(p)] for ref in refs}

    def close(self) -> None:
        """Release nothing: jobs go on."""


class InProcess:
    """A node for submitit's debug executor: returns the failure, since raising opens a debugger."""

    def __init__(self, payload: str) -> None:
        self.payload = payload

    def __call__(self) -> str | None:
        """Make the node here; the text of its failure, or None."""
        from huldra.worker.node import run_node

        try:
            run_node(self.payload)
        except NodeFailed as failure:
            return str(failure)
        return None


def _local_names(asked: Mapping[str, Any]) -> dict[str, Any]:
    names = {"time": "timeout_min", "gpus_per_node": "gpus_per_node"}
    return {names[key]: value for key, value in asked.items() if key in names}


def _here() -> dict[str, str]:
    me = this_process()
    return {"boot_id": me.boot_id, "pid_namespace": me.pid_namespace}


def local_status(ref: JobRef) -> JobStatus:
    """The state of a job whose id is the pid of submitit's controller on this host."""
    meta = ref.meta
    if any(meta.get(name) != value for name, value in _here().items()):
        return JobStatus.UNKNOWN
    if start_time(int(ref.job_id)) == meta.get("started") != "":
        return JobStatus.RUNNING
    handle = _handles.pop(ref.job_id, None)
    if handle is not None:
        handle.get_info()  # reaps the process, which has ended
    return _outcome(str(meta.get("result")))


def _outcome(path: str) -> JobStatus:
    try:
        with open(path, "rb") as file:
            word, _ = pickle.load(file)  # noqa: S301  a pair of texts that submitit wrote
    except FileNotFoundError:
        return JobStatus.LOST
    except (OSError, ValueError, pickle.UnpicklingError, EOFError):
        return JobStatus.UNKNOWN
    return JobStatus.SUCCEEDED if word == "success" else JobStatus.FAILED


def attach(ref: JobRef) -> PlainExecutor:
    """An executor that follows a job of submitit's local cluster on this host.

    Raises:
        HuldraExecutorError: only the process that made the job can follow it.
    """
    if ref.meta.get("cluster") != "local":
        raise HuldraExecutorError(
            f"submitit's {ref.meta.get('cluster')!r} job {ref.job_id} can be followed only in the"
            " process that submitted it; check the artifact instead"
        )
    from submitit.local.local import LocalExecutor

    return PlainExecutor(LocalExecutor(os.path.dirname(str(ref.meta.get("result")))))
