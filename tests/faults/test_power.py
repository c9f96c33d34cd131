"""A power cut at any moment of a call: what counts as made afterwards is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import huldra
from tests.faults import cases, power

# How many stops of a call are spared: before these nothing has been written that could count.
SPARED = {power.FEW: 25, power.MANY: 45}


@pytest.fixture
def played(tmp_path: Path, huldra_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to play in, with short leases; skips where no image of a disk can be mounted."""
    del huldra_root  # comes back afterwards
    if reason := power.why_not(tmp_path):
        pytest.skip(reason)
    for name, value in cases.SETTINGS.items():
        monkeypatch.setenv(name, value)
    before = huldra.HULDRA_CONFIG.snapshot()
    huldra.HULDRA_CONFIG.reload()
    yield tmp_path / "case"
    huldra.HULDRA_CONFIG.apply(before)


@pytest.mark.slow
@pytest.mark.parametrize("count", [power.FEW, power.MANY])
def test_power_cut_leaves_no_success_over_missing_files(played: Path, count: int) -> None:
    """On a real ext4, at each step: what counts as made is whole, and a call gives the value."""
    case = power.Case(count, writes_journal=True, spared=SPARED[count])
    assert not power.play(case, played).wrong


@pytest.mark.slow
def test_power_cut_without_durability_is_what_the_images_show(played: Path) -> None:
    """With HULDRA_DURABLE off the same check finds a success over empty files: it can fail."""
    case = power.Case(power.FEW, writes_journal=True, is_durable=False, spared=SPARED[power.FEW])
    assert any("made, and not whole" in text for text in power.play(case, played).wrong)
