"""Jobs of other processes: found again by their ref, through their scheduler."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from huldra.errors import HuldraExecutorError
from huldra.executor import (
    Capabilities,
    Executor,
    JobRef,
    JobStatus,
    OnSubmitted,
    Refusal,
    TaskGraph,
)
from huldra.owner import Owner, is_living, shares_pids, this_process
from huldra_dask.executor import NAME, DaskExecutor, _live

_connected: dict[str, DaskExecutor] = {}
_lock = threading.Lock()


def connect_to_job(ref: JobRef) -> Executor:
    """The executor that sent it, when that is ours; else a client of its scheduler.

    Raises `HuldraExecutorError` when the scheduler cannot be reached and may yet be alive.
    """
    live = _live.get(str(ref.meta.get("scheduler_id")))
    if live is not None:
        return live
    is_alive = _driver_is_alive(ref.meta.get("ends_with"))
    if is_alive is False:
        return Silent(JobStatus.LOST)
    address = str(ref.meta.get("scheduler") or "")
    if not address or address.startswith("inproc"):
        return Silent(JobStatus.UNKNOWN)
    return _client_of(address)


def _client_of(address: str) -> DaskExecutor:
    with _lock:
        found = _connected.get(address)
        if found is None or found.is_closed:
            found = _connected[address] = DaskExecutor(address)
        return found


def _driver_is_alive(driver: Mapping[str, Any] | None) -> bool | None:
    """Whether the process that a cluster ends with is alive; None where it cannot be told."""
    if driver is None:
        return None
    owner = Owner.from_json(driver)
    if not owner.started or not shares_pids(owner, this_process()):
        return None
    return is_living(owner)


class Silent:
    """Stands for a scheduler inside another process: it has one answer, and takes nothing."""

    name = NAME
    capabilities = Capabilities()

    def __init__(self, answer: JobStatus) -> None:
        self._answer = answer

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Refuse every task."""
        return [Refusal(key, "submit", "this is another process's cluster") for key in graph.tasks]

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:  # noqa: ARG002  the seam
        """Refuse."""
        raise HuldraExecutorError(
            "this cluster lives in another process and takes nothing from here"
        )

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """The one answer."""
        return dict.fromkeys(refs, self._answer)

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Whether the answer is an end; waits `timeout_s` seconds where it is not."""
        if self._answer.is_over:
            return set(refs)
        threading.Event().wait(timeout_s)
        return set()

    def cancel(self, refs: Collection[JobRef]) -> None:
        """Leave it to the request in the store, which the node itself reads."""

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """None are known here."""
        return {ref: [] for ref in refs}

    def close(self) -> None:
        """Nothing is held."""
