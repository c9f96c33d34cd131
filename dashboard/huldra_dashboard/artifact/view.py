"""The view `?h=<hash>`: one artifact in full, over whatever page was open."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from huldra.catalog import Row, Snapshot, presentation
from huldra_dashboard import badges, navigate, refresh, source
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
        st.title(escape(row.class_name), width="content", anchor=False)
        badges.status_badge(badges.shown_status(row), badges.why_not_made(row))
        st.caption(escape(row.module), width="content")
    st.code(row.digest, language=None, width="content")
    _vital_signs(row)
    if row.status in ("failed", "stale", "crashed", "preempted") or row.problem:
        st.error(escape(badges.why_not_made(row), 600), icon=":material/error:")


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
    names = list(TABS)
    first = st.query_params.get("tab", "")
    tabs = st.tabs(
        names,
        key=f"tab-{row.digest}",
        on_change="rerun",
        default=first if first in TABS else _natural_tab(row),
    )
    for name, tab in zip(names, tabs, strict=True):
        if tab.open:
            with tab:
                TABS[name](row, snapshot)


def _natural_tab(row: Row) -> str:
    """The tab that a reader of this artifact most likely wants."""
    if row.status in ("running", "stale"):
        return "Log"
    return "Attempts" if row.status in ("failed", "crashed") and not row.failed_key else "Config"
