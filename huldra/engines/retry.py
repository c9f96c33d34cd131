"""Whether a node runs again after its engine failed it: decided here, asked by each adapter.

A try of a node ends with an answer (`run_node` returned, or raised `NodeFailed`), which is final,
or without one: the engine took the node's worker away, or the node's process died. Only the second
kind is tried again, and not for ever. `preempt_max` (`HULDRA_PREEMPT_MAX`) has one meaning: how
many *retries* a node has beside its first try, whatever ended the tries before.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from huldra.engines.protocol import JobStatus
from huldra.engines.resources import Resources

KILLS_MAX = 2
# What a retry can mend. A limit of time or memory would be reached again.
_WORTH_A_RETRY = frozenset({JobStatus.PREEMPTED, JobStatus.LOST})
# How batch systems and people ask a process to make room.
_POLITE = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})


@dataclass(frozen=True, slots=True)
class Death:
    """How one try ended without an answer, as far as its engine can tell.

    `status` is the engine's word. `killed_by` is the signal that ended the node's process, 0 where
    there was none or none is known. `text` says for people what happened.
    """

    status: JobStatus
    killed_by: int = 0
    text: str = ""

    @staticmethod
    def of_process(code: int, text: str, *, kernel_lacked_memory: bool = False) -> Death:
        """The death of a process, by its exit code: negative where a signal ended it.

        `kernel_lacked_memory`: the kernel says that it has just killed something for lack of it.
        """
        killed_by = -code if code < 0 else 0
        if killed_by in _POLITE:
            return Death(JobStatus.PREEMPTED, 0, text)
        if killed_by == signal.SIGKILL and kernel_lacked_memory:
            return Death(JobStatus.OUT_OF_MEMORY, killed_by, text)
        return Death(JobStatus.LOST, killed_by, text)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a node is tried again: `preempt_max` retries, fewer where more would be in vain.

    A node that was killed for lack of memory is not tried again with the same request. One that
    the same signal killed twice in a row, for no reason that its engine knows, is not either: most
    often it was the kernel, for lack of memory, and each try costs as much as the one before.
    Preemption and lost hosts say nothing of the node: it has all its retries.
    """

    preempt_max: int
    kills_max: int = KILLS_MAX

    def allows(self, retries: int) -> bool:
        """Return True if a node may have so many retries, whatever ended its tries."""
        return retries <= self.preempt_max

    def why_not(self, deaths: Sequence[Death], resources: Resources) -> str:
        """Say why a node whose tries ended like this is not tried again; "" where it is."""
        last = deaths[-1]
        if last.status is JobStatus.OUT_OF_MEMORY:
            return f"{last.text}: killed for lack of memory; {memory_advice(_asked(resources))}"
        if last.status not in _WORTH_A_RETRY:
            return last.text or last.status.value
        if last.killed_by and _last_alike(deaths) >= self.kills_max:
            return f"{last.text}, for the second time in a row; {_suspicion(last, resources)}"
        if not self.allows(len(deaths)):
            return f"{last.text}, {len(deaths)} times (HULDRA_PREEMPT_MAX={self.preempt_max})"
        return ""


def how_it_ended(code: int) -> str:
    """An exit code in words: "by SIGKILL", "with exit code 3"."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"by signal {-code}"


def _last_alike(deaths: Sequence[Death]) -> int:
    """How many of the last deaths in a row were by the same signal."""
    count = 0
    for death in reversed(deaths):
        if death.killed_by != deaths[-1].killed_by:
            break
        count += 1
    return count


def _suspicion(death: Death, resources: Resources) -> str:
    if death.killed_by != signal.SIGKILL:
        return "the process crashes and is not retried"
    return f"killed, perhaps for lack of memory; {memory_advice(_asked(resources))}"


def _asked(resources: Resources) -> str:
    return f"memory_gb={resources.memory_gb:g}" if resources.memory_gb else ""


def memory_advice(asked: str) -> str:
    """Say how to get more memory than what was `asked` for, as text; "" for nothing."""
    return (
        f"the node requested {asked or 'no memory_gb'} and is not retried with the same request:"
        " request more in the class, _resources = huldra.Resources(memory_gb=...)"
    )
