"""The executor: each node a Ray task, with refs as edges."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from huldra.engines.kit import (
    Capabilities,
    ExitRelease,
    JobRef,
    JobStatus,
    OnSubmitted,
    Refusal,
    SentJobs,
    Task,
    TaskGraph,
    driver_record,
    output_files_of,
    refuse_by_capabilities,
)
from huldra.errors import HuldraExecutorError, HuldraSubmitError
from huldra_ray import NAME, driver_path, remote, resources, runtime, runtime_envs
from huldra_ray.supervisor import Supervisor
from huldra_ray.supervisor_client import SupervisorProxy

log = logging.getLogger("huldra.ray")

_LISTEN_S = 2.0
# A name is on disk before its node is sent, so for a while a name that is not known means little.
_ON_ITS_WAY_S = 60.0
_live: dict[str, RayExecutor] = {}


class RayExecutor:
    """Runs nodes on Ray: the runtime of this process, a cluster, or one of our own.

    Jobs of a cluster that runs outside of this process go on when this process ends: a detached
    actor, `huldra-supervisor-2` in the namespace `huldra`, sends them. `runtime_env` is Ray's,
    and is given to each node's task, with what this process gave to `ray.init`.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        cpus: int | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        **init_options: Any,
    ) -> None:
        """`address` as in `ray.init`; without one, what is there, or a runtime of `cpus` slots."""
        self._ray = runtime.require()
        self._runtime = runtime.reach(address, cpus, **init_options)
        self._runtime_env = dict(runtime_env or {})
        self._jobs = SentJobs[None]()
        self._has_logged_end = False
        self._is_closed = False
        self._supervisor = self._reach_supervisor()
        self._cursor = self._supervisor.news(-1, 0.0)[0]
        self._listener = threading.Thread(target=self._listen, name="huldra-ray-news", daemon=True)
        self._listener.start()
        # Registered after Ray's own, and so called before it.
        atexit.register(self._leave_at_exit)
        _live[self._runtime.address] = self

    @staticmethod
    def from_name(spec: str, **options: Any) -> RayExecutor:
        """`"ray"`, `"ray:4"` (cpus), `"ray:auto"` or `"ray://host:port"`."""
        address, cpus = runtime.address_of(spec)
        return RayExecutor(address, cpus=cpus, **options)

    @staticmethod
    def here() -> RayExecutor:
        """The executor of the runtime that this process has, the same one each time."""
        ray = runtime.require()
        found = (
            _live.get(str(ray.get_runtime_context().gcs_address)) if ray.is_initialized() else None
        )
        return found or RayExecutor()

    @property
    def name(self) -> str:
        """`ray`."""
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        """What Ray can do on this runtime."""
        outlives = not self._runtime.ends_with_us
        return Capabilities(
            native_dependencies=True,
            survives_driver=outlives,
            finds_by_id=outlives,
            cancels_queued=True,
            kills_running=True,
            isolates=True,
            retries_infrastructure=True,
            honours=frozenset({"cpus", "gpus", "memory_gb", "time_min"}),
            grows=frozenset({"memory_gb", "time_min"}),
            extra_prefix="ray_",
        )

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Name what no node of the cluster can give."""
        refusals = refuse_by_capabilities(graph, self.capabilities)
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        refusals += resources.refuse(graph.tasks.values(), nodes)
        return refusals + self._refuse_runtime_envs(graph.tasks.values())

    def job_template(self, graph: TaskGraph) -> JobRef:
        """The jobs of a graph, by what their names have in common."""
        return JobRef(NAME, graph.run_suffix, self._meta(graph))

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Send all tasks, with refs as edges."""
        self._log_that_jobs_end_with_us()
        refs = graph.refs(graph.named_job or self.job_template(graph))
        names = {key: ref.job_id for key, ref in refs.items()}
        in_flight = graph.in_flight(self._jobs.names_by_node())
        site = driver_path.describe()
        envs = _RuntimeEnvs(self._common_env(), None if self._runtime.ends_with_us else site)
        most_gb = self._most_gb(graph)
        batch = [self._entry(graph, key, names, envs, most_gb) for key in graph.tasks]
        for entry, key in zip(batch, graph.tasks, strict=True):
            entry["after"] += in_flight.get(key, ())
        self._jobs.add({name: (graph.sent(key), None) for key, name in names.items()})
        try:
            self._supervisor.submit(batch, site)
        except Exception as error:
            raise HuldraSubmitError(
                f"Ray at {self._runtime.address} did not accept the graph: {error!r}"
            ) from error
        for key, ref in refs.items():
            on_submitted(key, ref)

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """Ask the supervisor once for all that are not known to be over.

        Ray has one answer for a queued and a running task: QUEUED stands for both here, and the
        artifact shows which it is.
        """
        unknown = [ref for ref in refs if not self._jobs.is_over(ref)]
        asked = self._ask(unknown) if unknown else {}
        return {
            ref: asked.get(ref) or self._jobs.status_of(ref) or JobStatus.UNKNOWN for ref in refs
        }

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Return when one has ended; those of other drivers are polled."""
        return self._jobs.wait(refs, timeout_s, self.status)

    def cancel(self, refs: Collection[JobRef]) -> None:
        """Cancel these; what runs is interrupted, and killed after a grace."""
        names = [ref.job_id for ref in refs if not self._jobs.is_over(ref)]
        if names:
            self._supervisor.cancel(names)

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """What Ray's workers printed while they worked for the run of each job."""
        return output_files_of(refs, NAME)

    def failure_reason(self, ref: JobRef) -> str:
        """Ray's reason when a job ended badly; empty where it has none."""
        return self._jobs.reason(ref)

    def close(self) -> None:
        """Shut down a runtime that we started; leave any other as it is."""
        self._stop_listening()
        atexit.unregister(self._leave_at_exit)
        if _live.get(self._runtime.address) is self:
            del _live[self._runtime.address]
        if self._runtime.is_ours:
            with contextlib.suppress(Exception):
                self._ray.shutdown()
        if self._runtime.ends_with_us:  # and with the supervisor, which is a thread of ours
            self._lose_all(HuldraExecutorError("its executor was closed"))

    # --- sending

    def _common_env(self) -> dict[str, Any]:
        """What all nodes have: Ray adds that of the driver's job by itself, where it is theirs."""
        of_job = {} if self._runtime.ends_with_us else runtime_envs.of_driver(self._ray)
        return runtime_envs.merge(of_job, self._runtime_env)

    def _refuse_runtime_envs(self, tasks: Iterable[Task]) -> list[Refusal]:
        common = self._common_env()
        reasons: dict[str, list[str]] = {}
        refusals = []
        for task in tasks:
            own = task.resources.extra.get(runtime_envs.EXTRA_KEY)
            if repr(own) not in reasons:
                env = runtime_envs.merge(common, own)
                outlives = not self._runtime.ends_with_us
                reasons[repr(own)] = list(runtime_envs.problems(env, outlives_driver=outlives))
            refusals += [Refusal(task.key, "runtime_env", reason) for reason in reasons[repr(own)]]
        return refusals

    def _entry(
        self,
        graph: TaskGraph,
        key: str,
        names: Mapping[str, str],
        envs: _RuntimeEnvs,
        most_gb: float | None,
    ) -> dict[str, Any]:
        task = graph.tasks[key]
        asked = task.resources
        options = resources.options(asked)
        if env := envs.of(task):
            options["runtime_env"] = env
        in_flight = [ref.job_id for ref in task.after_jobs if ref.engine == NAME]
        return {
            "name": names[key],
            "directory": task.directory,
            "call": _call(task, names[key]),
            "options": {**options, "name": task.label},
            "after": [names[other] for other in task.after] + in_flight,
            "retries": graph.preempt_max,
            "asked": resources.growing(asked, most_gb) if asked.retry else {},
        }

    def _most_gb(self, graph: TaskGraph) -> float | None:
        """The memory of the largest node, where a task may ask for more than it has now."""
        if not any(task.resources.retry for task in graph.tasks.values()):
            return None
        alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return max((node.get("memory", 0) / resources.GIB for node in alive), default=None)

    def _meta(self, graph: TaskGraph) -> dict[str, Any]:
        return {
            "address": self._runtime.address,
            "driver": driver_record() if self._runtime.ends_with_us else None,
            "queued_at": time.time(),
            "logs": os.path.dirname(graph.run_path),
        }

    def _reach_supervisor(self) -> Any:
        if self._runtime.ends_with_us:
            return Supervisor(remote.task_for)
        return SupervisorProxy(self._ray, self._runtime.contact)

    def _log_that_jobs_end_with_us(self) -> None:
        if self._runtime.ends_with_us and not self._has_logged_end:
            self._has_logged_end = True
            log.info("these jobs end with this process, because it started their Ray runtime")

    # --- hearing

    def _listen(self) -> None:
        """Note each end that the supervisor reports; ends with the runtime."""
        while not self._is_closed:
            try:
                self._cursor, ends = self._supervisor.news(self._cursor, _LISTEN_S)
                if not self._ray.is_initialized():
                    raise HuldraExecutorError("it was shut down")
            except BaseException as error:  # noqa: BLE001  at its shutdown Ray raises SystemExit here
                if not self._is_closed:
                    self._lose_all(error)
                return
            if ends:
                self._note([(name, JobStatus(status), reason) for name, status, reason in ends])

    def _leave_at_exit(self) -> None:
        """Be out of Ray before it ends, and let no caller wait for what it then forgets."""
        self._stop_listening()
        if self._runtime.ends_with_us:
            ExitRelease().end(self._jobs.nodes())

    def _stop_listening(self) -> None:
        """Be out of Ray before it is shut down here: else it may end the whole process."""
        self._is_closed = True
        self._supervisor.close()
        self._listener.join(_LISTEN_S)

    def _note(self, ends: Sequence[tuple[str, JobStatus, str]]) -> None:
        self._jobs.end(ends, engine_reports=not self._runtime.ends_with_us)

    def _lose_all(self, error: BaseException) -> None:
        self._supervisor.close()
        gone = f"Ray is gone: {error!r}"
        self._note([(name, JobStatus.LOST, gone) for name in self._jobs.names()])
        _live.pop(self._runtime.address, None)

    def _ask(self, refs: Sequence[JobRef]) -> dict[JobRef, JobStatus]:
        try:
            reported = self._supervisor.status([ref.job_id for ref in refs])
        except Exception as error:  # noqa: BLE001  a query that fails answers UNKNOWN
            log.debug("Ray at %s did not answer: %r", self._runtime.address, error)
            return dict.fromkeys(refs, JobStatus.UNKNOWN)
        return {ref: self._read(ref, reported.get(ref.job_id)) for ref in refs}

    def _read(self, ref: JobRef, reported: tuple[str, str] | None) -> JobStatus:
        if reported is not None:
            return JobStatus(reported[0])
        # The supervisor never forgets: what it does not know was another one's, or never came.
        is_here = ref.meta.get("address") == self._runtime.address
        is_young = time.time() - float(ref.meta.get("queued_at") or 0) < _ON_ITS_WAY_S
        return JobStatus.LOST if is_here and not is_young else JobStatus.UNKNOWN


def _call(task: Task, name: str) -> bytes:
    """One node as it travels to a worker: bytes, which Ray neither pickles nor packs."""
    limit_min = task.resources.time_min
    limit_s = limit_min * 60 if limit_min else None
    return json.dumps({"payload": task.payload, "name": name, "time_limit_s": limit_s}).encode()


class _RuntimeEnvs:
    """The runtime_env of each node of one submit: few different ones, each uploaded once."""

    def __init__(self, common: Mapping[str, Any], site: Mapping[str, Any] | None) -> None:
        """`site` is the driver's, where workers of another driver could be taken for ours."""
        self._common = common
        mark = {runtime_envs.DRIVER_VARIABLE: str(site["digest"])} if site else {}
        self._mark = {"env_vars": mark} if mark else {}
        self._found: dict[str, dict[str, Any]] = {}

    def of(self, task: Task) -> dict[str, Any]:
        """The runtime_env of this task; empty where it is that of the job."""
        own = task.resources.extra.get(runtime_envs.EXTRA_KEY)
        shape = repr(own)
        if shape not in self._found:
            env = runtime_envs.merge(self._common, own, self._mark)
            self._found[shape] = runtime_envs.uploaded(env) if env else {}
        return self._found[shape]
