"""The jobs of one executor in this process: their status, and waiting for it."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from huldra.engines.kit import LOCAL as ENGINE
from huldra.engines.kit import (
    ExitRelease,
    ForeignDriverExecutor,
    JobRef,
    JobStatus,
    SubmittedNode,
    TaskGraph,
    driver_record,
    release_queued,
    status_of_driver,
)

_FOREIGN_POLL_S = 0.2
_LINGER_S = 2e-5  # for each job that is waited for: about what a caller's look at it costs
_LONGEST_LINGER_S = 0.1
_executor_numbers = itertools.count(1)


class JobTable:
    """Thread-safe; a forked child sees an empty one, and the parent's jobs as another process's."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._reset()

    def _reset(self) -> None:
        self._prefix = f"{os.getpid()}-{next(_executor_numbers)}"
        self._meta = {"form": self._form, "driver": driver_record()}
        self._numbers = itertools.count(1)
        self._changed = threading.Condition(threading.Lock())
        self._statuses: dict[str, JobStatus] = {}
        self._logs: dict[str, str] = {}
        self._reasons: dict[str, str] = {}
        self._nodes: dict[str, SubmittedNode] = {}
        self.open_by_node: dict[tuple[str, str], str] = {}
        self._ended: list[str] = []
        self._exit: ExitRelease | None = None  # once this process ends

    @property
    def is_leaving(self) -> bool:
        """Return True once this process ends, and with it all that it had queued."""
        return self._exit is not None

    def leave(self) -> None:
        """Take note that this process ends: from now on, ends are recorded in haste."""
        self._exit = self._exit or ExitRelease()

    def reset_after_fork(self) -> None:
        """Forget the parent's jobs; its lock may be held by a thread that is not here."""
        self._reset()

    def open(self, graph: TaskGraph, key: str) -> JobRef:
        """A new job of a node of this graph, queued."""
        ref = JobRef(ENGINE, f"{self._prefix}-{next(self._numbers)}", self._meta)
        self._statuses[ref.job_id] = JobStatus.QUEUED
        self._nodes[ref.job_id] = graph.sent(key)
        self.open_by_node[graph.root, key] = ref.job_id
        return ref

    def set_open(self, job_id: str, status: JobStatus, log_path: str = "") -> None:
        """Say that a job is queued or running; no caller waits for that."""
        self._statuses[job_id] = status
        if log_path:
            self._logs[job_id] = log_path

    def set_reason(self, job_id: str, reason: str) -> None:
        """Keep why a job ends badly, where the artifact cannot tell."""
        self._reasons[job_id] = reason

    def why(self, job_id: str) -> str:
        """What `set_reason` kept, or nothing."""
        return self._reasons.get(job_id, "")

    def end(self, ends: Iterable[tuple[str, JobStatus]]) -> None:
        """Say how jobs ended, and wake those who wait. A job that is over stays as it is."""
        ends = [(job_id, status) for job_id, status in ends if job_id in self._nodes]
        if self._exit is not None:
            self._exit.end(self._nodes[job_id] for job_id, _ in ends)
        else:
            release_queued((self._nodes[job_id], status) for job_id, status in ends)
        with self._changed:
            for job_id, status in ends:
                if job_id in self._nodes:
                    self._statuses[job_id] = status
                    self._ended.append(job_id)
                    self._forget_node(job_id)
            self._changed.notify_all()

    def _forget_node(self, job_id: str) -> None:
        node = self._nodes.pop(job_id)
        if self.open_by_node.get((node.root, node.key)) == job_id:
            del self.open_by_node[node.root, node.key]

    def get(self, job_id: str) -> JobStatus | None:
        """The status of a job of this table, None for others."""
        return self._statuses.get(job_id)

    def status(self, refs: Collection[JobRef]) -> dict[JobRef, JobStatus]:
        """The status of each; those of other processes as they look from here."""
        return {ref: self._statuses.get(ref.job_id) or _status_of_other(ref) for ref in refs}

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """The file that got what the job printed, once it has started."""
        paths = {ref: self._logs.get(ref.job_id) for ref in refs}
        return {
            ref: (path,) if path and os.path.exists(path) else () for ref, path in paths.items()
        }

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Return those that are over, as soon as one is; empty at the timeout.

        Of many jobs, those that end within the next milliseconds come along: a caller looks at all
        that are left each time, and would otherwise take the workers' time for looking.
        """
        ours = {ref.job_id: ref for ref in refs if ref.job_id in self._statuses}
        if not ours:
            return ForeignDriverExecutor(ENGINE).wait(refs, timeout_s)
        foreign = [ref for ref in refs if ref.job_id not in ours]
        # A lock takes no infinite timeout.
        deadline = time.monotonic() + min(timeout_s, threading.TIMEOUT_MAX / 2)
        over = self._await_end(ours, foreign, deadline)
        left_s = deadline - time.monotonic()
        if over and len(over) < len(refs) and left_s > 0:
            time.sleep(min(len(refs) * _LINGER_S, _LONGEST_LINGER_S, left_s))
            over |= self._over(ours.values())
        return over

    def _await_end(
        self, ours: Mapping[str, JobRef], foreign: Sequence[JobRef], deadline: float
    ) -> set[JobRef]:
        with self._changed:
            over = self._over(ours.values())
            seen = len(self._ended)
            while True:
                over |= {ref for ref in foreign if _status_of_other(ref).is_over}
                remaining = deadline - time.monotonic()
                if over or remaining <= 0:
                    return over
                self._changed.wait(min(remaining, _FOREIGN_POLL_S) if foreign else remaining)
                # Only what ended meanwhile is looked at: one who waits for ten thousand jobs is
                # woken by others' often.
                over |= {ours[job_id] for job_id in self._ended[seen:] if job_id in ours}
                seen = len(self._ended)

    def _over(self, refs: Iterable[JobRef]) -> set[JobRef]:
        return {ref for ref in refs if self._statuses[ref.job_id].is_over}


def _status_of_other(ref: JobRef) -> JobStatus:
    return status_of_driver(ref.meta.get("driver"))
