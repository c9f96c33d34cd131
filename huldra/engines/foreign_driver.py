"""Engines that live in another process and end with it: what is known of their jobs from here.

Nobody but their driver can ask such an engine. From outside its jobs are queued while the driver
lives, for a job that runs has a claim of its own; and lost once it is dead.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from huldra.engines.protocol import Capabilities, JobStatus, OnSubmitted, Refusal, TaskGraph
from huldra.errors import HuldraSubmitError
from huldra.store.job_ref import JobRef
from huldra.store.process import Owner, is_living, shares_pids, this_process

_POLL_S = 0.2
_OF_A_CLAIM = frozenset({"token", "backend", "job"})


def driver_record() -> dict[str, Any]:
    """This process, as the `driver` of a ref's `meta`: enough to tell elsewhere if it lives."""
    return {k: v for k, v in this_process().to_json().items() if k not in _OF_A_CLAIM}


def status_of_driver(driver: object) -> JobStatus:
    """QUEUED while that driver lives, LOST once it is known to be dead, else UNKNOWN.

    A driver on another host, or in another pid namespace, is unknown for ever. One that is this
    very process has lost the engine that it asks about.
    """
    owner = Owner.from_json(driver if isinstance(driver, Mapping) else {})
    here = this_process()
    if not owner.started or not shares_pids(owner, here):
        return JobStatus.UNKNOWN
    alive = is_living(owner) if owner.pid != here.pid else False
    if alive is None:
        return JobStatus.UNKNOWN
    return JobStatus.QUEUED if alive else JobStatus.LOST


class ForeignDriverExecutor:
    """Stands for an engine in another process: its jobs wait, or are lost, and it takes none."""

    capabilities: Capabilities = Capabilities()

    def __init__(self, engine: str) -> None:
        """`engine` is the name that its refs have."""
        self._engine = engine

    @property
    def name(self) -> str:
        """The engine's name."""
        return self._engine

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Refuse everything: nothing can be sent through another process."""
        why = "this executor only follows jobs of another process"
        return [Refusal(key, self._engine, why) for key in graph.tasks]

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:  # noqa: ARG002  the seam
        """Raise: the engine is another process's."""
        raise HuldraSubmitError(
            f"run {graph.run_id}: cannot submit through the {self._engine} engine of another"
            " process; create an executor in this process, for example with"
            f' executor="{self._engine}"'
        )

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """What is known of the driver of each."""
        return {ref: status_of_driver(ref.meta.get("driver")) for ref in refs}

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Return the jobs whose driver is dead, as soon as there is one; empty at the timeout.

        Another process's death cannot be waited for without being its parent, so this looks a few
        times a second.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            lost = {ref for ref, status in self.status(refs).items() if status.is_over}
            left_s = deadline - time.monotonic()
            if lost or left_s <= 0:
                return lost
            time.sleep(min(_POLL_S, left_s))

    def cancel(self, refs: Collection[JobRef]) -> None:
        """Do nothing: a worker sees the request that stands beside its claim."""

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """No files of the engine's own are known from here."""
        return dict.fromkeys(refs, ())

    def close(self) -> None:
        """Nothing was started here."""
