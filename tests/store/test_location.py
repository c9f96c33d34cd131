"""Where artifacts are, and what is said when a store is made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_TWICE = """
from tests.support.odd import Note
Note(name="a").load_or_create()
Note(name="b").load_or_create()
"""


def said_by(folder: Path, **environ: str) -> str:
    """What a program that computes two artifacts in `folder` shows on stderr."""
    path = os.pathsep.join(filter(None, sys.path))
    environ = {**os.environ, "PYTHONPATH": path, **environ}
    command = [sys.executable, "-c", _TWICE]
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=True
    )
    return done.stderr


def test_a_new_store_in_the_working_directory_is_announced_once(tmp_path: Path) -> None:
    """A program that runs in another folder has another store, which surprises people."""
    said = said_by(tmp_path)
    assert said.count(f"new store {tmp_path}/data-huldra, in the working directory") == 1
    assert "new store" not in said_by(tmp_path)


def test_a_store_that_was_named_is_not_announced(tmp_path: Path) -> None:
    """Who sets `HULDRA_PATH` knows where it is."""
    said = said_by(tmp_path, HULDRA_PATH=str(tmp_path / "mine"))
    assert (tmp_path / "mine" / "data").is_dir()
    assert "new store" not in said
