"""The two graphs on the screen: of classes, and around one artifact."""

from __future__ import annotations

import streamlit as st

from huldra.catalog import ClassGraph, Neighbour, Row, Snapshot, presentation
from huldra_dashboard import charts, graph_chart, navigate
from huldra_dashboard.graph_chart import Arrow, Box

_SIBLINGS = 4  # artifacts of one class that are drawn one by one; with more, lines hide the boxes


def classes(graph: ClassGraph, name: str = "classes") -> None:
    """All classes with their counts; a click opens one."""
    boxes = [
        Box(
            node.namespace,
            node.namespace.rpartition("/")[2],
            node.namespace.rpartition("/")[0],
            node.counts,
            show_counts=True,
            dashed=not node.total,
        )
        for node in graph.nodes
    ]
    arrows = [
        Arrow(edge.dependency, edge.dependent, ", ".join(edge.fields[:3])) for edge in graph.edges
    ]
    charts.draw(
        _chart(boxes, arrows),
        name,
        on_click=navigate.open_class,
        alt=f"Graph of {presentation.count(len(boxes), 'class', 'classes')} and what needs what",
    )


def neighbourhood(row: Row, snapshot: Snapshot, key: str, *, up: int = 2, down: int = 2) -> None:
    """What is around one artifact; a click opens another one."""
    near = snapshot.neighbourhood(row, up=up, down=down, fold_over=_SIBLINGS)
    boxes = [_near_box(node, near.center) for node in near.nodes]
    arrows = [
        Arrow(edge.dependency, edge.dependent, ", ".join(edge.fields[:2])) for edge in near.edges
    ]

    def clicked(node_key: str) -> None:
        digest = next((n.row.digest for n in near.nodes if n.key == node_key and n.row), None)
        if digest is not None and node_key != near.center:
            navigate.open_detail(digest)

    charts.draw(
        _chart(boxes, arrows),
        f"near-{key}-{row.digest}",
        on_click=clicked,
        alt=f"Graph of {presentation.count(len(boxes), 'artifact')} around this one",
    )
    if near.hidden:
        st.caption(
            f"{presentation.count(near.hidden, 'more artifact')} folded into the dashed boxes."
        )


def _near_box(node: Neighbour, center: str) -> Box:
    """One artifact, or several of a class, as a box."""
    class_name = node.namespace.rpartition("/")[2]
    if node.folded:
        return Box(node.key, f"+{node.folded:,} {class_name}", "folded", dashed=True)
    digest = node.key.rpartition("/")[2][:8]
    if node.row is None:
        return Box(node.key, class_name, f"{digest} · not in the store", dashed=True)
    return Box(
        node.key,
        class_name,
        f"{digest} · {node.row.status}",
        {node.row.status: 1},
        focus=node.key == center,
    )


def _chart(boxes: list[Box], arrows: list[Arrow]) -> charts.Chart:
    """The drawn graph as a chart whose items are the boxes' keys."""
    drawn = graph_chart.draw(boxes, arrows)
    return charts.Chart(drawn.option, drawn.height_px, drawn.keys, drawn.width_px)
