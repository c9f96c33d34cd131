"""The same calls through other caches, for comparison: joblib and exca, where installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks.measure import Subject

NAMES = ("joblib", "exca")


def nothing(number: int, name: str = "item", rate: float = 1e-3) -> None:
    """The empty computation."""


def hits(numbers: Sequence[int]) -> dict[str, Subject]:
    """Asking each other cache for what it has."""
    return {name: _hits(call, numbers) for name, call in _callers().items()}


def _hits(call: Callable[[int], Any], numbers: Sequence[int]) -> Subject:
    for number in set(numbers):
        call(number)

    def run() -> None:
        for number in numbers:
            call(number)

    return lambda _: run


def misses(count: int) -> dict[str, Subject]:
    """Asking each other cache for `count` things a round that it does not have."""
    return {name: _misses(call, count) for name, call in _callers().items()}


def _misses(call: Callable[[int], Any], count: int) -> Subject:
    def prepare(attempt: int) -> Callable[[], None]:
        def run() -> None:
            for number in range(count):
                call(1_000_000 + attempt * count + number)

        return run

    return prepare


def _callers() -> dict[str, Callable[[int], Any]]:
    folder = os.environ["HULDRA_PATH"]
    found: dict[str, Callable[[int], Any]] = {}
    try:
        found["joblib"] = _joblib(folder)
        found["exca"] = _exca(folder)
    except ImportError:
        pass  # then there is less to compare with
    return found


def _joblib(folder: str) -> Callable[[int], Any]:
    import joblib

    return joblib.Memory(f"{folder}-joblib", verbose=0).cache(nothing)


def _exca(folder: str) -> Callable[[int], Any]:
    from tests.benchmarks.exca_task import caller

    return caller(f"{folder}-exca")
