"""The jobs that an executor of this process sent to a cluster, how they ended, and waiting for it.

The cluster reports ends to one thread (Dask's client, Ray's supervisor); callers wait in others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from huldra.engines.protocol import JobStatus, SubmittedNode
from huldra.engines.release import release_queued
from huldra.store.job_ref import JobRef

Handle = TypeVar("Handle")
Ask = Callable[[Collection[JobRef]], Mapping[JobRef, JobStatus]]

_POLL_S = 0.5
_SILENCE_S = 5.0
_MANY = 200
_LINGER_S = 1e-4  # for each job that is waited for: about what a caller's look at it costs
_LONGEST_LINGER_S = 0.1


def _ignore_silence() -> None:
    """Do nothing when no job has ended for a while."""


class SentJobs(Generic[Handle]):
    """A table by job name; thread-safe.

    A job is open from `add` until `end` or `forget`. With each open job stands its node and the
    engine's own handle of it, which is let go when the job is no longer open.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: dict[str, tuple[SubmittedNode, Handle | None]] = {}
        self._over: dict[str, JobStatus] = {}
        self._reasons: dict[str, str] = {}
        self._progress_at = time.monotonic()
        self._silence_at = 0.0

    def add(self, jobs: Mapping[str, tuple[SubmittedNode, Handle]]) -> None:
        """Open these jobs. A name that was over before is open again."""
        with self._changed:
            for name in jobs:
                self._over.pop(name, None)
                self._reasons.pop(name, None)
            self._open.update(jobs)

    def __contains__(self, name: object) -> bool:
        return name in self._open

    def names(self) -> list[str]:
        """The names of the open jobs."""
        with self._changed:
            return list(self._open)

    def nodes(self) -> list[SubmittedNode]:
        """The nodes of the open jobs."""
        with self._changed:
            return [node for node, _ in self._open.values()]

    def names_by_node(self) -> dict[tuple[str, str], str]:
        """The names of the open jobs by root and key of their nodes."""
        with self._changed:
            return {(node.root, node.key): name for name, (node, _) in self._open.items()}

    def handles(self, names: Iterable[str]) -> list[Handle]:
        """The engine's handles of those of these jobs that are open."""
        with self._changed:
            found = [self._open[name][1] for name in names if name in self._open]
        return [handle for handle in found if handle is not None]

    def drop_handles(self) -> None:
        """Let go of all handles, before the engine closes. The jobs stay open."""
        with self._changed:
            self._open = {name: (node, None) for name, (node, _) in self._open.items()}

    def status_of(self, ref: JobRef) -> JobStatus | None:
        """How a job ended, QUEUED for an open one, None for a job that is not in the table."""
        over = self._over.get(ref.job_id)
        return over or (JobStatus.QUEUED if ref.job_id in self._open else None)

    def is_over(self, ref: JobRef) -> bool:
        """Return True if the end of this job is known here."""
        return ref.job_id in self._over

    def reason(self, ref: JobRef) -> str:
        """What the engine said when a job ended badly; empty where it said nothing."""
        return self._reasons.get(ref.job_id, "")

    @property
    def silence_s(self) -> float:
        """The seconds since a job ended, or since there is a table."""
        return time.monotonic() - self._progress_at

    def end(
        self, ends: Sequence[tuple[str, JobStatus, str]], *, engine_reports: bool = False
    ) -> None:
        """Note how jobs ended (name, status, reason), and wake the callers who wait.

        What the jobs left queued is released first: see `release_queued`, also for
        `engine_reports`. A job that is not open stays as it is: the first end counts.
        """
        with self._changed:
            found = [self._open.get(name) for name, _, _ in ends]
        release_queued(
            ((job[0] if job else None, end[1]) for job, end in zip(found, ends, strict=True)),
            engine_reports=engine_reports,
        )
        with self._changed:
            for name, status, reason in ends:
                if self._open.pop(name, None) is not None:
                    self._over[name] = status
                    if reason:
                        self._reasons[name] = reason
            self._progress_at = time.monotonic()
            self._changed.notify_all()

    def forget(self, names: Iterable[str]) -> None:
        """Drop open jobs without an end: from now on they are as those of other processes."""
        with self._changed:
            for name in names:
                self._open.pop(name, None)
            self._changed.notify_all()

    def wait(
        self,
        refs: Collection[JobRef],
        timeout_s: float,
        ask: Ask,
        on_silence: Callable[[], None] = _ignore_silence,
    ) -> set[JobRef]:
        """Return those that are over, as soon as one is; empty at the timeout.

        `ask` answers for jobs that are not in the table, each half second. `on_silence` is called
        when no job has ended for five seconds, and then each five seconds.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            is_ours = all(self.status_of(ref) is not None for ref in refs)
            if is_ours:
                over = {ref for ref in refs if self.is_over(ref)}
            else:
                over = {ref for ref, status in ask(refs).items() if status.is_over}
            left_s = deadline - time.monotonic()
            if over or left_s <= 0:
                return over
            self._wait_for_end(refs, min(left_s, _SILENCE_S if is_ours else _POLL_S), on_silence)

    def _wait_for_end(
        self, refs: Collection[JobRef], timeout_s: float, on_silence: Callable[[], None]
    ) -> None:
        with self._changed:
            if any(self.is_over(ref) for ref in refs):
                return
            has_changed = self._changed.wait(timeout_s)
        if has_changed and len(refs) > _MANY:
            # Each call looks at all refs: when they are many, let some more ends come first.
            time.sleep(min(timeout_s, _LONGEST_LINGER_S, len(refs) * _LINGER_S))
        quiet_since = max(self._progress_at, self._silence_at)
        if not has_changed and time.monotonic() - quiet_since > _SILENCE_S:
            self._silence_at = time.monotonic()
            on_silence()
