"""Every example of the README's features does what its first line says."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import huldra
from examples.__main__ import names

REPOSITORY = Path(__file__).resolve().parents[2]
# What each example must print: one telling line of its output, as a pattern.
TELLING = {
    "caching": r"exists: False\n(.*\n)*exists: True, checkpoint: checkpoint\.bin\n"
    r"python: TrainModel\(lr=0\.0003, steps=5000\)\nagain:  True",
    "nesting": r"toy: 9 words\nlarge: 3000 words\nthe large dataset exists: True",
    "experiments": r"5 experiments, first: TrainModel\(lr=0\.001, steps=1000\)\n"
    r"baseline exists: True",
    "validation": r"still good: False\n(.*\n)*made again: b'weights'",
    "raw_files": r"1 MiB in \.\.\./raw/[0-9a-f]{32}/large\.bin",
    "versioned": r"\{'hello': 0, 'world': 1\}\n(.*\n)*git\n",
    "logs": r"starting first\n(.*\n)*.*this one too",
    "failures": r"HuldraComputeError: .*disk of the data provider is full(.*\n)*.*state\.json\n"
    r"(.*\n)*FINE",
    "planning": r"lines: 3 → 4",
    "resources": r"1\.25\n(.*\n)*refused, nothing was sent: (.*\n)*.*memory_gb",
    "templates": r"not yet: .*name.*\n(.*\n)*5\n",
    "command_line": r"TrainModel\(lr=0\.1, steps=10\)",
    "evolving": r"(.*artifact: +True\n){3}hello",
}
WITHOUT_A_PATTERN = {"demo"}


def test_every_example_is_tested() -> None:
    """A new example needs a line here, or a test of its own (the engines' examples have one)."""
    engines = {name for name in names() if re.match(r"(slurm|dask|ray)_", name)}
    assert set(names()) - WITHOUT_A_PATTERN - engines == set(TELLING)


@pytest.mark.parametrize("name", sorted(TELLING))
def test_the_example_runs(
    name: str,
    huldra_root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The example runs in a fresh store and shows its point."""
    monkeypatch.setattr(sys, "argv", ["examples", "lr=0.1", "steps=10"])
    importlib.import_module(f"examples.{name}").main()
    assert re.search(TELLING[name], capsys.readouterr().out)
    assert huldra.get_huldra_root() == huldra_root


def run_module(*argv: str, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *argv],
        cwd=REPOSITORY,
        env={**os.environ, "HULDRA_PATH": str(root)},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_examples_are_listed(tmp_path: Path) -> None:
    """`python -m examples` names each example with its first line."""
    done = run_module("examples", root=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == names()


def test_an_example_runs_from_the_command_line(tmp_path: Path) -> None:
    """`python -m examples command_line lr=0.1` builds the config from the arguments."""
    done = run_module("examples", "command_line", "lr=0.1", "steps=10", root=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "TrainModel(lr=0.1, steps=10)" in done.stdout


def test_an_unknown_example_is_an_error(tmp_path: Path) -> None:
    """A typing error lists what there is."""
    done = run_module("examples", "cashing", root=tmp_path)
    assert done.returncode == 2
    assert "'cashing'" in done.stderr


def successes(root: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in root.rglob(".huldra/SUCCESS.json")}


@pytest.mark.slow
def test_the_demo_computes_once_and_then_loads(tmp_path: Path) -> None:
    """The study makes 11 artifacts; every further run makes none, in a fraction of the time."""
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    first = run_module("examples.demo", root=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    made = successes(tmp_path)
    assert len(made) == 11
    assert "forest-200-deep" in first.stdout
    (plot,) = tmp_path.rglob("report.png")
    assert plot.read_bytes().startswith(b"\x89PNG")

    # The better of two: another process may have had the machine.
    again = [run_module("examples.demo", root=tmp_path) for _ in range(2)]
    assert successes(tmp_path) == made
    assert min(seconds_taken(run) for run in again) < seconds_taken(first) / 4


def seconds_taken(run: subprocess.CompletedProcess[str]) -> float:
    """What the demo said it took."""
    assert run.returncode == 0, run.stdout + run.stderr
    took = re.search(r"took:  ([\d.]+) s", run.stdout)
    assert took is not None
    return float(took[1])
