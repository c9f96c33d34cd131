"""The sweeps of `bench_local` as joblib does them: `Parallel` over functions with a `Memory`."""

from __future__ import annotations

from typing import Any

from joblib import Memory, Parallel, delayed


def nothing(number: int, name: str = "item", rate: float = 1e-3) -> int:
    """The empty computation."""
    return number


def step(number: int, parent: int) -> int:
    """One more step after another."""
    return number


def join(number: int, parents: list[int]) -> int:
    """One step after many."""
    return number


class Sweeps:
    """Each call has its results cached in `folder`, and runs on a pool that stays."""

    def __init__(self, folder: str, workers: int) -> None:
        memory = Memory(folder, verbose=0)
        self._nothing, self._step, self._join = map(memory.cache, (nothing, step, join))
        self._parallel = Parallel(n_jobs=workers)

    def sweep(self, attempt: int, count: int) -> Any:
        """`count` computations that do not need each other."""
        first = attempt * 10_000
        return self._parallel(delayed(self._nothing)(first + i) for i in range(count))

    def chain(self, attempt: int, count: int) -> Any:
        """`count` computations, each of which needs the one before."""
        result = 0
        for number in range(count):
            (result,) = self._parallel([delayed(self._step)(attempt * 10_000 + number, result)])
        return result

    def fan(self, attempt: int, width: int) -> Any:
        """One, then `width` that need it, then one that needs them."""
        first = attempt * 10_000 + 5_000
        source = self._step(first, 0)
        middle = self._parallel(delayed(self._step)(first + 1 + i, source) for i in range(width))
        return self._join(first + width + 1, middle)
