"""The class that users subclass: what is a field, what is refused, and what a config can tell."""

from __future__ import annotations

import importlib
import logging
import runpy
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import pytest

import huldra
from huldra import chz
from tests.support import children
from tests.support.odd import Note

V = TypeVar("V")


class Abstract(huldra.Huldra[V], Generic[V]):
    """An intermediate class with a field, for all that share it."""

    seed: int = 0

    def _load(self) -> V:
        raise NotImplementedError


class Concrete(Abstract[int]):
    """Adds a field without `chz.field`."""

    factor: float = 2.0

    def _create(self) -> int:
        return int(self.seed * self.factor)

    def _load(self) -> int:
        return int(self.seed * self.factor)


class Mixin:
    """Behaviour from beside the tree."""

    def doubled(self) -> int:
        return 2 * self.seed  # type: ignore[attr-defined, no-any-return]  # the class it is mixed into has it


class Mixed(Mixin, Concrete):
    """Multiple inheritance."""


class Configured(Concrete, version_controlled=True, cache_version="2"):
    """Has class keywords, an option with an annotation and one without."""

    _max_wait_time_sec: float = 5.0
    _resources = huldra.Resources(cpus=2)


class Plain(Configured):
    """Inherits where it is stored, not the version of another class's code."""


def module_of(tmp_path: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a module written for one test."""
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(code))
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.import_module(name)


def test_inherited_fields_and_generics_work(huldra_root: Path) -> None:
    """Abstract generic classes, plain annotated fields and mixins make one config."""
    assert Mixed(seed=3, factor=2).load_or_create() == 6
    assert Mixed(seed=3).doubled() == 6
    assert isinstance(Mixed(seed=3), Abstract)


def test_options_are_no_fields() -> None:
    """`_max_wait_time_sec: float = …` sets the option; it is neither a field nor hashed."""
    assert set(chz.chz_fields(Configured)) == {"seed", "factor"}
    assert Configured()._max_wait_time_sec == 5.0


def test_class_keywords_reach_place_and_hash(huldra_root: Path) -> None:
    """`version_controlled` chooses the folder; `cache_version` is part of the hash."""
    assert Configured().huldra_dir.is_relative_to(huldra_root / "git")
    assert Plain().huldra_dir.is_relative_to(huldra_root / "git")
    assert Plain.__huldra_cache_version__ is None


def test_version_controlled_folder_says_what_to_commit(huldra_root: Path) -> None:
    """The folder `git/` ignores what speaks of processes of one machine."""
    Configured().load_or_create()
    assert "claims/" in (huldra_root / "git" / ".gitignore").read_text()


def test_config_is_frozen() -> None:
    """A config cannot be changed after it was made."""
    with pytest.raises(AttributeError):
        Note(name="a").name = "b"  # type: ignore[misc]  # that it is refused is what is tested


@pytest.mark.parametrize("name", ["load_or_create", "huldra_dir", "log", "plan", "exists"])
def test_field_named_like_a_method_is_refused(name: str) -> None:
    """The error names the field and the method."""
    with pytest.raises(huldra.HuldraClassError, match=rf"field '{name}'.*Huldra\.{name}"):
        type("Bad", (huldra.Huldra,), {"__annotations__": {name: int}, "__module__": __name__})


def test_local_class_has_no_directory() -> None:
    """A class of a function's body is refused, with the fix."""

    class Local(huldra.Huldra[int]):
        """Cannot be imported by another process."""

    with pytest.raises(huldra.HuldraClassError, match="module"):
        _ = Local().huldra_hash


def test_main_class_is_refused_with_the_fix(tmp_path: Path) -> None:
    """A class of a script is refused, and the message says to move it into a module."""
    code = """
        import huldra
        class Mine(huldra.Huldra[int]):
            pass
        Mine().load_or_create()
    """
    done = children.run(code, tmp_path)
    assert "HuldraClassError" in done.stderr
    assert "__main__" in done.stderr
    assert "module" in done.stderr


def test_missing_create_is_told(huldra_root: Path) -> None:
    """A class without `_create` fails by name."""
    with pytest.raises(huldra.HuldraComputeError, match="Abstract has no _create"):
        Abstract().load_or_create()


def test_missing_value_is_told_when_the_hash_is_asked_for() -> None:
    """A config with MISSING can be made and shown; its hash is an error that names the field."""
    note = Note(name=huldra.MISSING)
    assert "MISSING" in repr(note)
    with pytest.raises(huldra.HuldraIdentityError, match="name"):
        _ = note.huldra_hash


def test_unidentifiable_value_is_refused_with_its_path(huldra_root: Path) -> None:
    """A lambda in a config is an error that names where it stands; nothing is written."""
    note = Note(name=[lambda: 1])  # type: ignore[arg-type]  # a wrong type is what is tested
    with pytest.raises(huldra.HuldraIdentityError, match=r"name\[0\]"):
        note.load_or_create()
    assert not huldra_root.exists()


def test_equal_configs_are_equal_and_hash_equal() -> None:
    """Comparison follows the hash, and the fields that it leaves out."""
    assert Note(name="a") == Note(name="a")
    assert hash(Note(name="a")) == hash(Note(name="a"))
    assert Note(name="a") != Note(name="b")
    assert Note(name="a", pause_s=1.0) != Note(name="a")
    assert Note(name="a") != "a"


def test_repr_of_a_deep_config_is_short() -> None:
    """Showing a tower of diamonds takes no time and no page."""
    tip = Note(name="0")
    for number in range(1, 60):
        tip = Note(name=str(number), needs=(tip, tip))
    assert len(repr(tip)) < 2000


def test_from_dict_gives_an_equal_object_of_the_right_class() -> None:
    """A document is read back by its class or a base; another class refuses it."""
    note = Note(name="a", needs=(Note(name="b"),))
    assert Note.from_dict(note.to_dict()) == note
    assert huldra.Huldra.from_dict(note.to_dict()) == note
    with pytest.raises(huldra.HuldraSerializationError, match="Concrete"):
        Concrete.from_dict(note.to_dict())


def test_class_that_moved_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document of a class that is gone names the module and the class."""
    moved = module_of(
        tmp_path,
        "moved_away",
        "import huldra\nclass Gone(huldra.Huldra[int]):\n    x: int = 1\n",
        monkeypatch,
    )
    document = moved.Gone().to_dict()
    del moved.Gone
    with pytest.raises(huldra.HuldraSerializationError, match="Gone"):
        huldra.Huldra.from_dict(document)


def test_chz_command_line_builds_and_runs(tmp_path: Path) -> None:
    """`chz.entrypoint` makes a config from argv."""
    code = """
        import sys
        from huldra import chz
        from tests.support.odd import Note
        sys.argv = ["note", "name=fromargv", "pause_s=0"]
        print(chz.entrypoint(Note).load_or_create())
    """
    done = children.run(code, tmp_path)
    assert done.stdout == "fromargv\n", done.stderr


def test_unhashed_field_does_not_move_the_artifact(huldra_root: Path) -> None:
    """Two configs that differ in a `hashed=False` field share a directory."""
    assert Note(name="a", pause_s=3.0).huldra_dir == Note(name="a").huldra_dir


def test_import_makes_nothing(tmp_path: Path) -> None:
    """Importing huldra reads no settings, adds no handlers and makes no folder."""
    code = (
        "import logging, sys; hook = sys.excepthook; import huldra;"
        "assert not logging.getLogger().handlers; assert not logging.getLogger('huldra').handlers;"
        "assert sys.excepthook is hook"
    )
    env = children.environment(tmp_path / "store", HULDRA_LEASE_SECS="nonsense")
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "store").exists()


def test_bad_setting_is_told_at_first_use(tmp_path: Path) -> None:
    """A value that is not allowed names the variable, the value and what is allowed."""
    code = "from tests.support.odd import Note; Note(name='a').load_or_create()"
    done = children.run(code, tmp_path, HULDRA_LEASE_SECS="soon")
    assert "HULDRA_LEASE_SECS is 'soon'; allowed: a number of seconds" in done.stderr


# ---- what is refused where a class is defined ---------------------------------------------------


async def _coroutine(self: object) -> int:
    return 1


def _generator(self: object) -> Iterator[int]:
    yield 1


async def _async_generator(self: object) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("method", ["_create", "_load", "_validate", "_resources"])
@pytest.mark.parametrize("body", [_coroutine, _generator, _async_generator])
def test_a_method_of_which_a_call_runs_nothing_is_refused(method: str, body: object) -> None:
    """`async def` and `yield` are named where the class is defined, also behind a decorator."""
    for written in (body, staticmethod(body), property(body)):  # type: ignore[arg-type]  # a function each
        with pytest.raises(huldra.HuldraClassError, match=rf"Bad\.{method} (is an|has `yield`)"):
            type("Bad", (Concrete,), {method: written})


def test_a_mixins_async_create_is_refused() -> None:
    """What counts is the method that a call would find."""
    mixin = type("Later", (), {"_create": _coroutine})
    with pytest.raises(huldra.HuldraClassError, match="_create is an `async def`"):
        type("Bad", (mixin, Concrete), {})


def test_dependencies_may_be_a_generator_and_not_a_coroutine() -> None:
    """A generator of dependencies is read to its end; a coroutine would be forgotten."""
    type("Good", (Concrete,), {"_dependencies": _generator})
    with pytest.raises(huldra.HuldraClassError, match="_dependencies is an `async def`"):
        type("Bad", (Concrete,), {"_dependencies": _coroutine})


class Wide:
    """Has an attribute with the name of a field of `Concrete`."""

    factor = 1024.0


def test_an_attribute_of_a_mixin_that_hides_a_field_is_refused() -> None:
    """Else the object would show one value, and its hash stand for another."""
    with pytest.raises(huldra.HuldraClassError, match=r"Wide\.factor hides the field 'factor'"):
        type("Bad", (Wide, Concrete), {})
    type("Good", (Concrete, Wide), {})


def test_a_method_of_a_mixin_that_hides_a_field_is_refused() -> None:
    """A method hides as an attribute does; a property computes from the field, and may."""
    mixin = type("Computes", (), {"factor": lambda self: 1})
    with pytest.raises(huldra.HuldraClassError, match=r"Computes\.factor hides"):
        type("Bad", (mixin, Concrete), {})
    good = type("Doubles", (), {"factor": property(lambda self: 2 * self.X_factor)})
    assert type("Good", (good, Concrete), {})().factor == 4.0  # type: ignore[attr-defined]  # Concrete's


@pytest.mark.parametrize("container", [dict, list, set, str])
def test_a_config_that_is_a_container_too_is_refused(container: type) -> None:
    """What it holds beside its fields would not be hashed."""
    with pytest.raises(huldra.HuldraClassError, match=f"is also a {container.__name__}"):
        type("Bad", (container, huldra.Huldra), {})


def test_an_unknown_class_keyword_is_named_with_the_nearest() -> None:
    """A slip in `cache_version` is no riddle."""
    with pytest.raises(
        huldra.HuldraClassError, match="'cache_versoin'; did you mean 'cache_version'"
    ):
        type("Bad", (Concrete,), {}, cache_versoin="2")  # type: ignore[call-overload]  # the slip


def test_a_keyword_that_a_mixin_takes_is_passed_on() -> None:
    """Keywords of other bases are theirs."""

    class Tagged:
        def __init_subclass__(cls, tag: str = "", **keywords: object) -> None:
            super().__init_subclass__(**keywords)
            cls.tag = tag  # type: ignore[attr-defined]  # set here

    made = type("Good", (Tagged, Concrete), {}, tag="a")  # type: ignore[call-overload]  # as written
    assert made.tag == "a"


def test_a_class_of_a_module_that_is_not_loaded_is_refused() -> None:
    """No raw KeyError out of chz."""
    with pytest.raises(huldra.HuldraClassError, match="module 'gone', which is not loaded"):
        type("Bad", (Concrete,), {"__module__": "gone"})


_TEXT = """
import huldra
class C(huldra.Huldra[str]):
    def _create(self): return "made"
    def _load(self): return "made"
"""


def test_a_class_of_executed_text_has_no_directory(huldra_root: Path) -> None:
    """Two texts with a class of one name would else share the folder `builtins/C`."""
    namespace: dict[str, Any] = {}
    exec(_TEXT, namespace)
    with pytest.raises(huldra.HuldraClassError, match=r"builtins\.C cannot be imported"):
        namespace["C"]().load_or_create()
    assert not (huldra_root / "data").exists()


def test_a_class_of_a_path_that_was_run_has_no_directory(huldra_root: Path, tmp_path: Path) -> None:
    """`runpy.run_path` leaves no module behind; no attempt is claimed for it."""
    file = tmp_path / "text.py"
    file.write_text(_TEXT)
    with pytest.raises(huldra.HuldraClassError, match=r"cannot be imported|not loaded"):
        runpy.run_path(str(file))["C"]().load_or_create()
    assert not (huldra_root / "data").exists()


def test_a_class_that_its_name_does_not_lead_to_has_no_directory(huldra_root: Path) -> None:
    """A worker would find nothing under that name, or something else."""
    hidden = type("Nowhere", (Concrete,), {"__module__": __name__})
    with pytest.raises(huldra.HuldraClassError, match="has nothing there"):
        hidden().load_or_create()  # type: ignore[attr-defined]  # Concrete's


# ---- equality -----------------------------------------------------------------------------------


class Awkward:
    """Does not compare, as a data frame does not."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]  # as a data frame

    def __repr__(self) -> str:
        raise ValueError("not shown")


class Carrying(huldra.Huldra[str]):
    """Has a value that is not hashed."""

    cache: Any = huldra.field(default=None, hashed=False)

    def _create(self) -> str:
        return "made"

    def _load(self) -> str:
        return "made"


class Both(huldra.Huldra[str]):
    """Needs two that may be one artifact."""

    one: Carrying
    other: Carrying

    def _create(self) -> str:
        return "made"

    def _load(self) -> str:
        return "made"


def test_unhashed_values_that_do_not_compare_do_not_raise(
    huldra_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is the same as itself alone; the warning about them never raises."""
    one = Awkward()
    assert Carrying(cache=one) == Carrying(cache=one)
    assert Carrying(cache=one) != Carrying(cache=Awkward())
    with caplog.at_level(logging.WARNING, "huldra"):
        Both(one=Carrying(cache=one), other=Carrying(cache=Awkward())).load_or_create()
    assert "the first request counts" in caplog.text


def test_unhashed_arrays_compare_by_what_they_hold(huldra_root: Path) -> None:
    """`==` of arrays gives an array: they are compared by their encoding."""
    numpy = pytest.importorskip("numpy")
    same = [Carrying(cache={"x": [numpy.arange(3)]}) for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] != Carrying(cache={"x": [numpy.arange(1, 4)]})
    assert Both(one=same[0], other=same[1]).load_or_create() == "made"
