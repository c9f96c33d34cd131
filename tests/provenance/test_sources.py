"""Which code a process has: files and digests of its modules, on disk and in memory."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from huldra.provenance import sources
from huldra.worker.code import merged
from tests.support import children

NAME = "edited_sample"


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module of the user's, imported, written long before.

    Modules of other tests, whose folders are gone, may lie in the same process: a test asks about
    this module alone.
    """
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path / f"{NAME}.py", "VALUE = 1\n", time.time() - 60)
    yield importlib.import_module(NAME)
    del sys.modules[NAME]
    sources.notice()


def write(path: Path, text: str, at_s: float) -> None:
    path.write_text(text)
    os.utime(path, (at_s, at_s))


def test_the_users_modules_are_named_and_no_installed_ones(sample: ModuleType) -> None:
    """What a driver records are its own modules, by file and digest."""
    code = sources.this_code([])
    assert code.sources[NAME].file == sample.__file__
    assert not {"json", "chz", "pytest", "huldra.base"} & code.sources.keys()


def test_an_installed_package_is_named_where_a_config_comes_from_it(sample: ModuleType) -> None:
    """A class of a config is somebody's own code wherever it is installed."""
    import chz

    cls = type("C", (), {"__module__": chz.__name__, "__huldra_class__": True})
    assert sources.this_code([cls]).sources["chz"].file == chz.__file__


def test_an_edit_that_was_loaded_again_is_the_code_in_memory(sample: ModuleType) -> None:
    """`importlib.reload` is seen: memory and disk agree again."""
    before = sources.this_code([]).sources[NAME]
    write(Path(before.file), "VALUE = 2\n", time.time() - 30)
    importlib.reload(sample)
    code = sources.this_code([])
    assert code.sources[NAME].digest != before.digest
    assert sources.loaded()[NAME] == code.sources[NAME]
    assert before.file not in code.edited


def test_an_edit_that_was_not_loaded_again_is_told(sample: ModuleType) -> None:
    """The driver's record is what workers can import; that the driver has other code is known."""
    before = sources.this_code([])
    file = before.sources[NAME].file
    write(Path(file), "VALUE = 2\n", time.time() - 30)
    after = sources.this_code([])
    assert file in after.edited
    assert after.digest != before.digest
    assert NAME in sources.outdated()


def test_an_edit_before_the_first_look_is_known_by_the_bytecode(tmp_path: Path) -> None:
    """A driver that imported, and then the file was edited, knows it when it sends first."""
    (tmp_path / f"{NAME}.py").write_text("VALUE = 1\n")
    code = f"""
        import sys
        from pathlib import Path
        sys.dont_write_bytecode = False
        sys.path.insert(0, {str(tmp_path)!r})
        import {NAME}
        from huldra.provenance import sources
        Path({NAME}.__file__).write_text("VALUE = 1000\\n")
        print(sources.this_code([]).edited == ({NAME}.__file__,))
    """
    done = children.run(code, tmp_path / "store")
    assert done.stdout == "True\n", done.stderr


def test_what_no_user_wrote_for_the_driver_is_left_out(tmp_path: Path) -> None:
    """Each environment may have its own start-up module: it is no difference of code."""
    (tmp_path / "usercustomize.py").write_text("")
    code = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import usercustomize
        from huldra.provenance import sources
        print("usercustomize" in sources.this_code([]).sources)
    """
    done = children.run(code, tmp_path / "store")
    assert done.stdout == "False\n", done.stderr


def test_two_edits_in_one_tick_are_told_apart(tmp_path: Path) -> None:
    """A digest is not remembered for a file whose time may be that of the next edit, too."""
    file, now = tmp_path / "m.py", time.time()
    write(file, "VALUE = 1\n", now)
    before = sources.read(str(file))
    write(file, "VALUE = 2\n", now)
    assert before is not None
    assert sources.read(str(file)) != before


def test_a_module_that_was_written_after_the_last_look_is_in_doubt(
    sample: ModuleType,
) -> None:
    """Its import may have come before or after: it equals no other."""
    sources.notice()
    assert sample.__file__ is not None
    write(Path(sample.__file__), "VALUE = 3\n", time.time() + 5)
    importlib.reload(sample)
    sources.notice()
    assert sources.loaded()[NAME].digest == ""
    assert NAME in sources.outdated()


def test_an_edit_back_is_no_edit(sample: ModuleType) -> None:
    """Digests count, not times: a file that was written again with the same content is the same."""
    before = sources.this_code([]).sources[NAME]
    write(Path(before.file), "VALUE = 1\n", time.time() - 10)
    assert before.file not in sources.this_code([]).edited
    assert NAME not in sources.outdated()


class _Hostile:
    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


def test_odd_things_in_sys_modules_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for modules, and modules with stand-ins for specs, are no sources and no error."""
    module = ModuleType("odd_spec")
    module.__spec__ = _Hostile()  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "odd_spec", module)
    monkeypatch.setitem(sys.modules, "odd_module", _Hostile())  # type: ignore[arg-type]
    assert not {"odd_spec", "odd_module"} & sources.this_code([]).sources.keys()


def test_the_import_path_of_a_removed_folder(tmp_path: Path) -> None:
    """Entries that stand for a working directory which is gone are left out."""
    code = """
        import os, sys, tempfile
        os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())
        sys.path.insert(0, ""); sys.path.insert(0, "/elsewhere")
        from huldra.provenance.sources import import_path
        print(import_path()[:1], "" in import_path())
    """
    done = children.run(code, tmp_path)
    assert done.stdout == "['/elsewhere'] False\n", done.stderr


def test_a_worker_takes_the_drivers_order() -> None:
    """The driver's entries come first and in its order, whatever the worker had."""
    here = [entry for entry in sys.path if sources.is_interpreters(entry)]
    drivers = ["/clone", *here, "/editable"]
    assert merged(drivers, here, ["/installed", *here, "/clone"]) == [*drivers, "/installed"]


def test_another_interpreters_folders_come_last() -> None:
    """A worker of another environment keeps its own library; the driver's order holds around it."""
    here = [entry for entry in sys.path if sources.is_interpreters(entry)]
    other = ["/python/lib/python3.99", "/python/lib/python3.99/site-packages"]
    path = merged(["/clone", *other, "/editable"], other, ["/worker", *here])
    assert path == ["/clone", *here, "/editable", "/worker", *other]
