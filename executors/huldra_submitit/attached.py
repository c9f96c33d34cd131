"""Following jobs on a Slurm cluster, from any process: all of an executor but submitting."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from huldra.engines.kit import (
    RESOURCE_KEYS,
    Capabilities,
    JobRef,
    JobStatus,
    OnSubmitted,
    Refusal,
    TaskGraph,
)
from huldra.errors import HuldraExecutorError
from huldra.settings import HULDRA_CONFIG
from huldra_submitit.commands import Slurm, slurm_of, this_slurm
from huldra_submitit.jobs import Jobs, error_text, hint_of
from huldra_submitit.queue import queue_of

ENGINE = "slurm"

CAPABILITIES = Capabilities(
    native_dependencies=True,
    arrays=True,
    survives_driver=True,
    finds_by_id=True,
    cancels_queued=True,
    kills_running=True,
    isolates=True,
    retries_infrastructure=True,
    honours=RESOURCE_KEYS,
    extra_prefix="slurm_",
)


class Attached:
    """The jobs of one cluster, of any driver; None is that of the environment at each call."""

    def __init__(self, slurm: Slurm | None = None) -> None:
        self._fixed = slurm

    @property
    def _slurm(self) -> Slurm:
        return self._fixed or this_slurm()

    @property
    def name(self) -> str:
        """The engine's name."""
        return ENGINE

    @property
    def capabilities(self) -> Capabilities:
        """What Slurm can do."""
        return CAPABILITIES

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Refuse everything: nothing can be sent through this."""
        return [Refusal(key, "submit", "this only follows jobs") for key in graph.tasks]

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:  # noqa: ARG002  the seam's
        """Raise HuldraExecutorError."""
        raise HuldraExecutorError("read-only executor: use SubmititExecutor to submit")

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """What Slurm says, one query for all; UNKNOWN while it does not answer."""
        return self._jobs().status(refs)

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Those that are over, as soon as one is; asks at growing intervals."""
        return self._jobs().wait(refs, timeout_s)

    def cancel(self, refs: Collection[JobRef]) -> None:
        """End jobs with `scancel`."""
        self._jobs().cancel(refs)

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """The files of stdout and stderr that submitit and Slurm write."""
        return self._jobs().logs(refs)

    def failure_reason(self, ref: JobRef) -> str:
        """The end of a job's own error file, for a job that ended before its node began."""
        return error_text(ref)

    def recover(self, ref: JobRef) -> JobRef | None:
        """The ref with its id of a job known by its hint alone; None while it is not found."""
        return self._jobs().recover(ref)

    def close(self) -> None:
        """Release nothing: jobs go on."""

    def _jobs(self) -> Jobs:
        is_preempted = HULDRA_CONFIG.cancelled_is_preempted
        return Jobs(queue_of(self._slurm, cancelled_is_preempted=is_preempted))


def attach(ref: JobRef) -> Attached:
    """The cluster that a ref was made on, as far as it can be spoken to from here."""
    return Attached(slurm_of(ref.meta if ref.job_id else hint_of(ref)))
