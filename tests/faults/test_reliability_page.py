"""docs/reliability.md names tests that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import huldra
from tests.support import children

PAGE = (children.REPOSITORY / "docs" / "reliability.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:tests|huldra)/[\w/]+\.py(?:::\w+)*)`", PAGE)))


def _file_of(path: str) -> Path:
    """A file of the checkout; one of huldra's own may be installed elsewhere."""
    if path.startswith("huldra/"):
        return Path(huldra.__file__).parents[1] / path
    return children.REPOSITORY / path


def _names_in(nodes: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _names_in(node.body, f"{node.name}::")


def test_the_page_names_tests() -> None:
    """The pattern finds the page's names, so that none of them goes unchecked."""
    assert len(NAMED) > 50
    assert PAGE.count(".py::") == sum(PAGE.count(f"`{name}`") for name in NAMED if "::" in name)


@pytest.mark.parametrize("named", NAMED)
def test_what_the_page_names_exists(named: str) -> None:
    """A file, and in it the test."""
    path, _, name = named.partition("::")
    names = set(_names_in(ast.parse(_file_of(path).read_text()).body))
    assert not name or name in names
