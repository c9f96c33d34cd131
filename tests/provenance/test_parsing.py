"""The digest of a source file, and what it imports and defines."""

from __future__ import annotations

from huldra.provenance.parsing import parse

_CODE = b"""
'''What it is about.'''
import os

LIMIT = 3

class Train:
    '''About it.'''
    def _create(self):
        return LIMIT  # three
"""


def test_comments_docstrings_and_formatting_do_not_count() -> None:
    """A source has the digest of one that differs in what does not run."""
    other = b"""
import os
LIMIT=3
class Train:

    def _create( self ):
        "Another docstring."
        return (LIMIT)
"""
    assert parse(_CODE).digest == parse(other).digest
    assert parse(_CODE).classes() == parse(other).classes()


def test_another_value_counts() -> None:
    """An edit of a constant, of its type too, changes the digest and names the definition."""
    other = _CODE.replace(b"LIMIT = 3", b"LIMIT = 3.0")
    assert parse(_CODE).digest != parse(other).digest
    before, now = parse(_CODE).definitions(), parse(other).definitions()
    assert [name for name in now if before[name] != now[name]] == ["LIMIT"]


def test_methods_are_definitions_of_their_own() -> None:
    """A change of one method is named as that method, and not as its class."""
    other = _CODE.replace(b"return LIMIT", b"return LIMIT + 1")
    before, now = parse(_CODE).definitions(), parse(other).definitions()
    assert [name for name in now if before[name] != now[name]] == ["Train._create"]


def test_imports_are_absolute_names() -> None:
    """Relative imports, imports in functions and `from` imports give names of modules."""
    code = b"""
from . import near
from ..far import thing
import one.two
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import only_types
def f():
    if True:
        import late
"""
    found = parse(code).imports("a.b.c", False)
    assert {"a.b", "a.b.near", "a.far", "a.far.thing", "one.two", "late"} <= found
    assert "only_types" not in found


def test_what_is_no_python_has_the_digest_of_its_bytes() -> None:
    """A file that cannot be parsed still has a digest, and imports nothing."""
    broken = parse(b"def f(:\n")
    assert broken.digest == parse(b"def f(:\n").digest != parse(b"def g(:\n").digest
    assert not broken.imports("m", False)
