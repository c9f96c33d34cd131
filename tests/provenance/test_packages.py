"""Which versions of installed packages a class's module imports."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from huldra.provenance.packages import packages_of

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module of a project, or one below `site-packages`, that can be imported."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_folder_of_a_distribution_names_its_version(write: Write) -> None:
    """By its normalised name, without reading a file in it."""
    write("site-packages/pk_one.py", "__version__ = 'not this'")
    write("site-packages/Pk.One-1.2.3.dist-info/METADATA", "")
    write("pk_user.py", "import pk_one")
    importlib.import_module("pk_user")
    assert packages_of("pk_user") == {"pk_one": "1.2.3"}


def test_a_module_of_another_name_tells_its_version_itself(write: Write) -> None:
    """As `sklearn` does, which no distribution is called; without a word it is left out."""
    write("site-packages/pk_two.py", "__version__ = '2.0'\nclass Model: pass")
    write("site-packages/pk_mute.py", "def work(): pass")
    write("pk_user.py", "from pk_two import Model\nfrom pk_mute import work")
    importlib.import_module("pk_user")
    assert packages_of("pk_user") == {"pk_two": "2.0"}


def test_modules_of_the_project_are_gone_through_and_packages_are_not(write: Write) -> None:
    """What a package imports in turn, and what nobody names, is not recorded."""
    write("site-packages/pk_below.py", "__version__ = '0'")
    write("site-packages/pk_three.py", "import pk_below\n__version__ = '3'\nvalue = object()")
    write("site-packages/pk_other.py", "__version__ = '4'")
    write("pk_deep.py", "import pk_three")
    write("pk_user.py", "import json, pk_deep\ndef later():\n    import pk_other")
    module = importlib.import_module("pk_user")
    module.later()
    assert packages_of("pk_user") == {"pk_three": "3"}


def test_a_module_that_is_not_there_has_none() -> None:
    """Also one of the standard library."""
    assert packages_of("no.such.module") == {}
    assert packages_of("json") == {}
