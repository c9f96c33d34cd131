"""`explain()` says what to declare so that an artifact of before fits, and it does then."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.sources import import_source

Load = Callable[[str, str], Any]

_HEAD = """
import dataclasses, enum
import chz
import huldra
class Made(huldra.Huldra[str]):
    def _create(self):
        (self.huldra_dir / "x").touch()
        return "x"
    def _load(self):
        return "x"
"""
_OLD = """
class Mode(enum.Enum):
    FAST = 1
@chz.chz
class Model:
    trees: int = 20
@dataclasses.dataclass(frozen=True)
class Optim:
    lr: float = 0.1
class Data(Made):
    name: str = "a"
class Train(Made):
    lr: float = 0.1
    steps: int = 5
    data: Data = Data()
    mode: Mode = Mode.FAST
    model: Model = Model()
    optim: Optim = Optim()
"""


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, huldra_root: Path) -> Load:
    """Run a module's source under a name, as an import would; the names of before are gone."""

    def run(name: str, source: str) -> Any:
        for other in ("past_old", "past_new"):
            monkeypatch.delitem(sys.modules, other, raising=False)
        return import_source(monkeypatch, name, _HEAD + source)

    return run


def _remedies(obj: Any) -> list[str]:
    """The lines to paste, without the places that they belong to."""
    return [line.partition("  #")[0] for line in obj.explain().remedies]


def test_a_class_of_another_module_is_recognised(load: Load) -> None:
    """The same fields in a class that is gone: the line names that class, and makes a hit."""
    load("past_old", "class Train(Made):\n    lr: float = 0.1\n").Train().load_or_create()
    new = "class Trainer(Made{}):\n    lr: float = 0.1\n"
    explanation = load("past_new", new.format("")).Trainer().explain()
    assert explanation.differences == ()
    assert explanation.remedies == (
        'class Trainer(..., moved_from="past_old/Train"):  # in past_new',
    )
    assert str(explanation).endswith(explanation.remedies[0])
    assert load("past_new", new.format(', moved_from="past_old/Train"')).Trainer().exists()


def test_a_class_that_is_still_there_was_not_moved(load: Load, monkeypatch: Any) -> None:
    """Two classes of equal fields are two classes."""
    old = load("past_old", "class Train(Made):\n    lr: float = 0.1\n")
    old.Train().load_or_create()
    new = load("past_new", "class Trainer(Made):\n    lr: float = 0.1\n")
    monkeypatch.setitem(sys.modules, "past_old", old)
    assert new.Trainer().explain().nearest is None


def test_a_renamed_and_an_added_field_are_recognised(load: Load) -> None:
    """The lines are fields to paste, with their annotations and defaults."""
    load("past_old", "class T(Made):\n    lr: float = 0.1\n    n: int = 1\n").T().load_or_create()
    new = load(
        "past_old", "class T(Made):\n    rate: float = 0.1\n    n: int = 1\n    s: int = 3\n"
    )
    lines = _remedies(new.T())
    assert lines == [
        'rate: float = huldra.field(default=0.1, renamed_from="lr")',
        "s: int = huldra.field(default=3, absent=3)",
    ]
    body = "".join(f"    {line}\n" for line in lines)
    assert load("past_old", f"class T(Made):\n    n: int = 1\n{body}").T().exists()


def test_an_added_field_of_another_value_is_a_difference(load: Load) -> None:
    """`absent=` would not make it a hit."""
    load("past_old", "class T(Made):\n    n: int = 1\n").T().load_or_create()
    new = load("past_old", "class T(Made):\n    n: int = 1\n    s: int = 3\n")
    explanation = new.T(s=4).explain()
    assert explanation.remedies == ()
    assert explanation.differences == (("s", "<no such field>", 4),)


def test_a_changed_default_gives_the_value_to_write(load: Load) -> None:
    """The artifact had the default of before: the line gives that value."""
    load("past_old", "class T(Made):\n    n: int = 1\n").T().load_or_create()
    new = load("past_old", "class T(Made):\n    n: int = 2\n")
    assert new.T().explain().differences == (("n", 1, 2),)
    assert _remedies(new.T()) == ["T(n=1)"]


def test_plain_values_are_compared_inside(load: Load) -> None:
    """A field of a plain chz object is shown by its path, not as two documents."""
    old = load("past_old", _OLD)
    old.Train().load_or_create()
    explanation = old.Train(model=old.Model(trees=41)).explain()
    assert explanation.differences == (("model.trees", 20, 41),)
    assert "model.trees: 20 → 41" in str(explanation)


def test_all_that_moved_inside_a_config_is_recognised(load: Load) -> None:
    """Nested configs, plain classes, dataclasses and enums: one line each, and then a hit."""
    load("past_old", _OLD).Train().load_or_create()
    renamed = _OLD.replace("FAST", "QUICK").replace("    lr: float", "    rate: float")
    lines = _remedies(load("past_new", renamed).Train())
    assert sorted(lines) == [
        "@huldra.identity(\"past_old/Mode\", renamed_from={'QUICK': 'FAST'})",
        '@huldra.identity("past_old/Model")',
        "@huldra.identity(\"past_old/Optim\", renamed_from={'rate': 'lr'})",
        'class Data(..., moved_from="past_old/Data"):',
        'class Train(..., moved_from="past_old/Train"):',
        'rate: float = huldra.field(default=0.1, renamed_from="lr")',
    ]
    above = {"Mode": "class Mode(", "Model": "@chz.chz\nclass Model", "Optim": "@dataclasses"}
    pasted = renamed
    for line in lines:
        if line.startswith("@"):
            mark = above[line.split("/")[1].split('"')[0]]
            pasted = pasted.replace(mark, f"{line}\n{mark}")
        elif line.startswith("class"):
            pasted = pasted.replace(line.split("(")[0] + "(Made):", line.replace("...", "Made"))
        else:  # the field of Train: the dataclass has a decorator
            pasted = pasted.replace("rate: float = 0.1\n    steps", f"{line}\n    steps")
    assert load("past_new", pasted).Train().exists()


def test_the_name_that_the_artifacts_have_is_pasted_also_after_a_second_move(load: Load) -> None:
    """A class that moves again keeps the first name."""
    shape = "class Train(Made{}):\n    lr: float = 0.1\n"
    load("past_old", shape.format(', moved_from="past_first/Train"')).Train().load_or_create()
    lines = _remedies(load("past_new", shape.format("")).Train())
    assert lines == ['class Train(..., moved_from="past_first/Train"):']


def test_declared_pasts_are_no_differences(load: Load) -> None:
    """What the class already declares is not asked for again."""
    load("past_old", "class T(Made):\n    lr: float = 0.1\n").T().load_or_create()
    new = load(
        "past_new",
        "class T(Made, moved_from='past_old/T'):\n"
        "    rate: float = huldra.field(default=0.1, renamed_from='lr')\n"
        "    s: int = huldra.field(default=3, absent=3)\n",
    )
    explanation = new.T(rate=0.2).explain()
    assert explanation.differences == (("rate", 0.1, 0.2),)
    assert [line for line in explanation.remedies if "huldra.field" in line] == []


def test_another_cache_version_is_a_difference(load: Load) -> None:
    """It is in the hash, though no field shows it."""
    load("past_old", "class T(Made):\n    n: int = 1\n").T().load_or_create()
    new = load("past_old", "class T(Made, cache_version='2'):\n    n: int = 1\n")
    assert new.T().explain().differences == (("cache_version", None, "2"),)
