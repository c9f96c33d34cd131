"""A job: one artifact that an engine was asked to compute."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from huldra.attempts import liveness
from huldra.attempts.liveness import Watch
from huldra.attempts.waiting import error_of
from huldra.config.config_object import ConfigObject
from huldra.config.hashing import key_of
from huldra.engines import registry
from huldra.engines.protocol import Executor, JobStatus, optional_method
from huldra.engines.release import end_queued
from huldra.errors import (
    HuldraCancelled,
    HuldraComputeError,
    HuldraExecutorError,
    HuldraJobLost,
    HuldraWaitTimeout,
)
from huldra.scheduling.graph import dependencies_of
from huldra.settings import HULDRA_CONFIG
from huldra.store import artifact, claim, success
from huldra.store.files import path_exists, read_bytes
from huldra.store.job_ref import JobRef
from huldra.store.location import paths_of
from huldra.store.overlap import Overlap
from huldra.store.process import new_owner
from huldra.store.records import STARTED, Attempt, AttemptStatus, ended_by_death, upstream_error
from huldra.store.snapshot import Liveness

T = TypeVar("T")

_STATUS_OF = {
    JobStatus.QUEUED: AttemptStatus.QUEUED,
    JobStatus.RUNNING: AttemptStatus.RUNNING,
    JobStatus.CANCELLED: AttemptStatus.CANCELLED,
    JobStatus.FAILED: AttemptStatus.FAILED,
    JobStatus.UPSTREAM_FAILED: AttemptStatus.FAILED,
    JobStatus.PREEMPTED: AttemptStatus.PREEMPTED,
}
_SLICE_S = 0.5
_GLANCE_S = 0.02
_GLANCED_AT = 8  # jobs that are not done, before a first look leaves the rest to their engine


class Job(Generic[T]):
    """One submitted artifact and its result, with the method names of `concurrent.futures.Future`.

    The artifact decides whether the job is done. The engine is queried only when the artifact
    cannot tell, and an unreachable engine never counts as a failure. A job pickles without its
    executor and finds its engine again by its `ref`. Another process gets a job for the same
    artifact from `load_or_create(executor=...)`.
    """

    def __init__(self, obj: ConfigObject, executor: Executor | None, ref: JobRef | None) -> None:
        self._obj = obj
        self._key = key_of(obj)
        self._paths = paths_of(obj)
        self._executor = executor
        self._ref = ref
        self._watch = Watch()
        self._is_made = False

    def __repr__(self) -> str:
        return f"<Job {self._key} {self.job_id or 'complete'} {self.status().value}>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_executor": None, "_watch": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._watch = Watch()

    @property
    def artifact(self) -> Any:
        """The config whose artifact this job computes."""
        return self._obj

    @property
    def key(self) -> str:
        """`<namespace>/<hash>` of the artifact."""
        return self._key

    @property
    def ref(self) -> JobRef | None:
        """The reference that finds the job at its engine; None if nothing was submitted."""
        return self._ref

    @property
    def job_id(self) -> str | None:
        """The engine's id of the job; None if nothing was submitted."""
        return self._ref.job_id if self._ref else None

    def status(self) -> AttemptStatus:
        """Return the current status: from the artifact if it can tell, else from the engine.

        Does not wait. If the engine cannot be reached, return the status that the store shows.
        """
        return self._look()[0]

    def done(self) -> bool:
        """Return True if the job has ended: complete, failed, cancelled or lost. Does not wait."""
        return self._look()[1]

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job is done or `timeout` seconds pass; None waits without limit.

        Return True if the job is done. A failed job is done, too, and raises nothing here.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        return any(True for _ in as_done([self], deadline))

    def result(self, timeout: float | None = None) -> T:
        """Block until the artifact is complete and return what `_load` returns.

        Waits at most `timeout` seconds; None waits without limit. The result is loaded from the
        store on every call. An exception in `_load` reaches the caller.

        Raises:
            HuldraComputeError: `_create` failed. `original_error` is a `RemoteError`.
            HuldraDependencyError: A dependency failed, so `_create` did not run. `failed_key` is
                the key of that dependency.
            HuldraCancelled: The job was cancelled.
            HuldraJobLost: The job ended without a result, or the engine lost it. Transient:
                `load_or_create()` submits the node again.
            HuldraWaitTimeout: The job was not done after `timeout` seconds. Transient: the job
                keeps running.
        """
        error = self.exception(timeout)
        if error is not None:
            raise error
        value: T = self._obj._loaded(self._paths)  # noqa: SLF001  what a hit gives
        return value

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Block as `result` does, and return the error that it would raise; None if complete.

        Raises:
            HuldraWaitTimeout: The job was not done after `timeout` seconds. The job keeps running.
        """
        if self._is_made:
            return None
        if not self.wait(timeout):
            raise HuldraWaitTimeout(
                f"{self._key} is still {self.status().value} after {timeout} s; the job keeps"
                " running",
                waited_s=timeout,
                directory=self._paths.directory,
            )
        return self._error()

    def cancel(self) -> bool:
        """Request cancellation. Return False if the job had already ended.

        The call does not wait. A queued job never starts `_create`. A running job is ended where
        the engine can; `_create` in a thread of this process cannot be. A job that completes before
        the request reaches it stays complete: `status` shows which.

        Raises:
            HuldraExecutorError: The engine could not be reached. The request is recorded in the
                store all the same. Transient.
        """
        return bool(cancel_all([self]))

    def __await__(self) -> Generator[Any, None, T]:
        """Wait for the result without holding up the event loop: `await job` is `job.result()`."""
        return self._awaited().__await__()

    async def _awaited(self) -> T:
        import asyncio  # here: few programs use it, and importing huldra should not pay for it

        # In slices, so that a cancelled await leaves no thread behind that waits for hours.
        while not await asyncio.to_thread(self.wait, _SLICE_S):
            pass
        return await asyncio.to_thread(self.result, 0.0)

    def _request_cancel(self) -> bool:
        """Request the end on disk; a queued attempt ends at once. False if the job was done."""
        attempt = claim.last_attempt(self._paths)
        if self.done() or attempt is None:
            return False
        if attempt.end is None:
            claim.request_cancel(self._paths, attempt.number, new_owner())
        if attempt.is_queued:
            end_queued(self._paths, attempt, AttemptStatus.CANCELLED)
            end = claim.read_attempt(self._paths, attempt.number).end
            if end is not None and end.status == STARTED:  # the job was faster: ask what began
                return self._request_cancel()
        return True

    def logs(self) -> dict[str, str]:
        """Return the texts of the artifact's and the engine's logs, by name.

        `huldra.log` holds the log records. `output.log`, if present, holds what `_create` printed
        on a worker. The engine's own files are under their paths; they are missing where the engine
        cannot be reached. Works while the job runs and after it has ended.
        """
        found = {"huldra.log": _text_of(self._paths.log)}
        if path_exists(self._paths.output):
            found["output.log"] = _text_of(self._paths.output)
        if self._ref is not None:
            try:
                paths = self._engine().logs([self._ref]).get(self._ref, ())
            except (HuldraExecutorError, ImportError):
                paths = ()
            found.update({path: _text_of(path) for path in paths})
        return found

    def _engine(self) -> Executor:
        if self._executor is None:
            if self._ref is None:
                raise HuldraExecutorError(f"{self._key} was not submitted to any engine")
            self._executor = registry.connect(self._ref)
        return self._executor

    def _look(self) -> tuple[AttemptStatus, bool]:
        """Return the status, and True if it is final."""
        return self._judge(self._read())

    def _read(self) -> _Reading:
        if self._is_made or success.is_complete(self._paths):
            return True, None
        return False, claim.last_attempt(self._paths)

    def _is_done(self, reading: _Reading) -> bool:
        """Return True if the job has ended, by what was read of the artifact a moment ago."""
        status, is_final = self._judge(reading)
        # The attempt may have come to a better end since then, with its owner gone by now.
        return is_final and (status is AttemptStatus.SUCCESS or self.done())

    def _judge(self, reading: _Reading) -> tuple[AttemptStatus, bool]:
        is_complete, attempt = reading
        if is_complete:
            self._is_made = True
            return AttemptStatus.SUCCESS, True
        if attempt is None and self._ref is None:
            return AttemptStatus.CRASHED, True  # it was there, and was removed
        if attempt is None:
            return self._engine_status(AttemptStatus.QUEUED)
        status = attempt.status
        if status in (AttemptStatus.FAILED, AttemptStatus.CANCELLED):
            return status, True
        if status is AttemptStatus.SUCCESS:
            # `SUCCESS.json` follows in a moment, or its writer died just before: so it is written
            # here, too. Waiting for it could be for ever.
            self._is_made = artifact.publish(self._paths, attempt.number)
            return (status, True) if self._is_made else self._engine_status(AttemptStatus.CRASHED)
        if status.is_infrastructure:
            return self._engine_status(status)
        if liveness.claim_liveness(self._paths, attempt, self._watch) is Liveness.DEAD:
            status = ended_by_death(claim.is_cancel_requested(self._paths, attempt.number))
            is_final = status is AttemptStatus.CANCELLED
            return (status, True) if is_final else self._engine_status(status)
        if attempt.is_queued:
            return self._engine_status(status)
        return status, False

    def _engine_status(self, otherwise: AttemptStatus) -> tuple[AttemptStatus, bool]:
        """Return the engine's status of a job whose artifact does not tell, and True if final.

        Where the engine cannot tell, the status is `otherwise`, final if that is an end.
        """
        word = self._ask()
        if word is JobStatus.UNKNOWN:
            return otherwise, otherwise.is_over
        if word.is_over and success.is_complete(self._paths):
            return AttemptStatus.SUCCESS, True
        attempt = claim.last_attempt(self._paths) if word.is_over else None
        if attempt is not None and attempt.status in (
            AttemptStatus.FAILED,
            AttemptStatus.CANCELLED,
        ):
            return attempt.status, True  # it came to its end while the engine was being asked
        if word is JobStatus.SUCCEEDED:
            return AttemptStatus.CRASHED, True
        return _STATUS_OF.get(word, AttemptStatus.CRASHED), word.is_over

    def _ask(self) -> JobStatus:
        if self._ref is None:
            return JobStatus.UNKNOWN
        try:
            word = self._engine().status([self._ref]).get(self._ref, JobStatus.UNKNOWN)
        except (HuldraExecutorError, ImportError):
            return JobStatus.UNKNOWN
        if word.is_over:  # a new request for the artifact must not find the job in flight
            liveness.cache_status(self._ref, word)
        return word

    def _error(self) -> Exception | None:
        status = self.status()
        if status is AttemptStatus.SUCCESS:
            return None
        attempt = claim.last_attempt(self._paths)
        where = self._paths.directory
        if status is AttemptStatus.CANCELLED:
            return HuldraCancelled(f"{self._key} was cancelled; {where}")
        if (
            attempt is not None
            and attempt.status is AttemptStatus.FAILED
            and attempt.end is not None
        ):
            return error_of(self._key, self._paths, attempt.end.error)
        if attempt is None and self._ref is None:
            return HuldraJobLost(
                f"{self._key} was removed from {where} after this job had completed it; call"
                " load_or_create() to compute it again"
            )
        word = self._ask()
        if (failed := self._failed_dependency(word)) is not None:
            return failed
        return HuldraJobLost(
            f"{self._key}: job {self.job_id} ended ({word.value}{self._why()}) without a result"
            f" (last attempt: {status.value}); log: {self._paths.log}. Call load_or_create() again"
            " to resubmit it"
        )

    def _why(self) -> str:
        """Return the engine's own reason for the end, if its adapter kept one."""
        if self._executor is None or self._ref is None:
            return ""
        tell = optional_method(self._executor, "failure_reason")
        reason = tell(self._ref) if tell is not None else ""
        return f": {reason}" if reason else ""

    def _failed_dependency(self, word: JobStatus) -> HuldraComputeError | None:
        """Return the error of the dependency that a job which never started was waiting for.

        An engine that lost the job may have ended the dependency's worker just before. That is no
        failure of the dependency.
        """
        for child in dependencies_of(self._obj):
            paths = paths_of(child)
            attempt = None if success.is_complete(paths) else claim.last_attempt(paths)
            if attempt is None or attempt.end is None:
                continue
            if not (word is JobStatus.LOST and attempt.status.is_infrastructure):
                record = upstream_error(key_of(child), paths.log, attempt)
                return error_of(self._key, self._paths, record)
        return None


