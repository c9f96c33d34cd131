"""Graphs: each artifact once, in order, without recursion, and no circle."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra import chz
from huldra.config.hashing import key_of
from huldra.scheduling.graph import Asked, compile_graph
from huldra.store.survey import Seen
from tests.support.odd import Circle, Note


def nothing_is_made(wave: Sequence[Asked]) -> list[Seen]:
    return [Seen.ABSENT] * len(wave)


def test_each_node_comes_after_what_it_needs() -> None:
    """The order of a diamond is: bottom, both sides, top."""
    bottom = Note(name="bottom")
    sides = tuple(Note(name=side, needs=(bottom,)) for side in ("left", "right"))
    top = Note(name="top", needs=sides)
    graph = compile_graph([top], nothing_is_made)
    order = list(graph.nodes)
    assert order == [key_of(bottom), key_of(sides[0]), key_of(sides[1]), key_of(top)]
    assert graph.nodes[key_of(top)].needs == (key_of(sides[0]), key_of(sides[1]))


def test_equal_configs_are_one_node() -> None:
    """Two objects of equal config, reached by different ways, are one node."""
    top = Note(name="top", needs=(Note(name="same"), Note(name="same")))
    assert len(compile_graph([top, Note(name="same")], nothing_is_made)) == 2


def test_what_is_made_hides_what_it_needed() -> None:
    """The walk does not go below what is there already."""
    bottom = Note(name="bottom")
    middle = Note(name="middle", needs=(bottom,))
    top = Note(name="top", needs=(middle,))
    made = key_of(middle)
    graph = compile_graph(
        [top], lambda wave: [Seen.COMPLETE if key == made else Seen.ABSENT for _, key, _ in wave]
    )
    assert key_of(bottom) not in graph.nodes
    assert [node.key for node in graph.missing()] == [key_of(top)]


def test_circle_is_an_error_with_its_path() -> None:
    """A circle through `_dependencies` is told with every step of it."""
    with pytest.raises(huldra.HuldraCycleError) as caught:
        compile_graph([Circle(name="circle")], nothing_is_made)
    assert len(caught.value.path) == 4
    assert caught.value.path[0] == caught.value.path[-1]


def test_dependencies_may_be_nested_in_any_container() -> None:
    """Lists, tuples, dicts and generators of objects are dependencies; other things are refused."""
    holder = Note(name="x")
    object.__setattr__(
        holder, "_dependencies", lambda: {"a": [Note(name="1")], "b": (Note(name="2"),)}
    )
    assert len(compile_graph([holder], nothing_is_made)) == 3
    object.__setattr__(holder, "_dependencies", lambda: [3])
    with pytest.raises(huldra.HuldraClassError, match="3, which is not a Huldra config"):
        compile_graph([holder], nothing_is_made)


def test_chain_of_five_thousand_needs_no_recursion() -> None:
    """A chain much deeper than Python's stack compiles, in order."""
    tip = Note(name="0")
    for number in range(1, 5000):
        tip = Note(name=str(number), needs=(tip,))
    graph = compile_graph([tip], nothing_is_made)
    assert [node.obj.name for node in graph.nodes.values()] == [str(i) for i in range(5000)]


def test_diamond_of_depth_forty_is_forty_nodes() -> None:
    """A tower of diamonds has as many nodes as levels, and takes no time."""
    tip = Note(name="0")
    for number in range(1, 40):
        tip = Note(name=str(number), needs=(tip, tip))
    started = time.process_time()
    assert len(compile_graph([tip], nothing_is_made)) == 40
    assert time.process_time() - started < 5
    assert repr(tip)
    assert tip == tip.from_dict(tip.to_dict())


def test_plan_says_why(huldra_root: Path) -> None:
    """A plan tells what is cached, what will run, and for what reason."""
    made = Note(name="made")
    made.load_or_create()
    plan = Note(name="top", needs=(made,)).plan()
    assert [(n.status.value, n.reason) for n in plan.nodes.values()] == [
        ("cached", "made"),
        ("will run", "never made"),
    ]
    assert "1 cached, 1 will run" in str(plan)


def test_plan_writes_nothing(huldra_root: Path) -> None:
    """Planning and explaining leave no trace on disk."""
    Note(name="a").plan()
    Note(name="a").explain()
    assert not huldra_root.exists()


def test_explain_names_the_field_that_differs(huldra_root: Path) -> None:
    """On a miss the nearest artifact and the nested field that differs are told."""
    Note(name="top", needs=(Note(name="old"),)).load_or_create()
    explanation = Note(name="top", needs=(Note(name="new"),)).explain()
    assert not explanation.is_hit
    assert explanation.differences == (("needs[0].name", "old", "new"),)


def test_explain_a_hit(huldra_root: Path) -> None:
    """A hit is explained as one."""
    Note(name="a").load_or_create()
    assert Note(name="a").explain().is_hit


def test_requests_that_differ_where_it_is_not_hashed_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of two requests that differ in an unhashed field the first counts, and it is said."""
    graph = compile_graph([Note(name="a", pause_s=1.0), Note(name="a")], nothing_is_made)
    assert len(graph) == 1
    assert "pause_s=1.0 and with pause_s=0.0" in caplog.text


@chz.chz
class Forest:
    """A plain value with fields."""

    trees: int = 20
    depth: dict[str, int] = chz.field(default_factory=lambda: {"a": 1})


@chz.chz
class Linear:
    """Another one."""

    trees: int = 20


class Fit(huldra.Huldra[str]):
    """Holds plain values."""

    model: Any = chz.field(default_factory=Forest)
    names: dict[int, str] = chz.field(default_factory=dict)

    def _create(self) -> str:
        return "made"

    def _load(self) -> str:
        return "made"


def test_explain_goes_into_plain_values(huldra_root: Path) -> None:
    """The field that differs is named, however deep, and not the value around it."""
    Fit(names={1: "a"}).load_or_create()
    explanation = Fit(model=Forest(trees=41), names={1: "b"}).explain()
    assert explanation.differences == (("model.trees", 20, 41), ("names[1]", "a", "b"))
    changed = Fit(model=Linear(), names={1: "a"}).explain().differences
    assert changed[0] == (
        "type(model)",
        f"{__name__}:Forest",
        f"{__name__}:Linear",
    )


def test_plans_print_on_a_terminal_without_unicode(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines and arrows are drawn in ASCII there; what else it lacks is escaped."""
    Note(name="ä").load_or_create()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    for shown in (Note(name="é").plan(), Note(name="é").explain()):
        print(shown)
    assert "'\\xe4' -> '\\xe9'" in str(Note(name="é").explain())
