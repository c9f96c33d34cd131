"""Jobs of other processes: found again by their ref, through the cluster's supervisor."""

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
from huldra_ray import runtime
from huldra_ray.executor import NAME, RayExecutor, _live

_lock = threading.Lock()


def connect_to_job(ref: JobRef) -> Executor:
    """The executor that sent it, when that is ours; else one on its cluster.

    Raises `HuldraExecutorError` when the cluster cannot be reached and may yet be alive.
    """
    address = str(ref.meta.get("address") or "")
    live = _live.get(address)
    if live is not None:
        return live
    driver = ref.meta.get("ends_with")
    if driver is not None or not address:
        return Silent(_word_for(driver))
    if runtime.is_listening(address) is False:
        return Silent(JobStatus.LOST)
    with _lock:
        return _live.get(address) or _attach(address)


def _attach(address: str) -> RayExecutor:
    ray = runtime.require()
    here = str(ray.get_runtime_context().gcs_address) if ray.is_initialized() else address
    if here != address:
        raise HuldraExecutorError(
            f"this process is connected to Ray at {here} and cannot ask the one at {address}"
        )
    return RayExecutor(address)


def _word_for(driver: Mapping[str, Any] | None) -> JobStatus:
    """LOST where the process that the runtime ended with is known to be dead."""
    owner = Owner.from_json(driver or {})
    if not owner.started or not shares_pids(owner, this_process()):
        return JobStatus.UNKNOWN
    return JobStatus.LOST if is_living(owner) is False else JobStatus.UNKNOWN


class Silent:
    """Stands for a runtime inside another process: it has one answer, and takes nothing."""

    name = NAME
    capabilities = Capabilities()

    def __init__(self, answer: JobStatus) -> None:
        self._answer = answer

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Refuse every task."""
        return [Refusal(key, "submit", "this is another process's runtime") for key in graph.tasks]

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:  # noqa: ARG002  the seam
        """Refuse."""
        raise HuldraExecutorError(
            "this Ray runtime is another process's and takes nothing from here"
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
