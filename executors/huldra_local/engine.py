"""What the forms of the local engine share: a table of jobs, and who of them is alive here."""

from __future__ import annotations

import abc
import atexit
import os
import weakref
from collections.abc import Collection, Mapping, Sequence

from huldra.engines.kit import LOCAL as ENGINE
from huldra.engines.kit import (
    Capabilities,
    ForeignDriverExecutor,
    JobRef,
    JobStatus,
    OnSubmitted,
    Refusal,
    TaskGraph,
)
from huldra_local.table import JobTable


class LocalEngine(abc.ABC):
    """Status, waiting and logs of jobs that this process drives."""

    name: str = ENGINE
    capabilities: Capabilities

    def __init__(self, form: str) -> None:
        self._table = JobTable(form)
        _living.add(self)

    @abc.abstractmethod
    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Name each request that cannot be honoured; send nothing."""

    @abc.abstractmethod
    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Take the whole graph; see `huldra.engines.protocol.Executor`."""

    @abc.abstractmethod
    def cancel(self, refs: Collection[JobRef]) -> None:
        """End these jobs as far as this form can."""

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """The status of each; a job of another process is QUEUED, and LOST once that is dead."""
        return self._table.status(refs)

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Return those that are over, as soon as one is, or the empty set at the timeout."""
        return self._table.wait(refs, timeout_s)

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """Name the file that got what each job printed, where there is one."""
        return self._table.logs(refs)

    def failure_reason(self, ref: JobRef) -> str:
        """Say why a job was lost; empty where nothing is known of it here."""
        return self._table.why(ref.job_id)

    def close(self) -> None:  # noqa: B027  most forms have nothing to release
        """Release what this executor started itself."""

    def owns(self, ref: JobRef) -> bool:
        """Return True if this executor made that job, in this process."""
        return self._table.get(ref.job_id) is not None

    def leave(self) -> None:
        """Close, the process being about to end."""
        self._table.leave()
        self.close()

    def after_fork(self) -> None:
        """Start again in a forked child: the parent's jobs and workers are not its own."""
        self._table.reset_after_fork()


_living: weakref.WeakSet[LocalEngine] = weakref.WeakSet()


def find_or_view(ref: JobRef) -> LocalEngine | ForeignDriverExecutor:
    """The executor of this process that made the job, else a view of the other process."""
    here = next((engine for engine in list(_living) if engine.owns(ref)), None)
    return here or ForeignDriverExecutor(ENGINE)


def living() -> list[LocalEngine]:
    """The executors of this engine in this process."""
    return list(_living)


def _close_all() -> None:
    for engine in list(_living):
        engine.leave()


def _start_anew() -> None:
    for engine in list(_living):
        engine.after_fork()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_start_anew)
