"""What moves, is renamed or grows keeps its hash when it declares its past."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from huldra.config.documents import from_document, to_document, to_python
from huldra.config.hashing import digest_of, key_of
from huldra.errors import HuldraClassError, HuldraIdentityError
from tests.support.sources import import_source

Load = Callable[[str, str], Any]

_HEAD = """
import dataclasses, enum
from typing import NamedTuple
import chz
import huldra
"""
_OLD_PARTS = """
class Mode(enum.Enum):
    FAST = 1
class Bits(enum.Flag):
    A = 1
    B = 2
@chz.chz
class Chz:
    lr: float = 0.1
@dataclasses.dataclass(frozen=True)
class Data:
    lr: float = 0.1
class Named(NamedTuple):
    lr: float = 0.1
class Parts(huldra.Huldra[int]):
    mode: Mode = Mode.FAST
    bits: Bits = Bits.A | Bits.B
    plain: Chz = Chz()
    data: Data = Data()
    named: Named = Named()
    kind: type = Data
"""
_NEW_PARTS = """
@huldra.identity("moved_old/Mode", renamed_from={"QUICK": "FAST"})
class Kind(enum.Enum):
    QUICK = 1
@huldra.identity("moved_old/Bits")
class Flags(enum.Flag):
    A = 1
    B = 2
@huldra.identity("moved_old/Chz")
@chz.chz
class Plain:
    rate: float = huldra.field(default=0.1, renamed_from="lr")
    added: int = huldra.field(default=3, absent=3)
@huldra.identity("moved_old/Data", renamed_from={"rate": "lr"}, absent={"added": 3})
@dataclasses.dataclass(frozen=True, slots=True)
class Values:
    rate: float = 0.1
    added: int = 3
@huldra.identity("moved_old/Named", renamed_from={"rate": "lr"})
class Tuple(NamedTuple):
    rate: float = 0.1
class All(huldra.Huldra[int], moved_from="moved_old/Parts"):
    mode: Kind = Kind.QUICK
    bits: Flags = Flags.A | Flags.B
    values: Plain = huldra.field(default=Plain(), renamed_from="plain")
    data: Values = Values()
    named: Tuple = Tuple()
    kind: type = Values
"""


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Run a module's source under a name, as an import would."""

    def run(name: str, source: str) -> Any:
        return import_source(monkeypatch, name, _HEAD + source)

    return run


def test_a_moved_class_and_all_that_moved_in_it_keep_key_and_hash(load: Load) -> None:
    """Class, fields, enums, dataclasses, named tuples and classes as values may all move."""
    before = key_of(load("moved_old", _OLD_PARTS).Parts())
    del sys.modules["moved_old"]
    assert key_of(load("moved_new", _NEW_PARTS).All()) == before


def test_the_key_of_a_config_with_moved_parts_is_pinned(load: Load) -> None:
    """What users declared once must give this key for ever."""
    key = key_of(load("moved_new", _NEW_PARTS).All())
    assert key == "moved_old/Parts/b40fe24ea28c02561166ce15343dbd25"


def test_documents_of_before_are_read_by_the_class_that_declares_their_name(load: Load) -> None:
    """An artifact of the old class gives an object of the new one."""
    document = to_document(load("moved_old", _OLD_PARTS).Parts())
    del sys.modules["moved_old"]
    new = load("moved_new", _NEW_PARTS)
    assert from_document(document) == new.All()


def test_a_moved_config_is_written_with_names_that_can_be_imported(load: Load) -> None:
    """Workers and people import the class where it is now."""
    new = load("moved_new", _NEW_PARTS)
    document = to_document(new.All())
    assert document["objects"][document["root"]]["class"] == "moved_new:All"
    assert from_document(document) == new.All()
    assert to_python(new.All()).startswith("All(mode=Kind.QUICK, ")


def test_other_values_of_a_moved_class_have_other_hashes(load: Load) -> None:
    """A declared past joins no two values."""
    new = load("moved_new", _NEW_PARTS)
    configs = [
        new.All(),
        new.All(values=new.Plain(rate=0.2)),
        new.All(values=new.Plain(added=4)),
        new.All(data=new.Values(added=4)),
    ]
    assert len({digest_of(config) for config in configs}) == len(configs)


