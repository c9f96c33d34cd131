"""A project of two modules that a test edits: a class of a config, and what it calls."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TRAIN = """
import huldra
from {name}.numbers import factor


class Train(huldra.Huldra[int]):
    '''A class whose result is its field times a factor.'''
    value: int = 1

    def _create(self) -> int:
        return self.value * factor()


def beside() -> int:
    return 1
"""
NUMBERS = "def factor() -> int:\n    return {factor}\n"


class Project:
    """A package below a folder, imported in this process."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder / name, name
        self.folder.mkdir()
        self._age_s = 1000.0
        self.write("__init__", "")
        self.write("train", TRAIN.format(name=name))
        self.write("numbers", NUMBERS.format(factor=2))

    def write(self, module: str, text: str) -> None:
        """Write a module; each later write has a later time, all of them past."""
        self._age_s -= 10
        path = self.folder / f"{module}.py"
        path.write_text(text)
        at_s = time.time() - self._age_s
        os.utime(path, (at_s, at_s))

    def edit(self, module: str, old: str, new: str) -> None:
        """Replace a piece of a module's text."""
        text = (self.folder / f"{module}.py").read_text()
        assert old in text
        self.write(module, text.replace(old, new))

    def load(self) -> Any:
        """Import the project as it is on disk, as a new process would; return its class."""
        self.forget()
        importlib.invalidate_caches()
        return importlib.import_module(f"{self.name}.train").Train

    def forget(self) -> None:
        """Take the project out of this process."""
        for module in [name for name in sys.modules if name.partition(".")[0] == self.name]:
            del sys.modules[module]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project on this process's import path; nothing of it stays behind."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    made = Project(tmp_path, f"project_{tmp_path.name.replace('-', '_')}")
    yield made
    made.forget()
