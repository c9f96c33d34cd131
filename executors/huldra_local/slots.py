"""What a pool has, what a task needs of it, and who holds what: plain arithmetic, no processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from huldra.engines.kit import Resources

# Amounts are whole thousandths: floats would not add up to what was taken after many tasks.
_UNIT = 1000
WORKERS, CPUS, GPUS, MEMORY = "workers", "cpus", "gpus", "memory_gb"


@dataclass(frozen=True, slots=True)
class Need:
    """What one running task holds, in thousandths; always one worker besides."""

    cpus: int = _UNIT
    gpus: int = 0
    memory_gb: int = 0

    @staticmethod
    def of(resources: Resources) -> Need:
        """The need that resources state; a task that names no cpus takes one."""
        return Need(
            _UNIT if resources.cpus is None else _thousandths(resources.cpus),
            _thousandths(resources.gpus or 0),
            _thousandths(resources.memory_gb or 0),
        )


def _thousandths(amount: float) -> int:
    return math.ceil(round(amount * _UNIT, 3))


@dataclass(frozen=True)
class Totals:
    """What a pool has: `gpus` are names as in `CUDA_VISIBLE_DEVICES`, memory is in GiB."""

    workers: int
    cpus: float
    gpus: tuple[str, ...]
    memory_gb: float

    def refusal(self, resource: str, resources: Resources) -> str | None:
        """Why this pool can never give that much, or None."""
        wanted = getattr(resources, resource)
        if not wanted:
            return None
        total = len(self.gpus) if resource == GPUS else getattr(self, resource)
        if wanted > total:
            return (
                f"asks for {wanted:g}, this pool has {total:g} in all; "
                f"LocalExecutor({resource}=…) states another total"
            )
        if resource == GPUS and wanted > 1 and wanted != int(wanted):
            return f"asks for {wanted:g}: more than one GPU must be a whole number of them"
        return None

    def most(self) -> Resources:
        """What one task can get at most, as far as anything limits that."""
        return Resources(memory_gb=None if math.isinf(self.memory_gb) else self.memory_gb)


class Slots:
    """The free part of a pool's totals."""

    def __init__(self, totals: Totals) -> None:
        self._workers = totals.workers
        self._cpus = _thousandths(totals.cpus)
        # More memory than any task may ask for stands for a total that nothing tells.
        known = not math.isinf(totals.memory_gb)
        self._memory_gb = _thousandths(totals.memory_gb) if known else 2**62
        self._gpu_names = totals.gpus
        self._gpus = [_UNIT] * len(totals.gpus)

    def lacking(self, need: Need) -> frozenset[str]:
        """The dimensions that are too full for this need; empty means it fits now."""
        short = set()
        if self._workers < 1:
            short.add(WORKERS)
        if self._cpus < need.cpus:
            short.add(CPUS)
        if self._memory_gb < need.memory_gb:
            short.add(MEMORY)
        if need.gpus and not self._choose(need.gpus):
            short.add(GPUS)
        return frozenset(short)

    def take(self, need: Need) -> tuple[str, ...]:
        """Reserve a need that fits; returns the names of its GPUs."""
        chosen = self._choose(need.gpus)
        self._add(need, chosen, -1)
        return tuple(self._gpu_names[index] for index in chosen)

    def give_back(self, need: Need, gpus: Sequence[str]) -> None:
        """Free what `take` reserved."""
        self._add(need, [self._gpu_names.index(name) for name in gpus], +1)

    def _add(self, need: Need, gpus: Sequence[int], sign: int) -> None:
        self._workers += sign
        self._cpus += sign * need.cpus
        self._memory_gb += sign * need.memory_gb
        for index in gpus:
            self._gpus[index] += sign * min(need.gpus, _UNIT)

    def _choose(self, amount: int) -> list[int]:
        """GPUs for this amount: whole free ones, or for a fraction the fullest that has room."""
        if amount == 0:
            return []
        share = min(amount, _UNIT)
        fitting = [index for index, free in enumerate(self._gpus) if free >= share]
        fitting.sort(key=lambda index: (self._gpus[index], index))
        count = -(-amount // _UNIT)
        return fitting[:count] if len(fitting) >= count else []
