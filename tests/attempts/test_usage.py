"""What an attempt used, in the record of its end and in estimates."""

from __future__ import annotations

from pathlib import Path

import pytest

import huldra
from huldra.attempts.usage import Meter
from huldra.store.claim import read_history
from huldra.store.layout import ArtifactPaths
from huldra.store.records import Used
from huldra.testing.pipelines import Step


class Busy(huldra.Huldra[int]):
    """Uses a processor and some memory."""

    number: int

    _resources = huldra.Resources(cpus=2)

    def _create(self) -> int:
        return sum(bytearray(50 << 20)[::4096])


def used_by(obj: huldra.Huldra[int]) -> Used:
    (attempt,) = read_history(ArtifactPaths(str(obj.huldra_dir)))
    assert attempt.end is not None
    assert attempt.end.used is not None
    return attempt.end.used


def test_a_meter_counts_from_its_beginning() -> None:
    """Seconds of wall and processor, and the peak of a process that is its own."""
    meter = Meter(owns_process=False)
    sum(range(300_000))
    used = meter.read()
    assert 0 < used.wall_s < 60
    assert 0 < used.peak_memory_gb < 1000
    assert used.cpu_s < 60


@pytest.mark.usefixtures("huldra_root")
def test_the_end_of_an_attempt_says_what_it_used() -> None:
    """Also one that failed."""
    Busy(number=1).load_or_create()
    assert used_by(Busy(number=1)).peak_memory_gb > 0.04
    failing = Step(name="failing", does="fail")
    with pytest.raises(huldra.HuldraComputeError):
        failing.load_or_create()
    (attempt,) = read_history(ArtifactPaths(str(failing.huldra_dir)))
    assert attempt.end is not None
    assert attempt.end.used is not None


@pytest.mark.usefixtures("huldra_root")
def test_suggest_returns_resources_that_fit() -> None:
    """More than any attempt used; an error that says what to do where nothing is known."""
    with pytest.raises(huldra.HuldraArtifactMissing, match="make one first"):
        huldra.Resources.suggest(Busy)
    Busy(number=1).load_or_create()
    found = huldra.Resources.suggest(Busy)
    assert found.memory_gb is not None
    assert found.memory_gb >= used_by(Busy(number=1)).peak_memory_gb
    assert found.time_min == 1


def test_a_plan_says_what_it_will_cost(huldra_root: Path) -> None:
    """By the artifacts of the same class; nothing where none was made, or nothing will run."""
    wanted = [Busy(number=number) for number in range(4)]
    assert huldra.plan(wanted).estimate() == ""
    wanted[0].load_or_create()
    before = sorted(huldra_root.rglob("*"))
    text = str(huldra.plan(wanted))
    assert "3 × Busy: " in text
    assert "(median of 1;" in text
    assert "of cores in all" in text
    assert sorted(huldra_root.rglob("*")) == before
    assert huldra.plan(wanted[:1]).estimate() == ""


@pytest.mark.usefixtures("huldra_root")
def test_adopted_artifacts_say_nothing_of_what_a_computation_uses() -> None:
    """Their attempt copied files: neither estimates nor suggestions count it."""
    computed = Step(name="computed")
    computed.load_or_create()
    huldra.adopt(computed, Busy(number=1), dry_run=False)
    assert Busy(number=1).exists()
    assert huldra.plan([Busy(number=2)]).estimate() == ""
    with pytest.raises(huldra.HuldraArtifactMissing, match="make one first"):
        huldra.Resources.suggest(Busy)
    Busy(number=2).load_or_create()
    assert "(median of 1;" in huldra.plan([Busy(number=3)]).estimate()


def test_odd_records_of_use_are_none() -> None:
    """Of another version, or damaged."""
    for odd in (None, {}, {"wall_s": True, "cpu_s": 1, "peak_memory_gb": 1}, [1]):
        assert Used.from_json(odd) is None
    good = Used(1.5, 2.0, 0.25)
    assert Used.from_json(good.to_json()) == good
