"""Statuses and empty places as Streamlit draws them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from huldra.catalog import Row
from huldra.catalog.presentation import count, in_order, style_of
from huldra_dashboard import filters
from huldra_dashboard.markup import escape
from huldra_dashboard.source import View


def status_badge(status: str, note: str = "") -> None:
    """The badge of one status; `note` is its tooltip."""
    look = style_of(status)
    st.badge(
        escape(status or "absent", 30),
        icon=f":material/{look.icon}:",
        color=look.color,  # type: ignore[arg-type]  # the table in `statuses` holds such names only
        help=escape(note or look.meaning, 300),
    )


def shown_status(row: Row) -> str:
    """The status of an artifact as shown: `unreadable` where its files tell none."""
    return "unreadable" if row.problem and row.status == "absent" else row.status


def count_line(counts: Mapping[str, int]) -> str:
    """Counts by status as coloured markdown: `12 success · 3 failed`."""
    parts = [
        f":{style_of(name).color}[**{number:,}** {escape(name, 30)}]"
        for name, number in in_order(dict(counts))
    ]
    return " · ".join(parts)


def empty(
    title: str,
    hint: str,
    *,
    command: str = "",
    button: tuple[str, Callable[[], None]] | None = None,
) -> None:
    """An empty place that says what to do next; `title` and `hint` are our words, as markdown."""
    with st.container(border=True):
        st.markdown(f"**{title}**")
        st.markdown(hint)
        if command:
            st.code(command, language=None)
        if button:
            label, callback = button
            st.button(label, on_click=callback, key=f"empty-{label}")


def why_not_made(row: Row) -> str:
    """One line about an artifact that needs attention, as plain text."""
    if row.problem:
        return row.problem
    if row.attempt_status == "stale":
        return row.stale_reason or "its owner is silent"
    if row.failed_key:
        return f"needs {row.failed_key}, which was not made"
    if row.error_type:
        return f"{row.error_type.rpartition('.')[2]}: {row.error_message}"
    return style_of(row.status).meaning


def filter_note(view: View) -> None:
    """Say when the page does not show everything, or when the filters are not understood."""
    if view.problem:
        st.warning(
            f"The filters are not applied: {escape(view.problem, 400)}",
            icon=":material/filter_alt_off:",
        )
    elif view.is_filtered:
        st.caption(
            f":material/filter_alt: {len(view.rows):,} of "
            f"{count(len(view.snapshot.rows), 'artifact')} match the filters"
        )


def no_artifacts(view: View) -> None:
    """Why there is nothing to list, and what to do next."""
    if view.snapshot.rows:
        empty(
            "No artifact matches the filters",
            "Loosen one of them in the sidebar, or clear them all.",
            button=("Clear filters", filters.clear),
        )
    else:
        empty(
            "There is nothing in this store yet",
            "Make an artifact with `load_or_create()`; it appears here by itself. "
            "To look at another store, start the dashboard for it:",
            command="streamlit run dashboard -- --root /path/to/store",
        )
