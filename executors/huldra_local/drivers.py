"""Which process an in-process engine lives in, and what another process can know of its jobs."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from huldra.errors import HuldraSubmitError
from huldra.executor import Capabilities, JobRef, JobStatus, OnSubmitted, Refusal, TaskGraph
from huldra.owner import Owner, is_living, shares_pids, this_process

ENGINE = "local"


def driver_meta(form: str) -> dict[str, Any]:
    """What a ref says of its driver: enough to tell from elsewhere whether that still lives."""
    driver = this_process().to_json()
    return {"form": form, "driver": {k: v for k, v in driver.items() if k not in _OF_A_CLAIM}}


_OF_A_CLAIM = frozenset({"token", "backend", "job"})


def status_from_outside(ref: JobRef) -> JobStatus:
    """QUEUED while the driver is known to live, LOST once it is known to be dead, else UNKNOWN.

    Only the driver knows more: a job that it runs has a claim of its own, by which others see it.
    A driver on another host, or in another pid namespace, is unknown for ever. A job of this very
    process that no executor here has is lost, too.
    """
    record = ref.meta.get("driver")
    driver = Owner.from_json(record if isinstance(record, Mapping) else {})
    here = this_process()
    if not driver.started or not shares_pids(driver, here):
        return JobStatus.UNKNOWN
    alive = is_living(driver) if driver.pid != here.pid else False
    if alive is None:
        return JobStatus.UNKNOWN
    return JobStatus.QUEUED if alive else JobStatus.LOST


_POLL_S = 0.2


def wait_from_outside(refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
    """Return the jobs whose driver is dead, as soon as there is one; empty at the timeout.

    Another process's death cannot be waited for without being its parent, so this looks
    a few times a second.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        lost = {ref for ref in refs if status_from_outside(ref).is_over}
        remaining = deadline - time.monotonic()
        if lost or remaining <= 0:
            return lost
        time.sleep(min(_POLL_S, remaining))


class DriverView:
    """The jobs of an in-process engine as seen from another process: alive or lost, no more."""

    name: str = ENGINE
    capabilities: Capabilities = Capabilities()

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Refuse everything: nothing can be sent through another process's driver."""
        return [Refusal(key, ENGINE, "this is a view of another process") for key in graph.tasks]

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:  # noqa: ARG002  the seam
        """Raise: the driver is another process."""
        raise HuldraSubmitError(
            f"run {graph.run_id}: wanted to submit through the driver of another process; "
            'make an executor here, for example with executor="local"'
        )

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """QUEUED while the driver lives, LOST once it is dead, UNKNOWN where it cannot be seen."""
        return {ref: status_from_outside(ref) for ref in refs}

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Return the jobs whose driver is dead, or the empty set at the timeout."""
        return wait_from_outside(refs, timeout_s)

    def cancel(self, refs: Collection[JobRef]) -> None:
        """Do nothing: a worker sees the cancel file that stands beside its claim."""

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """No files of the engine's own are known from here."""
        return dict.fromkeys(refs, ())

    def close(self) -> None:
        """Nothing was started here."""
