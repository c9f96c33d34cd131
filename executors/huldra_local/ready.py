"""Which waiting task starts next: first submitted, first started, as far as it fits."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from huldra_local.slots import CPUS, GPUS, MEMORY, WORKERS, Need, Slots


class Cancellable(Protocol):
    """What can be over before its attempt comes."""

    over: bool


T = TypeVar("T", bound=Cancellable)


@dataclass(slots=True)
class ReadyQueue(Generic[T]):
    """Tasks that nothing holds back but room, in the order of their submission.

    A task that does not fit lets others pass only on dimensions that it does not lack: a task for
    all cpus is not starved by a stream of small ones, and one that waits for a GPU does not hold up
    those that need none. Submission order (not the order of becoming ready) is also what keeps two
    drivers that wait for each other's tasks from filling all their workers with waiters.
    A task that was cancelled meanwhile stays inside and is passed over.
    """

    _lanes: dict[Need, list[tuple[int, T]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def push(self, number: int, need: Need, task: T) -> None:
        """Add a task; `number` is its place in the order of submission."""
        heapq.heappush(self._lanes.setdefault(need, []), (number, task))

    def pop(self, slots: Slots) -> T | None:
        """Remove and return the next task that fits, None when none does."""
        blocked: set[str] = set()
        for need in self._lanes_in_order():
            lacking = slots.lacking(need)
            if WORKERS in lacking:
                return None
            if lacking:
                blocked |= lacking
            elif not blocked & _uses(need):
                return self._pop_lane(need)
        return None

    def _lanes_in_order(self) -> list[Need]:
        for need, lane in list(self._lanes.items()):
            while lane and lane[0][1].over:
                heapq.heappop(lane)
            if not lane:
                del self._lanes[need]
        return sorted(self._lanes, key=lambda need: self._lanes[need][0][0])

    def _pop_lane(self, need: Need) -> T:
        lane = self._lanes[need]
        _, task = heapq.heappop(lane)
        if not lane:
            del self._lanes[need]
        return task


def _uses(need: Need) -> set[str]:
    amounts = {CPUS: need.cpus, GPUS: need.gpus, MEMORY: need.memory_gb}
    return {dimension for dimension, amount in amounts.items() if amount}