_Reading = tuple[bool, Attempt | None]
"""What the disk says of an artifact: that it is complete, else its last attempt."""


def _done_of(jobs: Sequence[Job[Any]], overlap: Overlap) -> list[Job[Any]]:
    """Return those of `jobs` that are done. Only the disk is read in threads."""
    readings = overlap.map(lambda job: job._read(), jobs)  # noqa: SLF001  same module
    return [
        job
        for job, reading in zip(jobs, readings, strict=True)
        if job._is_done(reading)  # noqa: SLF001  same module
    ]


def cancel_all(jobs: Iterable[Job[Any]]) -> int:
    """Request cancellation of each job that is not done. Return how many. One call per engine."""
    asked = [job for job in jobs if job._request_cancel()]  # noqa: SLF001  same module
    by_engine: dict[int, tuple[Executor, list[JobRef]]] = {}
    for job in asked:
        if job.ref is not None:
            engine = job._engine()  # noqa: SLF001  same module
            by_engine.setdefault(id(engine), (engine, []))[1].append(job.ref)
    for engine, refs in by_engine.values():
        engine.cancel(refs)
    return len(asked)


def _text_of(path: str) -> str:
    return (read_bytes(path) or b"").decode("utf-8", "replace")


def as_done(jobs: Iterable[Job[Any]], deadline: float | None = None) -> Iterator[Job[Any]]:
    """Yield each job once it is done, until `deadline` (seconds of the monotonic clock) passes.

    The engine reports ended jobs where it can. All artifacts are checked, too, less often if there
    are many, because a process that this engine does not know may complete one.
    """
    pending, overlap = _Pending(jobs), Overlap()
    looked_at, cost_s = time.monotonic(), 0.0
    for job in _glance(pending.all(), overlap):
        pending.remove(job)
        yield job
    while pending and (deadline is None or time.monotonic() < deadline):
        started = time.monotonic()
        looks_at_all = started - looked_at >= max(_SLICE_S, 20 * cost_s)
        if looks_at_all:
            candidates = pending.all()
        else:
            candidates = pending.over_soon(_slice_s(deadline), 10 * cost_s)
        done = _done_of(candidates, overlap)
        if looks_at_all:
            looked_at = time.monotonic()
            cost_s = looked_at - started
        for job in done:
            pending.remove(job)
            yield job


