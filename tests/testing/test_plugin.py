"""The fixture that pytest gets from huldra, in a project as users have one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support import children

PIPELINES = """
import huldra

class Words(huldra.Huldra[list[str]]):
    text: str = "a b"

    def _create(self) -> list[str]:
        return self.text.split()
"""
TESTS = """
import os
import subprocess
import sys

import pytest

import huldra
from pipelines import Words

BEFORE = huldra.get_huldra_root()

@pytest.mark.parametrize("number", range(4))
def test_each_test_computes_for_itself(huldra_store, number):
    assert not Words().exists()
    assert Words().load_or_create() == ["a", "b"]
    assert Words().huldra_dir.is_relative_to(huldra_store)

def test_a_worker_and_a_child_use_the_same_store(huldra_store):
    Words().load_or_create(executor="local:1").result(timeout=60)
    code = "from pipelines import Words; assert Words().exists()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

def test_afterwards_the_root_is_the_one_of_before():
    assert huldra.get_huldra_root() == BEFORE
"""


def test_each_test_has_a_store_of_its_own(tmp_path: Path) -> None:
    """Beside each other, too, and for workers and children; the user's own root comes back."""
    (tmp_path / "pipelines.py").write_text(PIPELINES)
    (tmp_path / "test_pipelines.py").write_text(TESTS)
    environment = children.environment(tmp_path / "own")
    environment["PYTHONPATH"] += f":{tmp_path}"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"),
            *(() if _is_registered() else ("-p", "huldra.testing.plugin")),
            str(tmp_path),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


def _is_registered() -> bool:
    """Return True if the environment was installed since the plugin has its entry point."""
    from importlib.metadata import entry_points

    return any(entry.name == "huldra" for entry in entry_points(group="pytest11"))
