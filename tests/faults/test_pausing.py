"""The points at which tests stop a process are those of the code, by name and by use."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import huldra
from tests.faults.pausing import Point

# The kit hands functions on to adapters, whose own files are no part of an attempt.
SOURCES = sorted(p for p in Path(huldra.__file__).parent.rglob("*.py") if p.name != "kit.py")
TESTS = sorted(Path(__file__).parent.glob("test_*.py"))


@pytest.mark.parametrize("module", sorted({p.value.module for p in Point} - {"os"}))
def test_functions_that_stop_are_called_through_their_module(module: str) -> None:
    """A function that another module imports by its name would run past the point unseen."""
    stopping = {point.value.function for point in Point if point.value.module == module}
    by_name = {
        (path.name, name.name)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == module
        for name in node.names
        if name.name in stopping
    }
    assert not by_name


@pytest.mark.parametrize("point", Point)
def test_every_point_is_used(point: Point) -> None:
    """A point that no test stops at proves nothing."""
    assert any(str(point) in path.read_text() for path in TESTS)
