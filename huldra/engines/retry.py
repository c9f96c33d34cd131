"""Whether a node runs again after its engine failed it: decided here, asked by each adapter.

A try of a node ends with an answer (`run_node` returned, or raised `NodeFailed`), which is final,
or without one: the engine took the node's worker away, or the node's process died. Only the second
kind is tried again, and not for ever. `preempt_max` (`HULDRA_PREEMPT_MAX`) has one meaning: how
many *retries* a node has beside its first try, whatever ended the tries before. Tries that had
more memory or time than the one before, as the node's `Retry` asks for, are counted apart.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from huldra.engines.protocol import JobStatus
from huldra.engines.resources import GROWTH, Resources

KILLS_MAX = 2
_NO_LIMIT = Resources()
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

    A node that was killed for lack of memory, or at its time limit, is not tried again with the
    same request; with more where its `Retry` asks for that. One that the same signal killed twice
    in a row, for no reason that its engine knows, is not either: most often it was the kernel, for
    lack of memory, and each try costs as much as the one before. Preemption and lost hosts say
    nothing of the node: it has all its retries.

    `most` is what the engine can give at most: a `Retry` asks for no more of that.
    """

    preempt_max: int
    kills_max: int = KILLS_MAX
    most: Resources = _NO_LIMIT

    def allows(self, retries: int) -> bool:
        """Return True if a node may have so many retries, whatever ended its tries."""
        return retries <= self.preempt_max

    def request(self, deaths: Sequence[Death], declared: Resources) -> Resources:
        """Return what the next try of a node requests, where its tries so far ended like this."""
        asked = declared
        for count in range(1, len(deaths) + 1):
            asked = self._more(asked, self._lacked(deaths[:count]))
        return asked

    def why_not(self, deaths: Sequence[Death], declared: Resources) -> str:
        """Say why a node whose tries ended like this is not tried again; "" where it is."""
        last, asked = deaths[-1], self.request(deaths[:-1], declared)
        lacked = self._lacked(deaths)
        if lacked:
            if self._is_worth_more(deaths, asked):
                return ""
            return f"{self._what_happened(deaths)}; {self._advice(lacked, asked)}"
        if last.status not in _WORTH_A_RETRY:
            return last.text or last.status.value
        if last.killed_by and _last_alike(deaths) >= self.kills_max:
            return (
                f"{last.text}, for the second time in a row; the process crashes and is not retried"
            )
        others = len(deaths) - self._growths(deaths)
        if not self.allows(others):
            return f"{last.text}, {others} times (HULDRA_PREEMPT_MAX={self.preempt_max})"
        return ""

    def _is_worth_more(self, deaths: Sequence[Death], asked: Resources) -> bool:
        """Return True if the node gets another try with more than it had."""
        retry = asked.retry
        if retry is None or self._growths(deaths) >= retry.max_tries:
            return False
        return self._more(asked, self._lacked(deaths)) != asked

    def _growths(self, deaths: Sequence[Death]) -> int:
        return sum(bool(self._lacked(deaths[: end + 1])) for end in range(len(deaths)))

    def _lacked(self, deaths: Sequence[Death]) -> str:
        """Return the resource key that the last try had too little of; "" for none."""
        last = deaths[-1]
        if last.status is JobStatus.TIMED_OUT:
            return "time_min"
        is_kill = last.killed_by == signal.SIGKILL and last.status in _WORTH_A_RETRY
        is_second = is_kill and _last_alike(deaths) >= self.kills_max
        return "memory_gb" if is_second or last.status is JobStatus.OUT_OF_MEMORY else ""

    def _more(self, asked: Resources, lacked: str) -> Resources:
        """Return `asked` with more of what was lacking, as far as its `Retry` and `most` go."""
        for factor_name, limit_name, key in GROWTH:
            factor = getattr(asked.retry, factor_name, None)
            if key != lacked or factor is None:
                continue
            now = getattr(asked, key)
            limits = (getattr(asked.retry, limit_name), getattr(self.most, key))
            wanted = min([now * factor, *(limit for limit in limits if limit is not None)])
            return replace(asked, **{key: wanted}) if wanted > now else asked
        return asked

    def _what_happened(self, deaths: Sequence[Death]) -> str:
        last = deaths[-1]
        if last.status is JobStatus.OUT_OF_MEMORY:
            return f"{last.text}: killed for lack of memory"
        if last.status is JobStatus.TIMED_OUT:
            return last.text or last.status.value
        return f"{last.text}, for the second time in a row; killed, perhaps for lack of memory"

    def _advice(self, lacked: str, asked: Resources) -> str:
        value = getattr(asked, lacked)
        text = f"{lacked}={value:g}" if value else ""
        growth = next((name, limit) for name, limit, key in GROWTH if key == lacked)
        if asked.retry is None or getattr(asked.retry, growth[0]) is None:
            return memory_advice(text) if lacked == "memory_gb" else time_advice(text)
        if self._more(asked, lacked) == asked:
            most = getattr(self.most, lacked)
            reason = f"{most:g} is all that there is" if most and value >= most else growth[1]
            return f"the node requested {text}, and its Retry asks for no more ({reason})"
        return f"the node requested {text}, and had all its tries (max_tries of its Retry)"


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


def memory_advice(asked: str) -> str:
    """Say how to get more memory than what was `asked` for, as text; "" for nothing."""
    return (
        f"the node requested {asked or 'no memory_gb'} and is not retried with the same request:"
        " request more in the class, _resources = huldra.Resources(memory_gb=...), or add"
        " retry=huldra.Retry(memory=2.0) to it to have more at each try"
    )


def time_advice(asked: str) -> str:
    """Say how to get more time than what was `asked` for, as text."""
    return (
        f"the node requested {asked or 'no time_min'} and is not retried with the same request:"
        " request more in the class, _resources = huldra.Resources(time_min=...), or add"
        " retry=huldra.Retry(time=2.0) to it to have more at each try"
    )
