"""Compare: choose artifacts by name, or come from the list with some ticked."""

from __future__ import annotations

import streamlit as st

from huldra.catalog import Row
from huldra_dashboard import badges, navigate, session, source
from huldra_dashboard.comparison import view as comparison
from huldra_dashboard.markup import plain

_OFFERED = 2000


def show() -> None:
    """Draw the page."""
    linked = st.query_params.get(navigate.COMPARE)
    if linked:
        comparison.show(linked.split(","))
        return
    st.title("Compare")
    view = source.view(session.query())
    badges.filter_note(view)
    if len(view.rows) < 2:
        badges.no_artifacts(view)
        return
    by_digest = {row.digest: row for row in view.rows[:_OFFERED]}
    chosen = st.multiselect(
        "Artifacts",
        list(by_digest),
        format_func=lambda digest: _label(by_digest.get(digest), digest),
        max_selections=navigate.MAX_COMPARED,
        key="compare_chosen",
        persist_state="session",
        placeholder="Choose two to eight of those that match the filters",
    )
    rows = [by_digest[digest] for digest in chosen if digest in by_digest]
    if len(rows) < 2:
        badges.empty(
            "Choose two to eight artifacts",
            "Type a part of a class or hash above, or tick lines of the list of experiments.",
            button=("To the list", lambda: navigate.go_to("experiments")),
        )
        return
    comparison.body(rows)


def _label(row: Row | None, digest: str) -> str:
    """How an artifact is offered."""
    return f"{plain(row.label)} · {row.status}" if row else digest[:8]


if __name__ == "__main__":
    show()
