"""The executor: a graph of nodes becomes one graph of Dask tasks, whose keys are ours."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from huldra.engines.kit import (
    Capabilities,
    ExitRelease,
    JobRef,
    JobStatus,
    OnSubmitted,
    Owner,
    Refusal,
    SentJobs,
    TaskGraph,
    driver_record,
    is_same_process,
    output_files_of,
    refuse_by_capabilities,
    this_process,
)
from huldra.errors import HuldraExecutorError, HuldraSubmitError
from huldra_dask import NAME, cluster, resources, scheduler_side, worker_side
from huldra_dask.ended import status_of_error, status_of_text
from huldra_dask.tasks import annotations_of, dask_graph

log = logging.getLogger("huldra.dask")

_QUERY_TIMEOUT_S = 30.0
_CANCEL_S = 0.02
_ADOPT_TIMEOUT_S = 120.0
_WATCH_S = 0.002
_RECONNECT_S = 60.0
_RECONNECT_LOOK_S = 0.1
_OPEN_WORDS = frozenset({"pending", "lost"})  # what is lost is made again
_End = tuple[str, JobStatus, str]  # a job's name, how it ended and why
_CUT_OFF = (JobStatus.LOST, "Dask dropped the task: the connection to its scheduler was lost")
# A key that the scheduler does not know may still be on its way there.
_FORGOTTEN_AFTER_S = 60.0
_ON_ITS_WAY_S = 5.0
_live: weakref.WeakValueDictionary[str, DaskExecutor] = weakref.WeakValueDictionary()


class DaskExecutor:
    """Runs nodes on a Dask cluster: the user's client, cluster or address, or one of our own.

    With `isolate` (the default) a node runs in a child process of its worker: in a main thread,
    stoppable, and harmless to its neighbours when it crashes. Jobs of a scheduler outside of this
    process go on when this process ends. `stalled_after_s`: for how long jobs may wait with no
    worker there that could run them before they are given up as lost; None waits for ever.
    """

    def __init__(
        self,
        target: Any = None,
        *,
        isolate: bool = True,
        stalled_after_s: float | None = 600.0,
        workers: int | None = None,
        **options: Any,
    ) -> None:
        """`target`: a client, a cluster or an address; without one, `workers` slots of our own."""
        if target is None:
            self._reached = cluster.start_own(workers, **options)
        else:
            self._reached = cluster.reach(target)
        self.client = self._reached.client
        self._address = str(self.client.scheduler.address)  # it has none once it gave up
        self._isolate = isolate
        self._stalled_after_s = stalled_after_s
        self._jobs = SentJobs[Any]()  # with the future of each
        self._told_ends_with_us = False
        answer = self._ask(scheduler_side.inspect)
        self.scheduler_id = str(answer["id"])
        process = Owner.from_json(answer["process"])
        self._lives_here = self._reached.owned or is_same_process(process, this_process())
        declares_cpus = resources.Workers.of(answer["workers"]).name_of("cpus")
        self._ignores = frozenset[str]() if declares_cpus else frozenset({"cpus"})
        _live[self.scheduler_id] = self
        if not self.survives_driver:
            # Registered after Dask's own handler, so called before it, which would not be silent.
            atexit.register(self._leave_at_exit)

    @staticmethod
    def from_name(spec: str, **options: Any) -> DaskExecutor:
        """`"dask"`, `"dask:8"` or `"dask://host:port"`."""
        _, _, rest = spec.partition(":")
        if rest.startswith("//"):
            return DaskExecutor(f"tcp:{rest}", **options)
        if rest.startswith(("tcp://", "tls://")):
            return DaskExecutor(rest, **options)
        if rest and not rest.isdigit():
            raise HuldraExecutorError(
                f"{spec!r} is not a Dask executor; expected 'dask', 'dask:<workers>',"
                " 'dask://host:port' or, for a scheduler with TLS, 'dask:tls://host:port'"
            )
        return DaskExecutor(workers=int(rest) if rest else None, **options)

    @staticmethod
    def of(target: Any) -> DaskExecutor:
        """The executor of a user's client or cluster, the same one each time."""
        found = _of_object.get(target)
        if found is None or found.is_closed:
            found = _of_object[target] = DaskExecutor(target)
        return found

    @property
    def name(self) -> str:
        """`dask`."""
        return NAME

    @property
    def is_closed(self) -> bool:
        """True if the client has lost its scheduler for good."""
        return str(self.client.status) in ("closed", "closing")

    @property
    def survives_driver(self) -> bool:
        """True if the scheduler lives outside of this process."""
        return not self._lives_here and self.client.cluster is None

    @property
    def capabilities(self) -> Capabilities:
        """What Dask can do with this cluster."""
        honours = {"cpus", "gpus", "memory_gb"}
        return Capabilities(
            native_dependencies=True,
            survives_driver=self.survives_driver,
            finds_by_id=not self._address.startswith("inproc"),
            cancels_queued=True,
            kills_running=self._isolate,
            isolates=self._isolate,
            retries_infrastructure=True,
            honours=frozenset(honours | {"time_min"} if self._isolate else honours),
            ignores=self._ignores,
            grows=frozenset({"time_min"} if self._isolate else ()),
            extra_prefix="dask_",
        )

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Name what no worker that is there can give."""
        refusals = refuse_by_capabilities(graph, self.capabilities)
        return refusals + resources.refuse(graph.tasks.values(), self._workers())

    def job_template(self, graph: TaskGraph) -> JobRef:
        """The jobs of a graph, by what their names have in common.

        The scheduler groups keys by what stands before the first hexadecimal part; with anything
        else in there, its bookkeeping costs five times as much.
        """
        return JobRef(NAME, graph.run_suffix, self._meta(graph))

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Send the graph as one; on a scheduler outside of this process it outlives us."""
        self._say_what_ends_with_us()
        refs = graph.refs(graph.named_job or self.job_template(graph))
        names = {key: ref.job_id for key, ref in refs.items()}
        try:
            dsk = dask_graph(graph, names, self._in_flight(graph), isolate=self._isolate)
            futures = self._send(graph, dsk, names)
        except Exception as error:
            raise HuldraSubmitError(
                f"the Dask scheduler at {self._address} did not accept {len(names)} tasks:"
                f" {error!r}"
            ) from error
        self._jobs.add({name: (graph.sent(key), futures[name]) for key, name in names.items()})
        self.client.loop.add_callback(self._watch, list(futures.values()))
        for key, ref in refs.items():
            on_submitted(key, ref)
        if self.survives_driver:
            self._let_go(graph, names)

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """One query of the scheduler for all jobs of other processes; ours report their ends.

        Of ours QUEUED stands for all that is not over: whether a node runs, its artifact says.
        """
        known = {ref: self._jobs.status_of(ref) for ref in refs}
        others = [ref for ref, status in known.items() if status is None]
        answers = self._ask_states(others) if others else {}
        return {ref: status or answers[ref] for ref, status in known.items()}

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Return when one of ours has ended; jobs of other processes are polled."""
        return self._jobs.wait(refs, timeout_s, self.status, self._look_for_stall)

    def cancel(self, refs: Collection[JobRef]) -> None:
        """Cancel these and what needs them; what runs is stopped by SIGTERM, then by SIGKILL."""
        names = [ref.job_id for ref in refs if not self._jobs.is_over(ref)]
        if not names:
            return
        running = self._cancel_there(names)
        for address, keys in running.items():
            self.client.run(worker_side.stop, keys, "cancelled", workers=[address])

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """What the children printed that worked for the run of each job; shared by its nodes."""
        return output_files_of(refs, NAME)

    def failure_reason(self, ref: JobRef) -> str:
        """What Dask said when a job ended badly; empty where it said nothing."""
        return self._jobs.reason(ref)

    def close(self) -> None:
        """Close what we opened: our client always, our cluster with the jobs that it has."""
        if self.survives_driver:
            self._leave()
            self._jobs.forget(self._jobs.names())
            return
        self._leave()
        closed = "its executor was closed"
        self._note([(name, JobStatus.PREEMPTED, closed) for name in self._jobs.names()])

    def _leave_at_exit(self) -> None:
        """Close as the process ends, and release what it had queued."""
        self._leave()
        ExitRelease().end(self._jobs.nodes())

    def _leave(self) -> None:
        """Close, without a word on what is left."""
        if _live.get(self.scheduler_id) is self:
            del _live[self.scheduler_id]
        atexit.unregister(self._leave_at_exit)
        if self._reached.owned:
            # Closing the cluster would wait for what runs.
            worker_side.stop(self._jobs.names(), "preempted")
        self._jobs.drop_handles()
        # What it has to say of tasks that are dropped with our own cluster is no news to anybody.
        with _silent("distributed.scheduler") if self._reached.owned else contextlib.nullcontext():
            for part in self._reached.ours:
                part.close()

    # --- sending

    def _in_flight(self, graph: TaskGraph) -> dict[str, list[Any]]:
        """Futures of jobs of other graphs, ours and other drivers', that its tasks need, by key."""
        in_flight = graph.in_flight(self._jobs.names_by_node())
        found = {key: self._jobs.handles(names) for key, names in in_flight.items()}
        held = self._hold(graph)
        for key, task in graph.tasks.items():
            others = [held[ref.job_id] for ref in task.after_jobs if ref.job_id in held]
            if others:
                found[key] = found.get(key, []) + others
        return found

    def _hold(self, graph: TaskGraph) -> dict[str, Any]:
        """Futures of jobs that other drivers sent to this scheduler, held so that they stay."""
        from distributed import Future

        wanted = {
            ref.job_id
            for task in graph.tasks.values()
            for ref in task.after_jobs
            if ref.engine == NAME and ref.meta.get("scheduler_id") == self.scheduler_id
        }
        if not wanted:
            return {}
        names = self._ask(scheduler_side.hold, sorted(wanted), self.client.id)
        return {name: Future(name, self.client) for name in names}

    def _send(
        self, graph: TaskGraph, dsk: dict[str, Any], names: Mapping[str, str]
    ) -> dict[str, Any]:
        import dask.config
        from dask.base import annotate
        from dask.highlevelgraph import HighLevelGraph

        workers = self._workers_to_count(graph)
        # A large graph is meant to be sent whole: it holds names and short texts only.
        quiet = {"distributed.admin.large-graph-warning-threshold": "1 GiB"}
        with dask.config.set(quiet), annotate(**annotations_of(graph, names, workers)):
            # As a layer, and not as the dict that it is: Dask would hash all that stands in a dict.
            layer = HighLevelGraph.from_collections(graph.run_id, dsk, dependencies=())  # type: ignore[arg-type]  # our keys are texts
            futures = self.client.get(layer, list(names.values()), sync=False)
        return dict(zip(names.values(), futures, strict=True))

    def _workers_to_count(self, graph: TaskGraph) -> resources.Workers:
        """The workers that are there, where the graph asks for anything that workers declare."""
        if not resources.are_counted(graph.tasks.values()):
            return resources.Workers(())
        workers = self._workers()
        if not workers.declared:
            log.warning(
                "no Dask worker has connected yet, so cpus and memory_gb of these nodes are not"
                " counted: Dask knows the declared resources only once a worker has connected"
                " (wait_for_workers(1))"
            )
        return workers

    def _let_go(self, graph: TaskGraph, names: Mapping[str, str]) -> None:
        """Have the scheduler keep the graph when we are gone; returns once it has all of it."""
        needed = {other for task in graph.tasks.values() for other in task.after}
        sinks = [name for key, name in names.items() if key not in needed]
        missing = self._ask(
            scheduler_side.adopt,
            list(names.values()),
            sinks,
            _ADOPT_TIMEOUT_S,
            timeout_s=2 * _ADOPT_TIMEOUT_S,
        )
        if missing:
            raise HuldraSubmitError(
                f"the Dask scheduler at {self._address} accepted {len(names) - len(missing)} of"
                f" {len(names)} tasks; missing: {missing[0]}"
            )

    def _meta(self, graph: TaskGraph) -> dict[str, Any]:
        return {
            "scheduler": self._address,
            "scheduler_id": self.scheduler_id,
            "driver": None if self.survives_driver else driver_record(),
            "sent_at": time.time(),
            "logs": os.path.dirname(graph.run_path),
        }

    def _say_what_ends_with_us(self) -> None:
        if not self.survives_driver and not self._told_ends_with_us:
            self._told_ends_with_us = True
            log.info("these jobs end with this process, because their Dask scheduler runs in it")

    # --- hearing

    async def _watch(self, futures: list[Any]) -> None:
        """Note each end; if that breaks, the scheduler is asked for them."""
        try:
            await self._hear(futures)
        except Exception:
            if not threading.main_thread().is_alive():
                return  # the interpreter ends: it starts no threads any more, and we leave next
            log.exception("the Dask scheduler at %s is asked for jobs from now on", self._address)
            self._leave_to_scheduler([future.key for future in futures])

    async def _hear(self, futures: list[Any]) -> None:
        """Note each end soon after the client heard of it; runs in the client's loop.

        The client would wake one coroutine for each future, and two locks with it: for a thousand
        futures that costs as much as a third of Dask's own work, so we look at them now and then.
        How seldom grows with the silence, to a twentieth of it and a twentieth of a second.
        """
        left = futures
        last_end = time.monotonic()
        while left:
            began = time.monotonic()
            ended = [future for future in left if future.status not in _OPEN_WORDS]
            if ended:
                left = [future for future in left if future.status in _OPEN_WORDS]
                ends = {f.key: await self._end_of(f) for f in ended}
                if None in ends.values() and not await self._goes_on():
                    ends = {name: end or _CUT_OFF for name, end in ends.items()}
                reported = [(name, *end) for name, end in ends.items() if end is not None]
                if any(end[1] is not JobStatus.SUCCEEDED for end in reported):
                    # Ends attempts on disk, for which the loop has not the time.
                    await asyncio.to_thread(self._note, reported)
                else:
                    self._note(reported)
                self._leave_to_scheduler([name for name, end in ends.items() if end is None])
                last_end = time.monotonic()
            silence_s, took_s = began - last_end, time.monotonic() - began
            await asyncio.sleep(max(_WATCH_S, 20 * took_s, min(0.05, silence_s / 20)))

    async def _end_of(self, future: Any) -> tuple[JobStatus, str] | None:
        """How a task ended, and what was said; None where the connection to it did."""
        if future.status == "finished":
            return JobStatus.SUCCEEDED, ""
        if future.status == "error":
            error = await future.exception()
            return status_of_error(error, future.key), str(error)
        try:
            await future.result()
        except BaseException as error:  # noqa: BLE001  the only way to learn why it was cancelled
            reason = getattr(error, "reason", None)
            if reason == "upstream-cancelled":
                return JobStatus.UPSTREAM_FAILED, "what it needs was cancelled"
            if reason == "cancelled":
                return JobStatus.CANCELLED, ""
            if reason == "scheduler-connection-lost":
                return None
            return JobStatus.LOST, f"Dask dropped the task: {error}"
        return JobStatus.SUCCEEDED, ""

    async def _goes_on(self) -> bool:
        """Return True if tasks outlive the broken connection, and their scheduler is back."""
        if not self.survives_driver:
            return False
        # The client has no event for this. It gives up after a time of its own, but for ever waits
        # where something takes connections and says nothing. A scheduler that was killed just now
        # may still take one.
        deadline = time.monotonic() + _RECONNECT_S
        while time.monotonic() < deadline and not await cluster.is_refused(self._address):
            if str(self.client.status) != "connecting":
                return not self.is_closed
            await asyncio.sleep(_RECONNECT_LOOK_S)
        return False

    def _leave_to_scheduler(self, names: Iterable[str]) -> None:
        """Ask the scheduler for these from now on, as for jobs of other processes."""
        self._jobs.forget(names)

    def _note(self, ends: Sequence[_End]) -> None:
        self._jobs.end(ends, engine_reports=self.survives_driver)

    # --- asking

    def _ask(
        self, question: Callable[..., Any], *args: Any, timeout_s: float = _QUERY_TIMEOUT_S
    ) -> Any:
        """Run one of `scheduler_side` there; foreign errors become ours."""
        if self.is_closed:
            raise HuldraExecutorError(
                f"the client of the Dask scheduler at {self._address} is closed"
            )
        try:
            return self.client.run_on_scheduler(question, *args, callback_timeout=timeout_s)
        except (ImportError, AttributeError) as error:
            raise HuldraExecutorError(
                f"the Dask scheduler at {self._address} cannot import huldra_dask ({error}):"
                " install the same version of huldra for the scheduler and its workers"
            ) from error
        except Exception as error:
            raise HuldraExecutorError(
                f"the Dask scheduler at {self._address} did not answer: {error!r}"
            ) from error

    def _cancel_there(self, names: list[str]) -> dict[str, list[str]]:
        sent = [name for name in names if name in self._jobs]
        patience_s = _QUERY_TIMEOUT_S + len(names) * _CANCEL_S
        answer: dict[str, list[str]]
        answer = self._ask(scheduler_side.cancel, names, sent, _ON_ITS_WAY_S, timeout_s=patience_s)
        return answer

    def _workers(self) -> resources.Workers:
        return resources.Workers.of(self._ask(scheduler_side.inspect)["workers"])

    def _ask_states(self, refs: Iterable[JobRef]) -> dict[JobRef, JobStatus]:
        refs = list(refs)
        try:
            answer = self._ask(scheduler_side.states, [ref.job_id for ref in refs])
        except HuldraExecutorError as error:
            log.debug("%s", error)
            return dict.fromkeys(refs, JobStatus.UNKNOWN)
        return {ref: self._read_state(ref, answer.get(ref.job_id)) for ref in refs}

    def _read_state(self, ref: JobRef, answer: tuple[str, str, str] | None) -> JobStatus:
        if answer is None:
            return self._unknown_key(ref)
        state, blamed, text = answer
        if state == "memory":
            return JobStatus.SUCCEEDED
        if state == "erred":
            return status_of_text(text, blamed, ref.job_id)
        return JobStatus.RUNNING if state == "processing" else JobStatus.QUEUED

    def _unknown_key(self, ref: JobRef) -> JobStatus:
        """The scheduler forgets what is over; what it never knew was lost with another one."""
        if ref.job_id in self._jobs:
            return JobStatus.QUEUED
        if ref.meta.get("scheduler_id") not in (None, self.scheduler_id):
            return JobStatus.LOST
        is_young = time.time() - float(ref.meta.get("sent_at") or 0) < _FORGOTTEN_AFTER_S
        return JobStatus.UNKNOWN if is_young else JobStatus.LOST

    # --- stalls

    def _look_for_stall(self) -> None:
        """Say that no worker can run what waits, and give it up after `stalled_after_s`."""
        try:
            answer = self._ask(scheduler_side.inspect)
        except HuldraExecutorError as error:
            log.debug("%s", error)
            return
        if answer["workers"]:
            waiting = {
                name: answer["unrunnable"][name]
                for name in answer["unrunnable"]
                if name in self._jobs
            }
            reason = f"no worker gives {next(iter(waiting.values()))}" if waiting else ""
        else:
            waiting = dict.fromkeys(self._jobs.names(), None)
            reason = "there are no workers"
        if waiting:
            self._report_stall(list(waiting), f"{reason} at {self._address}")

    def _report_stall(self, names: list[str], reason: str) -> None:
        since_s = self._jobs.silence_s
        log.warning("%d job(s) have been waiting for %.0f s: %s", len(names), since_s, reason)
        if self._stalled_after_s is None or since_s < self._stalled_after_s:
            return
        with contextlib.suppress(HuldraExecutorError):
            self._cancel_there(names)
        given_up = f"given up after {since_s:.0f} s: {reason}"
        self._note([(name, JobStatus.LOST, given_up) for name in names])


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


_of_object: weakref.WeakKeyDictionary[Any, DaskExecutor] = weakref.WeakKeyDictionary()
