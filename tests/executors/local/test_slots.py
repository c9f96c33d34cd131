"""Arithmetic of the pool: totals, needs, and whose turn it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from huldra.engines.resources import Resources
from huldra_local.ready import ReadyQueue
from huldra_local.slots import CPUS, GPUS, MEMORY, WORKERS, Need, Slots, Totals

TOTALS = Totals(workers=4, cpus=8, gpus=("0", "1"), memory_gb=16)


@dataclass
class Task:
    name: str
    over: bool = False


def need(**resources: float) -> Need:
    return Need.of(Resources(**resources))


def test_a_need_without_a_word_on_cpus_takes_one() -> None:
    """One cpu, no GPU, no memory."""
    assert need() == Need(1000, 0, 0)
    assert need(cpus=0) == Need(0, 0, 0)


def test_what_is_taken_and_given_back_adds_up() -> None:
    """Thirds of a cpu do not leak."""
    slots = Slots(Totals(1000, 1, (), 1))
    third = need(cpus=1 / 3)
    for _ in range(1000):
        slots.give_back(third, slots.take(third))
    assert not slots.lacking(need(cpus=1))


def test_each_dimension_says_when_it_is_full() -> None:
    """What lacks is named."""
    slots = Slots(TOTALS)
    slots.take(need(cpus=8, gpus=2, memory_gb=16))
    assert slots.lacking(need(gpus=1, memory_gb=1)) == {CPUS, GPUS, MEMORY}
    assert slots.lacking(need(cpus=0)) == set()
    for _ in range(3):
        slots.take(need(cpus=0))
    assert slots.lacking(need(cpus=0)) == {WORKERS}


def test_whole_gpus_are_not_mixed_with_shared_ones() -> None:
    """Two halves share one GPU, and a whole one then gets the other."""
    slots = Slots(TOTALS)
    halves = [slots.take(need(gpus=0.5)), slots.take(need(gpus=0.5))]
    assert halves == [("0",), ("0",)]
    assert slots.take(need(gpus=1)) == ("1",)
    assert slots.lacking(need(gpus=0.25)) == {GPUS}
    slots.give_back(need(gpus=0.5), halves[0])
    assert slots.lacking(need(gpus=1)) == {GPUS}
    assert slots.take(need(gpus=0.25)) == ("0",)


def test_refusals_name_both_numbers() -> None:
    """The request and the total stand in the reason; a part of several GPUs is refused."""
    assert "9" in str(TOTALS.refusal("cpus", Resources(cpus=9)))
    assert "8" in str(TOTALS.refusal("cpus", Resources(cpus=9)))
    assert TOTALS.refusal("gpus", Resources(gpus=1.5))
    assert TOTALS.refusal("gpus", Resources(gpus=0.5)) is None
    assert TOTALS.refusal("memory_gb", Resources()) is None
    unknown = Totals(1, 1, (), math.inf)
    assert unknown.refusal("memory_gb", Resources(memory_gb=1e6)) is None
    assert not Slots(unknown).lacking(need(memory_gb=1e6))


def test_first_submitted_is_first_started() -> None:
    """Order is that of submission, not of becoming ready."""
    queue: ReadyQueue[Task] = ReadyQueue()
    for number in (3, 1, 2):
        queue.push(number, need(), Task(str(number)))
    slots = Slots(TOTALS)
    assert [queue.pop(slots).name for _ in range(3)] == ["1", "2", "3"]  # type: ignore[union-attr]  # all three are there
    assert not queue


def test_a_large_task_is_not_starved_by_small_ones() -> None:
    """Who lacks a dimension keeps later tasks from taking more of it."""
    queue: ReadyQueue[Task] = ReadyQueue()
    slots = Slots(TOTALS)
    slots.take(need(cpus=2))
    queue.push(1, need(cpus=8), Task("large"))
    queue.push(2, need(), Task("small"))
    queue.push(3, need(cpus=0, gpus=1), Task("gpu"))
    assert queue.pop(slots) == Task("gpu")
    assert queue.pop(slots) is None


def test_who_waits_for_a_gpu_does_not_hold_up_the_others() -> None:
    """A task that needs no GPU passes one that does."""
    queue: ReadyQueue[Task] = ReadyQueue()
    slots = Slots(TOTALS)
    slots.take(need(gpus=2))
    queue.push(1, need(gpus=1), Task("gpu"))
    queue.push(2, need(), Task("plain"))
    assert queue.pop(slots) == Task("plain")
    assert queue.pop(slots) is None


def test_what_is_over_is_passed_over() -> None:
    """A cancelled task neither starts nor holds up others."""
    queue: ReadyQueue[Task] = ReadyQueue()
    slots = Slots(TOTALS)
    slots.take(need(cpus=2))
    queue.push(1, need(cpus=8), Task("cancelled", over=True))
    queue.push(2, need(), Task("small"))
    assert queue.pop(slots) == Task("small")
    assert queue.pop(slots) is None
    assert not queue