def test_a_class_may_declare_the_name_that_it_has(load: Load) -> None:
    """Declared before the move, an identity changes nothing."""
    one = load("moved_a", "class Train(huldra.Huldra[int]):\n    n: int = 1\n").Train()
    two = load(
        "moved_a", "class Train(huldra.Huldra[int], identity='moved_a/Train'):\n    n: int = 1\n"
    ).Train()
    assert key_of(one) == key_of(two)


def test_a_subclass_has_an_identity_of_its_own(load: Load) -> None:
    """Only the class that the line stands at has the declared name."""
    new = load(
        "moved_b",
        "class Train(huldra.Huldra[int], moved_from='moved_a/Train'):\n    n: int = 1\n"
        "class More(Train):\n    pass\n",
    )
    assert key_of(new.Train()).startswith("moved_a/Train/")
    assert key_of(new.More()).startswith("moved_b/More/")


_CLAIMING = "class {}(huldra.Huldra[int], identity='moved_a/Train'):\n    n: int = 1\n"


def test_a_second_class_of_one_identity_is_refused_with_both_names(load: Load) -> None:
    """Artifacts of two classes never share directories."""
    first = load("moved_b", _CLAIMING.format("One"))
    with pytest.raises(HuldraClassError, match=r"moved_b\.One and moved_c\.Two"):
        load("moved_c", _CLAIMING.format("Two"))
    assert first.One


def test_the_class_that_still_stands_there_refuses_the_move_and_the_other_way_round(
    load: Load,
) -> None:
    """The name of a class that exists cannot be claimed, and a claimed name not be taken."""
    plain = "class Train(huldra.Huldra[int]):\n    n: int = 1\n"
    load("moved_a", plain)
    with pytest.raises(HuldraClassError, match=r"moved_a\.Train and moved_b\.One"):
        load("moved_b", _CLAIMING.format("One"))
    del sys.modules["moved_a"]
    kept = load("moved_b", _CLAIMING.format("One"))
    with pytest.raises(HuldraClassError, match=r"moved_b\.One and moved_a\.Train"):
        load("moved_a", plain)
    assert kept.One


def test_a_reloaded_class_is_no_second_one(load: Load) -> None:
    """The same module and name may claim again, while objects of the class before are alive."""
    first = load("moved_b", _CLAIMING.format("One"))
    kept = first.One()
    second = load("moved_b", _CLAIMING.format("One"))
    assert key_of(kept) == key_of(second.One())


def test_a_class_that_is_gone_from_its_file_claims_nothing(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a rename in place the loaded module keeps the old class, and its file has not."""
    old = load("moved_a", "class Train(huldra.Huldra[int]):\n    n: int = 1\n")
    file = tmp_path / "moved_a.py"
    file.write_text("class Renamed: ...\n")
    monkeypatch.setattr(old, "__file__", str(file), raising=False)
    assert load("moved_b", _CLAIMING.format("One")).One


def test_a_plain_class_of_a_claimed_name_has_no_identity(load: Load) -> None:
    """Two dataclasses that would hash alike are refused where the second one is hashed."""
    shape = "@dataclasses.dataclass(frozen=True)\nclass {}:\n    lr: float = 0.1\n"
    new = load("moved_b", "@huldra.identity('moved_a/Data')\n" + shape.format("Values"))
    old = load("moved_a", shape.format("Data"))
    holder = load("moved_h", "class H(huldra.Huldra[int]):\n    x: object\n")
    assert digest_of(holder.H(x=new.Values()))
    with pytest.raises(HuldraIdentityError, match=r"moved_b\.Values and moved_a\.Data"):
        digest_of(holder.H(x=old.Data()))


@pytest.mark.parametrize("name", ["Train", "a:Train", "a/b/Train", "/Train", "a/", "..x/Train"])
def test_an_identity_of_another_form_is_refused(load: Load, name: str) -> None:
    """It names a folder of the store, and must be one."""
    with pytest.raises(HuldraClassError, match=r"of the form 'package\.module/Class'"):
        load("moved_b", f"class One(huldra.Huldra[int], identity={name!r}):\n    n: int = 1\n")


def test_identity_and_moved_from_exclude_each_other(load: Load) -> None:
    """They mean the same, and only one can be right."""
    with pytest.raises(HuldraClassError, match="mean the same"):
        load("moved_b", "class One(huldra.Huldra[int], identity='a/B', moved_from='a/C'): ...\n")


def test_the_decorator_refuses_huldra_classes_and_unknown_parts(load: Load) -> None:
    """Each has one way; a misspelt field is named."""
    with pytest.raises(HuldraClassError, match="class line"):
        load("moved_b", "@huldra.identity('a/B')\nclass One(huldra.Huldra[int]): ...\n")
    module = load(
        "moved_b",
        "@huldra.identity(renamed_from={'rat': 'lr'})\n@dataclasses.dataclass\nclass D:\n"
        "    rate: float = 1.0\nclass H(huldra.Huldra[int]):\n    x: object\n",
    )
    with pytest.raises(HuldraIdentityError, match=r"names 'rat'.*it has rate"):
        digest_of(module.H(x=module.D()))


def test_two_fields_of_one_hashed_name_are_refused(load: Load) -> None:
    """A renamed field and a new one of the old name would be one in the hash."""
    body = "    lr: float = 1.0\n    rate: float = huldra.field(default=1.0, renamed_from='lr')\n"
    with pytest.raises(HuldraClassError, match="renamed from 'lr'"):
        load("moved_b", "class One(huldra.Huldra[int]):\n" + body)


@pytest.mark.parametrize(
    ("given", "kind", "members", "said"),
    [
        ("{'NEW': 'OLD'}", "Enum", "NEW = 1; OLD = 2", "'NEW' and 'OLD' would both be 'OLD'"),
        ("{'A': 'X', 'B': 'X'}", "Enum", "A = 1; B = 2", "'A' and 'B' would both be 'X'"),
        ("{'NEW': 'OLD'}", "Flag", "NEW = 1", "is a flag"),
    ],
)
def test_members_of_one_hashed_name_are_refused(
    load: Load, given: str, kind: str, members: str, said: str
) -> None:
    """Two members of an enum never share a hash; a flag has no names in it."""
    text = f"@huldra.identity(renamed_from={given})\nclass E(enum.{kind}):\n    {members}\n"
    with pytest.raises(HuldraClassError, match=said):
        load("moved_b", f"import enum\n{text}")


def test_an_inherited_renaming_is_checked_with_the_members(load: Load) -> None:
    """A base without members cannot know them; the hash refuses what they come to."""
    text = "import enum\n@huldra.identity(renamed_from={'NEW': 'OLD'})\nclass B(enum.Enum): ...\n"
    text += "class E(B):\n    NEW = 1\n    OLD = 2\nclass H(huldra.Huldra[int]):\n    x: object\n"
    module = load("moved_b", text)
    with pytest.raises(HuldraIdentityError, match="would both be 'OLD'"):
        digest_of(module.H(x=module.E.NEW))


def test_an_alias_of_the_old_name_is_no_second_member(load: Load) -> None:
    """Code that still writes the old name means the same member."""
    text = "import enum\n@huldra.identity(renamed_from={'NEW': 'OLD'})\nclass E(enum.Enum):\n"
    module = load("moved_b", f"{text}    NEW = 1\n    OLD = 1\n")
    assert module.E.OLD is module.E.NEW


@pytest.mark.parametrize("given", [{"renamed_from": "a b"}, {"renamed_from": "a", "hashed": False}])
def test_a_renamed_from_that_means_nothing_is_refused(load: Load, given: dict[str, Any]) -> None:
    """It is the name of a field that counts."""
    arguments = ", ".join(f"{name}={value!r}" for name, value in given.items())
    with pytest.raises(TypeError, match="renamed_from"):
        load("moved_b", f"class One(huldra.Huldra[int]):\n    r: int = huldra.field({arguments})\n")


def test_a_class_of_a_notebook_cell_is_refused_in_two_lines(load: Load) -> None:
    """The second one is what to do: write the cell to a file."""
    made = load("__main__", "get_ipython = None\nclass Train(huldra.Huldra[int]): ...\n")
    with pytest.raises(HuldraClassError) as caught:
        digest_of(made.Train())
    assert "notebook cell" in str(caught.value)
    first, second = str(caught.value).splitlines()
    assert first.startswith("Train ")
    assert "%%writefile pipelines.py" in second
    assert second.endswith("from pipelines import Train")
