"""The short form of the fault harness; `make faults` is the long one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import harness
from tests.support import children


def play(folder: Path, *options: str, timeout_s: float = 110.0) -> None:
    """Play a form of the harness in a process of its own, and expect that nothing is wrong."""
    seed = os.environ.get("HULDRA_TEST_SEED")
    done = subprocess.run(
        [*(sys.executable, "-m", "tests.faults", *options), *(("--seed", seed) if seed else ())],
        env=children.environment(folder),
        cwd=children.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.faults
@pytest.mark.slow
def test_random_faults_leave_the_books_in_order(tmp_path: Path) -> None:
    """After rounds of kills, stops and interrupts all is made, once an attempt; none is stuck."""
    play(tmp_path, "--form", "graphs", "--rounds", "32", "--seconds", "35")


@pytest.mark.faults
@pytest.mark.slow
def test_random_histories_agree_with_the_model(tmp_path: Path) -> None:
    """Kills, stops, cancels, removals, bad disks: one `_create` at a time, nothing torn or lost."""
    play(tmp_path, "--form", "histories", "--rounds", "32", "--seconds", "40")


@pytest.mark.faults
@pytest.mark.slow
def test_a_fault_at_any_file_operation_costs_no_result_and_blocks_nobody(tmp_path: Path) -> None:
    """Errors and kills at each operation: others end in time, a new process gets the value."""
    play(tmp_path, "--form", "operations", "--every", "47", "--seconds", "50")


@pytest.mark.faults
@pytest.mark.slow
def test_a_removal_before_any_file_operation_publishes_nothing(tmp_path: Path) -> None:
    """The folder goes while a call makes it: nothing is published after the loss."""
    play(tmp_path, "--form", "removals", "--every", "23", "--seconds", "40")


def test_a_round_is_drawn_from_its_seed_and_number_alone() -> None:
    """A failure's seed and number play the same round again."""
    assert harness.draw(3, 4) == harness.draw(3, 4)
    assert harness.draw(3, 4) != harness.draw(3, 5)
    assert harness.draw(3, 4) != harness.draw(4, 4)
