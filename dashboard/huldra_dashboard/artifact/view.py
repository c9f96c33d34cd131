"""The view `?h=<hash>`: one artifact in full, over whatever page was open."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from huldra.catalog import Row, Snapshot, presentation
from huldra_dashboard import address, badges, causes, cell_values, names, navigate, refresh, source
from huldra_dashboard.artifact import (
    attempts_tab,
    config_tab,
    environment_tab,
    files_tab,
    log_tab,
    metrics_tab,
    relations_tab,
    reproduce_tab,
)
from huldra_dashboard.markup import escape

_FRESH_S = 2.0
TABS: dict[str, Callable[[Row, Snapshot], None]] = {
    "Config": config_tab.show,
    "Relationships": relations_tab.show,
    "Metrics": metrics_tab.show,
    "Log": log_tab.show,
    "Files": files_tab.show,
    "Attempts": attempts_tab.show,
    "Environment": environment_tab.show,
    "Reproduce": reproduce_tab.show,
}


def show(digest: str) -> None:
    """Draw the artifact whose hash begins with `digest`, which is looked up in the index only."""
    snapshot = source.catalog().snapshot(max_age_s=_FRESH_S)
    st.button("Back", icon=":material/arrow_back:", type="tertiary", on_click=navigate.close_view)
    found = snapshot.by_hash(digest)
    if not found:
        _unknown(digest)
        return
    row = found[0] if len(found) == 1 else _choose(found)
    refresh.live(lambda: _header(row.key, row.root))
    _tabs(row, snapshot)


def _unknown(digest: str) -> None:
    """The page for a link that leads nowhere."""
    badges.empty(
        f"No artifact has a hash that begins with {escape(digest, 40)}",
        "It may have been removed, or belong to another store than the one this dashboard shows.",
        button=("To the list", lambda: navigate.go_to("experiments")),
    )


def _choose(found: tuple[Row, ...]) -> Row:
    """Let the user say which of several artifacts is meant."""
    index = st.selectbox(
        "Several artifacts match",
        range(len(found)),
        format_func=lambda i: escape(f"{found[i].key} in {found[i].root}"),
    )
    return found[index or 0]


def _header(key: str, root: str) -> None:
    """Name, status and vital signs, as they are now."""
    row = source.catalog().snapshot().get(key, root)
    if row is None:
        st.warning("This artifact was removed just now.")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        name = names.of_row(row)
        st.title(escape(name), width="content", anchor=False)
        badges.status_badge(badges.shown_status(row), badges.why_not_made(row))
        behind = row.module if name == row.class_name else row.namespace
        st.caption(escape(behind), width="content")
    st.code(row.digest, language=None, width="content")
    _vital_signs(row)
    if row.status in ("failed", "stale", "crashed", "preempted") or row.problem:
        _cause(row)


def _cause(row: Row) -> None:
    """Why it is not made: what failed first, with the way there, and what such failures share."""
    snapshot = source.catalog().snapshot()
    culprit = causes.root_of(row, snapshot)
    if culprit is None:
        st.error(escape(badges.why_not_made(row), 600), icon=":material/error:")
    else:
        name = f"{names.of_row(culprit)} ({culprit.label})"
        st.error(
            f"It needs **{escape(name)}**, which is {escape(culprit.status)}: "
            f"{escape(badges.why_not_made(culprit), 500)}",
            icon=":material/error:",
        )
        st.button(
            f"Go to {escape(name, 80)}",
            icon=":material/arrow_forward:",
            key="culprit",
            on_click=navigate.open_detail,
            args=(culprit.digest,),
        )
    _shared(culprit or row, snapshot)


def _shared(row: Row, snapshot: Snapshot) -> None:
    """The fields that all failures of this kind have, and nothing that is complete."""
    group = next((g for g in snapshot.failures() if row in g.rows), None)
    shared = causes.shared_fields(group.rows, snapshot) if group else []
    if group and shared:
        st.caption(
            f"All {group.count:,} failures of this kind have "
            + ", ".join(
                f"**{escape(p, 60)} = {escape(cell_values.cell(v), 60)}**" for p, v in shared
            )
            + "; nothing of their class that is complete has."
        )


def _vital_signs(row: Row) -> None:
    """Where and when, in one line of small numbers."""
    signs = {
        "Started": presentation.age(row.started_at),
        "Duration": presentation.duration(row.duration_s),
        "Host": row.hostname,
        "Backend": f"{row.backend} {row.job_id}".strip(),
        "User": row.user,
        "Attempt": str(row.attempt_number or ""),
    }
    if row.is_open:
        signs = {"Heartbeat": presentation.age(row.heartbeat_at)} | signs
    if row.queued_at and not row.started_at:
        signs = {"Queued": presentation.age(row.queued_at)} | signs
    text = "  ·  ".join(
        f":gray[{name}] {escape(value, 80)}"
        for name, value in signs.items()
        if value and value != "–"
    )
    st.markdown(text)


def _tabs(row: Row, snapshot: Snapshot) -> None:
    """The tabs; only the open one is worked out."""
    key = f"tab-{row.digest}"
    # The natural tab of the first look stays, though the status may change under the reader.
    natural = st.session_state.setdefault(f"natural-{key}", _natural_tab(row))
    asked = address.get(address.TAB)
    st.session_state[key] = asked if asked in TABS else natural
    tabs = st.tabs(list(TABS), key=key, on_change=address.written, args=(key, address.TAB, natural))
    for name, tab in zip(TABS, tabs, strict=True):
        if tab.open:
            with tab:
                TABS[name](row, snapshot)


def _natural_tab(row: Row) -> str:
    """The tab that a reader of this artifact most likely wants."""
    if row.status in ("running", "stale"):
        return "Log"
    if row.status in ("failed", "crashed") and not row.failed_key:
        return "Attempts"
    if row.status == "success" and source.catalog().metrics(row).values:
        return "Metrics"
    return "Config"
