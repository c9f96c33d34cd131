"""A store that tests write, and the command line over it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from huldra import cli
from tests.dashboard.store import StoreWriter


@pytest.fixture
def store(tmp_path: Path) -> StoreWriter:
    """Writes artifacts below `tmp_path / "artifacts"`."""
    root = tmp_path / "artifacts"
    root.mkdir()
    return StoreWriter(root)


@pytest.fixture
def command(store: StoreWriter, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must end with code 0, and gives its stdout."""

    def run(*arguments: str) -> str:
        assert cli.main([*arguments, "--root", str(store.root)]) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def answer(command: Callable[..., str]) -> Callable[..., Any]:
    """Runs a command with `--json` and gives what it printed."""
    return lambda *arguments: json.loads(command(*arguments, "--json"))
