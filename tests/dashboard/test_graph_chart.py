"""Layout and drawing of graphs."""

from __future__ import annotations

import itertools
import json
from typing import Any

from huldra_dashboard.graph_chart import Arrow, Box, draw
from huldra_dashboard.layered import lay_out


def test_what_is_needed_stands_before_what_needs_it() -> None:
    """Each edge goes to a later layer."""
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")]
    places = lay_out(["c", "b", "a", "d"], edges).places
    assert all(places[one][0] < places[two][0] for one, two in edges)


def test_edge_over_a_layer_bends_beside_its_boxes() -> None:
    """A long edge has a bend in each layer that it passes, at a place of its own."""
    layout = lay_out(["a", "b", "c"], [("a", "b"), ("b", "c"), ("a", "c")])
    (bend,) = layout.routes["a", "c"]
    assert bend[0] == layout.places["b"][0]
    assert abs(bend[1] - layout.places["b"][1]) > 0.5


def test_nodes_of_a_layer_do_not_overlap() -> None:
    """Any two nodes of one layer are a node apart."""
    layout = lay_out([f"n{i}" for i in range(20)], [(f"n{i}", f"n{i * 2 + 1}") for i in range(9)])
    taken = sorted(layout.places.values())
    for one, two in itertools.pairwise(taken):
        assert one[0] != two[0] or two[1] - one[1] >= 0.999


def test_cycles_and_unknown_nodes_still_draw() -> None:
    """A damaged store has a picture."""
    layout = lay_out(["a", "b"], [("a", "b"), ("b", "a"), ("a", "gone"), ("a", "a")])
    assert set(layout.places) == {"a", "b"}
    assert lay_out([], []).places == {}


def test_thousand_nodes_are_laid_out() -> None:
    """A wide graph is laid out within what a page may take."""
    nodes = [f"n{i}" for i in range(1000)]
    layout = lay_out(nodes, [("n0", node) for node in nodes[1:]])
    assert layout.layers == 2


def series(boxes: list[Box], arrows: list[Arrow]) -> dict[str, Any]:
    """The series of a drawing, as the browser gets it."""
    found: dict[str, Any] = json.loads(json.dumps(draw(boxes, arrows).option))["series"][0]
    return found


def test_boxes_are_the_first_nodes_in_order() -> None:
    """The index that a click reports names the box."""
    boxes = [Box("k1", "One"), Box("k2", "Two")]
    drawn = draw(boxes, [Arrow("k1", "k2", "field")])
    assert drawn.keys == ("k1", "k2")
    names = [node["name"] for node in drawn.option["series"][0]["data"]]
    assert names[:2] == ["k1", "k2"]


def test_labels_hold_no_template_of_echarts() -> None:
    """Braces and bars of a name cannot end a style or name another."""
    data = series([Box("k", "{title|x} {a}", "|", {"failed": 2}, show_counts=True)], [])["data"]
    formatter = data[0]["label"]["formatter"]
    assert "(title/x) (a)" in formatter


def test_no_html_tooltip_is_drawn() -> None:
    """ECharts' tooltips are HTML, and so are off."""
    assert series([Box("k", "<b>x</b>")], [])["tooltip"] == {"show": False}


def test_counts_are_shares_of_the_bar() -> None:
    """The coloured stretches add up to the bar's width."""
    box = Box("k", "T", counts={"success": 3, "failed": 1}, show_counts=True)
    rich = series([box], [])["data"][0]["label"]["rich"]
    widths = [style["width"] for name, style in rich.items() if name.startswith("b")]
    assert max(widths) / sum(widths) == 0.75
