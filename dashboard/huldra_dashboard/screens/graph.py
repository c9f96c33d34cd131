"""Graph: the classes and what they need, or the surroundings of one artifact."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from huldra.catalog import Row, Snapshot, presentation
from huldra_dashboard import address, badges, graphs, navigate, session, source, tables
from huldra_dashboard.markup import escape, plain

_CLASSES = "Classes"
_AROUND = "Around one artifact"
_MOST_CLASSES = 60
_OFFERED = 2000
_LISTED = 10


def show() -> None:
    """Draw the page."""
    st.title("Graph")
    view = source.view(session.query())
    badges.filter_note(view)
    if not view.rows:
        badges.no_artifacts(view)
        return
    mode = address.choice("graph_mode", address.MODE, (_CLASSES, _AROUND))
    if mode == _AROUND:
        _around(view.rows, view.snapshot)
    else:
        _classes(view.rows, view.snapshot)


def _classes(rows: tuple[Row, ...], snapshot: Snapshot) -> None:
    """The class graph, and the same as buttons: a chart cannot be reached by keyboard."""
    graph = snapshot.class_graph(rows)
    st.caption(
        "An arrow goes from what is needed to what needs it; a bar shows the share of each "
        "status. Click a class to list its artifacts; drag to move the picture."
    )
    if len(graph.nodes) > _MOST_CLASSES:
        st.info(f"{len(graph.nodes)} classes: choose a module in the sidebar to see fewer.")
    graphs.classes(graph)
    with st.container(horizontal=True):
        for node in graph.nodes[:_MOST_CLASSES]:
            st.button(
                f"{escape(node.namespace.rpartition('/')[2], 40)} ({node.total:,})",
                key=f"class-{node.namespace}",
                type="tertiary",
                disabled=not node.total,
                on_click=navigate.open_class,
                args=(node.namespace,),
            )
    chosen = st.query_params.get(navigate.CLASS)
    if chosen:
        _one_class(chosen, rows, snapshot)


def _one_class(namespace: str, rows: tuple[Row, ...], snapshot: Snapshot) -> None:
    """The artifacts of the class that was clicked, those that need a look first."""
    of_class = [row for row in rows if row.namespace == namespace]
    st.subheader(escape(namespace, 120), anchor=False)
    st.markdown(badges.count_line(Counter(row.status for row in of_class)))
    order = {name: place for place, name in enumerate(presentation.NAMES)}
    of_class.sort(key=lambda row: order.get(row.status, len(order)))
    tables.artifact_table(of_class[:_LISTED], snapshot, "class")
    st.button(
        f"All {len(of_class):,} in the list",
        icon=":material/arrow_forward:",
        on_click=navigate.show_filtered,
        kwargs={"ns": [namespace]},
    )


def _around(rows: tuple[Row, ...], snapshot: Snapshot) -> None:
    """The neighbourhood of a chosen artifact, and what it waits for."""
    by_digest = {row.digest: row for row in rows[:_OFFERED]}
    left, middle, right = st.columns([3, 1, 1])
    with left:
        digest = st.selectbox(
            "Artifact",
            list(by_digest),
            format_func=lambda d: _label(by_digest.get(d), d),
            key="graph_artifact",
            persist_state="session",
        )
    with middle:
        up = st.slider("Steps upstream", 0, 5, 2, key="graph_up", persist_state="session")
    with right:
        down = st.slider("Steps downstream", 0, 5, 2, key="graph_down", persist_state="session")
    row = by_digest.get(digest or "")
    if row is None:
        return
    graphs.neighbourhood(row, snapshot, "page", up=up, down=down)
    st.button(
        f"Open {escape(row.label)}",
        icon=":material/arrow_forward:",
        on_click=navigate.open_detail,
        args=(row.digest,),
    )
    blockers = snapshot.blocked_by(row)
    if blockers and row.status != "success":
        st.subheader("Blocked by")
        tables.artifact_table(
            blockers, snapshot, "blockers", columns=("artifact", "status", "why"), with_why=True
        )


def _label(row: Row | None, digest: str) -> str:
    """How an artifact is offered."""
    return f"{plain(row.label)} · {row.status}" if row else digest[:8]


if __name__ == "__main__":
    show()
