"""When a node is tried again: the one policy that all adapters ask."""

from __future__ import annotations

import signal

import pytest

from huldra.engines.protocol import JobStatus
from huldra.engines.resources import Resources, Retry
from huldra.engines.retry import Death, RetryPolicy

NOTHING = Resources()
LOST = Death(JobStatus.LOST, text="its host is gone")
PREEMPTED = Death(JobStatus.PREEMPTED, text="preempted")
KILLED = Death.of_process(-signal.SIGKILL, "its worker died by SIGKILL")
CRASHED = Death.of_process(-signal.SIGSEGV, "its worker died by SIGSEGV")
OUT_OF_MEMORY = Death(JobStatus.OUT_OF_MEMORY, signal.SIGKILL, "it was killed")
TIMED_OUT = Death(JobStatus.TIMED_OUT, text="it reached its limit")
LEFT = Death.of_process(1, "its worker left with exit code 1")


@pytest.mark.parametrize("preempt_max", [0, 1, 5])
def test_preempt_max_is_the_number_of_retries(preempt_max: int) -> None:
    """A node runs once and `preempt_max` times more, whatever took its worker."""
    policy = RetryPolicy(preempt_max)
    deaths = [LOST, PREEMPTED] * 3
    again = [not policy.why_not(deaths[: n + 1], NOTHING) for n in range(len(deaths))]
    assert again == [n < preempt_max for n in range(len(deaths))]


@pytest.mark.parametrize("death", [LOST, PREEMPTED, LEFT])
def test_what_says_nothing_of_the_node_is_retried_to_the_limit(death: Death) -> None:
    """Preemption, a lost host, an exit that no signal caused."""
    assert RetryPolicy(5).why_not([death] * 5, NOTHING) == ""
    assert "HULDRA_PREEMPT_MAX=5" in RetryPolicy(5).why_not([death] * 6, NOTHING)


@pytest.mark.parametrize("death", [KILLED, CRASHED])
def test_the_second_kill_in_a_row_by_one_signal_is_the_last(death: Death) -> None:
    """Whatever HULDRA_PREEMPT_MAX allows."""
    assert RetryPolicy(5).why_not([death], NOTHING) == ""
    assert RetryPolicy(5).why_not([LOST, death, death], NOTHING)


@pytest.mark.parametrize("between", [LOST, PREEMPTED, CRASHED, LEFT])
def test_kills_that_are_not_in_a_row_do_not_add_up(between: Death) -> None:
    """A node that was killed once and preempted once has its retries."""
    assert RetryPolicy(5).why_not([KILLED, between, KILLED], NOTHING) == ""


def test_a_kill_for_lack_of_memory_is_the_last() -> None:
    """The kernel says so: the first time is enough, and the message says what to write."""
    death = Death.of_process(-signal.SIGKILL, "it died", kernel_lacked_memory=True)
    assert death.status is JobStatus.OUT_OF_MEMORY
    reason = RetryPolicy(5).why_not([death], Resources(memory_gb=4))
    assert "killed for lack of memory" in reason
    assert "requested memory_gb=4" in reason
    assert "huldra.Resources(memory_gb=...)" in reason


def test_two_kills_may_have_been_for_lack_of_memory() -> None:
    """The message says what it may have been, what was asked for and what to write."""
    reason = RetryPolicy(5).why_not([KILLED, KILLED], NOTHING)
    assert "killed, perhaps for lack of memory" in reason
    assert "requested no memory_gb" in reason
    assert "memory" not in RetryPolicy(5).why_not([CRASHED, CRASHED], NOTHING)


def test_a_time_limit_is_not_tried_again() -> None:
    """It would be reached again; the message says what to write."""
    reason = RetryPolicy(5).why_not([TIMED_OUT], Resources(time_min=30))
    assert reason.startswith("it reached its limit; the node requested time_min=30")
    assert "huldra.Retry(time=2.0)" in reason


def test_a_retry_multiplies_what_was_lacking() -> None:
    """Memory and time apart, each up to its limit."""
    retry = Retry(memory=2.0, time=1.5, max_memory_gb=6, max_time_min=100, max_tries=5)
    declared = Resources(cpus=2, memory_gb=2, time_min=60, retry=retry)
    policy = RetryPolicy(5)

    def request(*deaths: Death) -> tuple[float | None, float | None]:
        asked = policy.request(deaths, declared)
        assert asked.cpus == 2
        return asked.memory_gb, asked.time_min

    assert request(LOST) == (2, 60)
    assert request(OUT_OF_MEMORY) == (4, 60)
    assert request(OUT_OF_MEMORY, OUT_OF_MEMORY, TIMED_OUT) == (6, 90)
    assert request(TIMED_OUT, TIMED_OUT) == (2, 100)


def test_a_retry_ends_at_its_limits() -> None:
    """At `max_tries`, and where there is no more to request; the message says which."""
    few = Resources(memory_gb=2, retry=Retry(memory=2.0, max_tries=2))
    assert RetryPolicy(5).why_not([OUT_OF_MEMORY], few) == ""
    assert "max_tries" in RetryPolicy(5).why_not([OUT_OF_MEMORY] * 2, few)
    full = Resources(memory_gb=2, retry=Retry(memory=2.0, max_memory_gb=2))
    assert "(max_memory_gb)" in RetryPolicy(5).why_not([OUT_OF_MEMORY], full)
    here = RetryPolicy(5, most=Resources(memory_gb=2))
    assert "2 is all that there is" in here.why_not([OUT_OF_MEMORY], few)


def test_a_retry_has_its_own_count() -> None:
    """What was preempted goes on having its retries, and the other way round."""
    asked = Resources(memory_gb=2, retry=Retry(memory=2.0, max_tries=3))
    assert RetryPolicy(0).why_not([OUT_OF_MEMORY], asked) == ""
    assert RetryPolicy(1).why_not([OUT_OF_MEMORY, LOST, OUT_OF_MEMORY], asked) == ""
    assert RetryPolicy(1).why_not([OUT_OF_MEMORY, LOST, LOST], asked)


def test_two_kills_get_more_memory_where_that_is_asked_for() -> None:
    """Most often they were for lack of it, and the engine cannot tell."""
    asked = Resources(memory_gb=2, retry=Retry(memory=2.0))
    assert RetryPolicy(5).request([KILLED], asked).memory_gb == 2
    assert RetryPolicy(5).why_not([KILLED, KILLED], asked) == ""
    assert RetryPolicy(5).request([KILLED, KILLED], asked).memory_gb == 4
    assert RetryPolicy(5).why_not([CRASHED, CRASHED], asked)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_a_polite_signal_is_a_preemption(number: signal.Signals) -> None:
    """Batch systems ask processes to make room, also while memory is short."""
    death = Death.of_process(-number, "it ended", kernel_lacked_memory=True)
    assert death.status is JobStatus.PREEMPTED
