"""Sweeps: jobs as they end, in a loop and in an event loop."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import huldra
from huldra.errors import HuldraComputeError
from tests.support.odd import Failing, Note

GATE = threading.Event()


class Held(huldra.Huldra[int]):
    def _create(self) -> int:
        assert GATE.wait(60)
        return 1


def test_jobs_come_as_they_end(huldra_root: Path) -> None:
    """Each member comes once, with its name, also one that failed."""
    sweep = huldra.load_or_create(
        {"good": Note(name="a"), "bad": Failing(name="f")}, executor="threads:2"
    )
    found = dict(sweep.as_completed(timeout=60))
    assert set(found) == {"good", "bad"}
    assert found["good"].result() == Note(name="a").load()


def test_a_timeout_ends_the_loop(huldra_root: Path) -> None:
    """What is not done by then is left out, without an error."""
    GATE.clear()
    sweep = huldra.load_or_create([Held()], executor="threads:1")
    try:
        assert list(sweep.as_completed(timeout=0.05)) == []
    finally:
        GATE.set()
    assert sweep.wait(60)


def test_an_event_loop_awaits_jobs_and_goes_through_a_sweep(huldra_root: Path) -> None:
    """`await job` is its result, and `async for` goes through the members."""

    async def main() -> tuple[str, set[str]]:
        sweep = huldra.load_or_create(
            {"a": Note(name="a"), "b": Note(name="b")}, executor="threads:2"
        )
        names = {name async for name, _ in sweep.as_completed()}
        return await sweep["a"], names

    text, names = asyncio.run(main())
    assert (text, names) == (Note(name="a").load(), {"a", "b"})


def test_an_awaited_failure_is_raised(huldra_root: Path) -> None:
    """As `result` raises it."""

    async def main() -> object:
        return await Failing(name="f").load_or_create(executor="threads:1")

    with pytest.raises(HuldraComputeError):
        asyncio.run(main())


class Scored(huldra.Huldra[dict[str, float]]):
    """Returns what it also writes down as a metric."""

    seed: int

    def _create(self) -> dict[str, float]:
        (self.huldra_dir / "score.json").write_text(f'{{"accuracy": {self.seed}, "steps": 3}}')
        return {"accuracy": float(self.seed)}

    def _load(self) -> dict[str, float]:
        return {"accuracy": float(self.seed)}


def test_a_printed_sweep_has_no_empty_column_and_no_metric_twice(huldra_root: Path) -> None:
    """Its rows have all columns; what is printed leaves out what tells a reader nothing."""
    sweep = huldra.load_or_create([Scored(seed=1), Scored(seed=2)], executor="inline")
    assert {"error", "metrics.score.accuracy"} <= sweep.rows()[0].keys()
    header = str(sweep).splitlines()[0].split()
    assert "error" not in header
    assert header[-3:] == ["seed", "metrics.score.steps", "accuracy"]