def _glance(jobs: Sequence[Job[Any]], overlap: Overlap) -> list[Job[Any]]:
    """Return those of `jobs` that are done, checking only some of them.

    A job that was just submitted is not done, and checking each costs as much as submitting it. So
    after a few that are not done, the rest is left to their engine and to the next full check.
    """
    done: list[Job[Any]] = []
    looked, size = 0, _GLANCED_AT
    while looked < len(jobs):
        some = jobs[looked : looked + size]
        found = _done_of(some, overlap)
        done += found
        if len(found) < len(some) and any(job._executor is not None for job in some):  # noqa: SLF001  same module
            break
        looked += len(some)
        size *= 4
    return done


def _slice_s(deadline: float | None) -> float:
    slice_s = min(_SLICE_S, HULDRA_CONFIG.poll_interval)
    return slice_s if deadline is None else max(0.0, min(slice_s, deadline - time.monotonic()))


class _Pending:
    """Jobs that are not done, grouped once by the engine that reports them.

    So the cost of a wake-up grows with the jobs that have ended, and hardly with those left.
    """

    def __init__(self, jobs: Iterable[Job[Any]]) -> None:
        self._jobs = {id(job): job for job in jobs}
        self._unheard = dict(self._jobs)  # no engine to ask, or not known yet
        self._engines: dict[int, tuple[Executor, dict[JobRef, list[Job[Any]]]]] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def all(self) -> list[Job[Any]]:
        """Return all of them, in order."""
        return list(self._jobs.values())

    def remove(self, job: Job[Any]) -> None:
        """Forget a job that is done."""
        del self._jobs[id(job)]
        if self._unheard.pop(id(job), None) is not None:
            return
        by_ref = self._engines[id(job._executor)][1]  # noqa: SLF001  same module
        ref = job._ref  # noqa: SLF001  same module
        if ref is not None:
            by_ref[ref].remove(job)
            if not by_ref[ref]:
                del by_ref[ref]

    def over_soon(self, slice_s: float, pause_s: float) -> list[Job[Any]]:
        """Wait, and return those that may be done: as reported by an engine, or worth a check."""
        self._sort()
        engines = [(executor, by_ref) for executor, by_ref in self._engines.values() if by_ref]
        if self._unheard or len(engines) > 1:  # no engine reports all of them
            slice_s = min(slice_s, max(_GLANCE_S, pause_s))
        if not engines:
            time.sleep(slice_s)
        over: list[Job[Any]] = []
        for number, (executor, by_ref) in enumerate(engines):
            ended = executor.wait(list(by_ref), 0.0 if number else slice_s)
            over += [job for ref in ended for job in by_ref.get(ref, ())]
        return over + list(self._unheard.values())

    def _sort(self) -> None:
        """Group those by engine that have one by now; a check may have found it."""
        for job in list(self._unheard.values()):
            executor, ref = job._executor, job._ref  # noqa: SLF001  same module
            if executor is not None and ref is not None:
                del self._unheard[id(job)]
                by_ref = self._engines.setdefault(id(executor), (executor, {}))[1]
                by_ref.setdefault(ref, []).append(job)
