"""What runs inside a job: one node, requeued under the same job id when Slurm takes it away.

`Node` is what submitit unpickles and calls. The signal that Slurm sends ahead of a time limit
(and, where a site says so, of a preemption) reaches `_create` as the end of the attempt: it is
recorded as preempted, then submitit's own handler gets the signal, calls `checkpoint` and
requeues the job.
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from huldra import context
from huldra.executor import JobRef
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
        """Make the node; raises `NodeFailed`, which is plain text."""
        from huldra.worker import run_node

        ending = Ending() if self.engine == "slurm" else None
        if ending is not None:
            signal.signal(signal.SIGTERM, ending.act)
            context.was_cancelled.set(ending.is_cancel)
        run_node(
            self.payload,
            job=self._ref(),
            owns_process=True,
            preempt_signals=(preempt_signal(),),
        )

    def _ref(self) -> JobRef:
        import submitit

        job_id = submitit.JobEnvironment().job_id
        return JobRef(self.engine, job_id, {**self.meta, "restart": restarts()})

    def checkpoint(self) -> Any:
        """What to run after a requeue: the same node. None ends it: requeued too often."""
        from submitit.core.utils import DelayedSubmission

        return DelayedSubmission(self) if restarts() < self.max_requeues else None


class Ending:
    """Why Slurm told this job to end: SIGTERM alone does not say.

    Slurm sends it to a job that somebody cancelled, that is preempted, and that has used up its
    time. The job's state, asked for once the signal came, tells them apart.
    """

    def __init__(self) -> None:
        self._state: str | None = None

    def state(self) -> str:
        """The state of this very job, empty when Slurm does not answer; asked for once."""
        if self._state is None:
            job_id = os.environ.get("SLURM_JOB_ID", "")
            command = ("scontrol", "show", "job", job_id)
            shown = this_slurm().run(*command, timeout_s=_ASK_TIMEOUT_S)
            found = re.search(r"JobState=(\w+)", shown.out)
            self._state = found[1] if found and shown.is_ok else ""
        return self._state

    def is_cancel(self) -> bool:
        """Whether it was cancelled, and cancelling does not stand for preemption here."""
        return self.state() == "CANCELLED" and not HULDRA_CONFIG.cancelled_is_preempted

    def act(self, _signum: int, _frame: FrameType | None) -> None:
        """Handle SIGTERM after the attempt is recorded, or where there is none.

        A job that still counts as running was only warned (a grace time): it goes back to the
        queue through submitit's handler. All others are Slurm's to requeue or to end.
        """
        if self.state() == "RUNNING":
            signal.raise_signal(preempt_signal())
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
