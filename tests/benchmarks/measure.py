"""Measuring side by side: the rounds of all subjects alternate, and medians are compared.

A machine that is busy with other things is busy with them for the floor, too, when both are
measured in turn; a median forgets the rounds in which it was not.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Called before each round, untimed, with the round's number; what it returns is timed.
Subject = Callable[[int], Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians over the rounds, in seconds for one operation."""

    wall_s: float
    cpu_s: float  # of this process, in user code and in the kernel

    @property
    def wall_us(self) -> float:
        """Microseconds on the clock."""
        return self.wall_s * 1e6

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU."""
        return self.cpu_s * 1e6

    @property
    def wall_ms(self) -> float:
        """Milliseconds on the clock."""
        return self.wall_s * 1e3

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of CPU."""
        return self.cpu_s * 1e3


def interleave(
    subjects: Mapping[str, Subject],
    *,
    rounds: int,
    operations: int = 1,
    warm_up: int = 1,
    collect_every: int = 1,
) -> dict[str, Timing]:
    """Time each subject once a round, in an order that attempts; medians for one operation.

    A round of a subject does `operations` operations. The first `warm_up` rounds do not count. What
    the others left behind is collected before each, or less often where rounds are so short that
    a collection, which empties the processor's caches, would be what is measured.
    """
    names = list(subjects)
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number in range(warm_up + rounds):
        attempt = number % len(names)
        for name in names[attempt:] + names[:attempt]:
            work = subjects[name](number)
            if number % collect_every == 0:
                gc.collect()
            timed = _once(work)
            if number >= warm_up:
                seen[name].append(timed)
    return {
        name: Timing(
            statistics.median(wall for wall, _ in times) / operations,
            statistics.median(cpu for _, cpu in times) / operations,
        )
        for name, times in seen.items()
    }


def _once(work: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu
