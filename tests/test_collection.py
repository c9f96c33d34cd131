"""Lists of experiments: names, inheritance, and what a sweep tells."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

import huldra
from tests.support.odd import Failing, Note
from tests.support.slow_disk import SlowDisk


class Step(huldra.Huldra[float]):
    name: str = "s"
    lr: float = 0.0

    def _create(self) -> float:
        return self.lr


class Pair(huldra.Huldra[float]):
    step: Step = huldra.field(default_factory=Step)

    def _create(self) -> float:
        return self.step.load_or_create()


class Basic(huldra.HuldraList[Note]):
    """Attributes, a dict and a list."""

    first = Note(name="first")
    named = {"second": Note(name="second"), "third": Note(name="third")}  # noqa: RUF012  what users write
    rest = [Note(name="r0"), Note(name="r1")]  # noqa: RUF012  what users write
    not_an_experiment = 3


class Extended(Basic):
    """Adds one and replaces one."""

    fourth = Note(name="fourth")
    first = Note(name="first, but other")


def test_members_have_the_names_of_attributes_keys_and_positions() -> None:
    """Attributes, dict keys and list positions name the members, in order."""
    assert Basic.names() == ["first", "second", "third", "rest_0", "rest_1"]
    assert [note.name for note in Basic] == ["first", "second", "third", "r0", "r1"]
    assert Basic.items()[1] == ("second", Note(name="second"))
    assert Basic.all()[0] is Basic.first


def test_list_is_sized_and_searchable() -> None:
    """`len`, `in`, by name and by config."""
    assert len(Basic) == 5
    assert Note(name="third") in Basic
    assert Note(name="none") not in Basic
    assert "second" in Basic
    assert Basic.by_name("second").name == "second"
    assert Basic["second"].name == "second"
    with pytest.raises(KeyError, match="available: first, second"):
        Basic.by_name("nobody")


def test_subclass_extends_and_replaces() -> None:
    """Members of the base come first; one of the same name gives way."""
    assert Extended.names() == ["first", "second", "third", "rest_0", "rest_1", "fourth"]
    assert Extended.by_name("first").name == "first, but other"
    assert Basic.by_name("first").name == "first"


def test_name_of_a_method_is_refused() -> None:
    """An experiment cannot take the name of a method; a dict key of that name can."""
    with pytest.raises(huldra.HuldraClassError, match=r"'items' would hide HuldraList\.items"):
        type("Bad", (huldra.HuldraList,), {"items": Note(name="a")})
    fine = type("Fine", (huldra.HuldraList,), {"configs": {"items": Note(name="a")}})
    assert fine.by_name("items").name == "a"  # type: ignore[attr-defined]  # made by type()


def test_two_of_one_name_are_refused() -> None:
    """A name that two members claim is an error, not the last one's."""
    with pytest.raises(huldra.HuldraClassError, match="two experiments are named 'a'"):
        type("Bad", (huldra.HuldraList,), {"a": Note(name="1"), "more": {"a": Note(name="2")}})


def test_list_is_not_called() -> None:
    """The class itself is the collection."""
    with pytest.raises(TypeError, match="use the class itself"):
        Basic()


def test_list_without_executor_gives_results_by_name(huldra_root: Path) -> None:
    """`load_or_create()` of a list is a dict of results."""
    assert Basic.load_or_create() == {
        "first": "first",
        "second": "second",
        "third": "third",
        "rest_0": "r0",
        "rest_1": "r1",
    }


def test_plan_of_a_list_counts_shared_dependencies_once(huldra_root: Path) -> None:
    """The plan of many configs is one graph."""
    shared = Note(name="shared")
    plan = huldra.plan([Note(name=f"{i}", needs=(shared,)) for i in range(3)])
    assert len(plan) == 4


def test_sweep_maps_names_to_jobs(huldra_root: Path) -> None:
    """With an executor a list gives a sweep: a mapping of jobs."""
    sweep = Basic.load_or_create(executor="inline")
    assert list(sweep) == Basic.names()
    assert sweep.wait(timeout=30)
    assert sweep.results()["second"] == "second"
    assert sweep.failed() == {}


def test_sweep_tells_failures_and_goes_on(huldra_root: Path) -> None:
    """Failures are told by name; the others are made."""
    members = {"good": Note(name="a"), "bad": Failing(name="f")}
    sweep = huldra.load_or_create(members, executor="inline")
    assert list(sweep.failed()) == ["bad"]
    with pytest.raises(ExceptionGroup, match="1 of 2 jobs"):
        sweep.results()
    assert sweep["good"].result() == "a"


def test_sweep_rows_show_what_varies(huldra_root: Path) -> None:
    """Rows hold the columns that tell the members apart, and plain results."""
    sweep = huldra.load_or_create([Note(name="a"), Note(name="b")], executor="inline")
    rows = sweep.rows()
    assert [(row["name"], row["result"]) for row in rows] == [("a", "a"), ("b", "b")]
    assert "needs" not in rows[0]
    assert "success" in str(sweep)
    assert "<table>" in sweep._repr_html_()


def test_sweep_escapes_what_it_shows(huldra_root: Path) -> None:
    """A name with markup in it is text in a notebook."""
    sweep = huldra.load_or_create({"<b>": Note(name="<script>")}, executor="inline")
    assert "<script>" not in sweep._repr_html_()
    assert "<b>" not in sweep._repr_html_()


def test_progress_is_plain_lines_where_there_is_no_terminal(
    huldra_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Waiting with progress writes counts to stderr."""
    sweep = Basic.load_or_create(executor="threads:2")
    assert sweep.wait(timeout=30, progress=True)
    assert "Basic: 5 success" in capsys.readouterr().err


def test_progress_needs_no_stderr(huldra_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where stderr is closed, waiting with progress just waits."""
    monkeypatch.setattr(sys, "stderr", None)
    assert Basic.load_or_create(executor="threads:2").wait(timeout=30, progress=True)


def test_what_is_no_config_is_refused() -> None:
    """Many configs at once must be configs."""
    with pytest.raises(huldra.HuldraClassError, match="expected Huldra configs"):
        huldra.plan([3])  # type: ignore[list-item]  # that it is refused is what is tested


def test_unknown_executor_is_told(huldra_root: Path) -> None:
    """A name or an object that is not an executor is an error that lists what is."""
    with pytest.raises(huldra.HuldraExecutorError, match=r"unknown executor 'lokal'.*local"):
        Note(name="a").load_or_create(executor="lokal")
    with pytest.raises(huldra.HuldraExecutorError, match="is not an executor"):
        Note(name="a").load_or_create(executor=3.5)


def test_container_that_holds_other_things_is_refused() -> None:
    """A dict of experiments with something else in it is an error, not a shorter list."""
    with pytest.raises(huldra.HuldraClassError, match="mixes Huldra configs with 3"):
        type("Bad", (huldra.HuldraList,), {"more": {"a": Note(name="a"), "b": 3}})


def test_names_that_start_with_an_underscore_are_no_members() -> None:
    """`_base` is a helper for the other members."""
    made = type("Some", (huldra.HuldraList,), {"_base": Note(name="b"), "a": Note(name="a")})
    assert made.names() == ["a"]  # type: ignore[attr-defined]  # HuldraList's


KEYS = [False, 1, 0.5, None, "", ("a", 1), "text"]


@pytest.mark.parametrize("executor", [None, "inline", "local:1"])
def test_any_key_of_a_mapping_is_a_name(huldra_root: Path, executor: str | None) -> None:
    """Keys go by `str`, also those that are false, and tuples, on every engine."""
    notes = {key: Note(name=f"note {i}") for i, key in enumerate(KEYS)}
    made: Any = huldra.load_or_create(notes, executor)  # type: ignore[call-overload]  # any key
    results = made if executor is None else made.results(timeout=60)
    assert list(results) == [str(key) for key in KEYS]


def test_keys_that_are_one_name_are_refused() -> None:
    """Else one of the two would be lost."""
    with pytest.raises(huldra.HuldraClassError, match="keys 0 and '0' give the same name"):
        huldra.plan({0: Note(name="a"), "0": Note(name="b")})  # type: ignore[dict-item]  # mixed keys


def test_a_grid_names_its_members_by_what_varies() -> None:
    """Each combination is a copy of the template; one value alone is no part of the name."""
    members = huldra.grid(Step(name="x"), lr=[0.1, 0.2], name=["y"])
    assert members == {"lr=0.1": Step(name="y", lr=0.1), "lr=0.2": Step(name="y", lr=0.2)}


def test_a_grid_goes_into_nested_configs() -> None:
    """A path names a field of a config in a field."""
    members = huldra.grid(Pair(), **{"step.lr": [0.1, 0.2]})
    assert [member.step.lr for member in members.values()] == [0.1, 0.2]
    assert list(members) == ["step.lr=0.1", "step.lr=0.2"]


def test_a_grid_over_an_unknown_field_lists_the_fields() -> None:
    """The error names the class, the field and what there is."""
    with pytest.raises(TypeError, match=r"Step has no field 'lrr'; it has name, lr"):
        huldra.grid(Step(), lrr=[1])


def test_a_grid_makes_the_members_of_a_list() -> None:
    """Its names are the members' names."""

    class Steps(huldra.HuldraList[Step]):
        all_of_them: ClassVar[dict[str, Step]] = huldra.grid(Step(), lr=[0.1, 0.2])

    assert Steps.names() == ["lr=0.1", "lr=0.2"]


def test_hits_of_one_call_are_looked_at_together_where_the_disk_is_slow(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two calls a hit, several at once; one that is discarded meanwhile is made again."""
    notes = [Note(name=str(number)) for number in range(60)]
    huldra.load_or_create(notes)
    load = Note._load

    def load_and_discard(self: Note) -> str:
        if self.name == "0":
            notes[59].discard()
        return load(self)

    monkeypatch.setattr(Note, "_load", load_and_discard)
    disk = SlowDisk(monkeypatch, huldra_root, delay_s=0.002)
    results = huldra.load_or_create(notes)
    assert disk.at_once > 4
    assert list(results.values()) == [str(number) for number in range(60)]
    assert notes[59].exists()
