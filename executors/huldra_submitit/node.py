"""What runs inside a job: one node, requeued under the same job id when Slurm takes it away.

`Node` is what submitit unpickles and calls. The signal that Slurm sends ahead of a time limit
(and, where a site says so, of a preemption) reaches `_create` as the end of the attempt: it is
recorded as preempted, then submitit's own handler gets the signal, calls `checkpoint` and
requeues the job.
"""

from __future__ import annotations

import enum
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from huldra.engines.kit import JobRef, RetryPolicy, descendants, get_logger
from huldra.settings import HULDRA_CONFIG
from huldra_submitit.commands import this_slurm

_SIGNAL = "SUBMITIT_PREEMPT_SIGNAL"  # submitit's own variable
_ASK_TIMEOUT_S = 3.0


def preempt_signal() -> int:
    """The signal that stands for preemption and the time limit, as submitit has it."""
    name = os.environ.get(_SIGNAL, "USR2")
    return int(getattr(signal, f"SIG{name}", signal.SIGUSR2))


def restarts() -> int:
    """How often Slurm has requeued this job so far."""
    count = os.environ.get("SLURM_RESTART_COUNT", "0")
    return int(count) if count.isdigit() else 0


@dataclass
class Node:
    """A payload for `run_node`, and how often its job may be requeued."""

    payload: str
    engine: str
    max_requeues: int
    meta: dict[str, Any] = field(default_factory=dict)

    def __call__(self) -> None:
        """Make the node; raises `NodeFailed`, which is plain text. What it started ends with it."""
        from huldra.worker.node import output_path, run_node

        descendants.adopt_orphans()
        ending = TerminationHandler() if self.engine == "slurm" else None
        if ending is not None:
            signal.signal(signal.SIGTERM, ending.act)
        # Who looks into the job's own files finds the way to what the node prints.
        sys.stdout.write(f"what _create prints is in {output_path(self.payload)}\n")
        sys.stdout.flush()
        try:
            run_node(
                self.payload,
                job=own_ref(self.engine, self.meta),
                owns_process=True,
                preempt_signals=(preempt_signal(),),
                was_cancelled=ending.is_cancel if ending is not None else None,
            )
        finally:
            descendants.end_own()

    def checkpoint(self) -> Any:
        """What to run after a requeue: the same node. None ends it: requeued too often."""
        return requeued(self, self.max_requeues)


def own_ref(engine: str, meta: Mapping[str, Any]) -> JobRef:
    """The job that this process runs in."""
    import submitit

    return JobRef(engine, submitit.JobEnvironment().job_id, {**meta, "restart": restarts()})


def requeued(call: Callable[[], None], max_requeues: int) -> Any:
    """What submitit is to run after a requeue: `call`, None where it was requeued too often."""
    from submitit.core.utils import DelayedSubmission

    is_allowed = RetryPolicy(max_requeues).allows(restarts() + 1)
    return DelayedSubmission(call) if is_allowed else None


class TerminationCause(enum.Enum):
    """Why Slurm ended this job."""

    CANCELLED = "it was cancelled"
    REQUEUED = "it goes back to the queue: preempted, or requeued by hand"
    WARNED = "it is only warned: it still counts as running, and a grace time has begun"
    PREEMPTED = "it is preempted, and Slurm does not bring it back by itself"
    OTHER = "its time is up, or Slurm did not say"


def why_ended(shown: str, restarts_here: int) -> TerminationCause:
    """Read the reason out of `scontrol show job`, asked while the job is being ended.

    The state alone does not tell: it is COMPLETING in all cases until the last process is gone.
    """
    words = dict(word.partition("=")[::2] for word in shown.split() if "=" in word)
    state, restarts_there = words.get("JobState"), words.get("Restarts", "")
    if restarts_there.isdigit() and int(restarts_there) > restarts_here:
        return TerminationCause.REQUEUED
    if state == "RUNNING":
        return TerminationCause.WARNED
    is_time = words.get("Reason") == "TimeLimit"
    if words.get("PreemptTime", "None") not in ("None", "N/A"):
        return TerminationCause.PREEMPTED
    return (
        TerminationCause.CANCELLED
        if state in ("CANCELLED", "COMPLETING") and not is_time
        else TerminationCause.OTHER
    )


class TerminationHandler:
    """What SIGTERM means to this job: by itself it does not say.

    Slurm sends it to a job that was cancelled, that is preempted, and that has used up its
    time. Slurm's record of the job, asked for once the signal came, tells them apart.
    """

    def __init__(self) -> None:
        self._why: TerminationCause | None = None

    def why(self) -> TerminationCause:
        """The reason; asked for once."""
        if self._why is None:
            command = ("scontrol", "show", "job", own_job_id())
            shown = this_slurm().run(*command, timeout_s=_ASK_TIMEOUT_S)
            self._why = why_ended(shown.out, restarts()) if shown.is_ok else TerminationCause.OTHER
        return self._why

    def is_cancel(self) -> bool:
        """Return True if it was cancelled, and cancelling does not stand for preemption here."""
        return self.why() is TerminationCause.CANCELLED and not HULDRA_CONFIG.cancelled_is_preempted

    def wants_requeue(self) -> bool:
        """Return True if it is for us to bring the job back."""
        if self.why() is TerminationCause.CANCELLED:
            return HULDRA_CONFIG.cancelled_is_preempted
        return self.why() in (TerminationCause.WARNED, TerminationCause.PREEMPTED)

    def act(self, _signum: int, _frame: FrameType | None) -> None:
        """Handle SIGTERM after the attempt is recorded, or where there is none.

        What Slurm does not bring back by itself goes back to the queue through submitit's handler,
        which ends this process. All others are Slurm's to requeue or to end.
        """
        if self.wants_requeue():
            try:
                signal.raise_signal(preempt_signal())
            except (subprocess.SubprocessError, OSError, RuntimeError) as error:
                get_logger().warning("this job is not requeued: %s", error)
        descendants.end_own()  # as nothing does it once the signal has ended this process
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


def own_job_id() -> str:
    """The id of the job that this process runs in, empty outside of jobs."""
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array else os.environ.get("SLURM_JOB_ID", "")
