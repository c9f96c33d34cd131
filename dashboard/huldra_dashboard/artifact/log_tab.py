"""Tab Log: the end of what was logged or printed, following it while the attempt is open."""

from __future__ import annotations

import streamlit as st

from huldra.catalog import LOGS, Row, Snapshot, presentation
from huldra_dashboard import badges, refresh, source
from huldra_dashboard.markup import terminal_text
from huldra_dashboard.safe_files import read_inside

_TITLES = {"log": "Logged", "output": "Printed"}
_MOST_BYTES = 50_000_000  # of a download
_TAIL_BYTES = 64 * 1024
_TAIL_LINES = 500
_HEIGHT_PX = 560


def show(row: Row, snapshot: Snapshot) -> None:  # noqa: ARG001  all tabs are called alike
    """Draw the tab."""
    with st.container(horizontal=True, vertical_alignment="center"):
        which = _which(row)
        follow = st.toggle("Follow", value=row.is_open, key=f"follow-{row.digest}")
        wrap = st.toggle("Wrap lines", key="log_wrap", persist_state="session")
        find = st.text_input(
            "Lines with",
            key="log_find",
            placeholder="only lines with …",
            label_visibility="collapsed",
            width=260,
        )
        st.download_button(
            "Download",
            lambda: read_inside(row.directory, LOGS[which], _MOST_BYTES),
            file_name=f"{row.digest[:8]}-{which}.log",
            mime="text/plain",
            icon=":material/download:",
            on_click="ignore",
        )

    def tail() -> None:
        _tail(row, which, find or "", wrap=bool(wrap))

    if follow:
        refresh.live(tail, every_s=refresh.LOG_EVERY_S)
    else:
        tail()


def _which(row: Row) -> str:
    """Which log to show; asked only where `_create` printed anything on a worker."""
    if not source.catalog().detail(row).output_size:
        return "log"
    chosen = st.segmented_control(
        "Which",
        list(_TITLES),
        default="log",
        format_func=_TITLES.__getitem__,
        key=f"log_which-{row.digest}",
        label_visibility="collapsed",
    )
    return chosen or "log"


def _tail(row: Row, which: str, find: str, *, wrap: bool) -> None:
    """The last lines as plain text: colouring a log costs a browser seconds."""
    text = terminal_text(
        source.catalog().log_tail(row, max_bytes=_TAIL_BYTES, max_lines=_TAIL_LINES, which=which)
    )
    if not text.strip():
        badges.empty(
            "The log is empty",
            "Lines of Python's `logging` at level INFO and above that are written while `_create` "
            "runs appear here, also from threads that it starts.",
        )
        return
    lines = text.rstrip("\n").split("\n")
    shown = [line for line in lines if find.lower() in line.lower()] if find else lines
    with st.container(height=_HEIGHT_PX, border=False, autoscroll=True):
        st.code("\n".join(shown) or "(no line has it)", language=None, wrap_lines=wrap)
    st.caption(
        f"The last {presentation.count(len(lines), 'line')}; at most {_TAIL_LINES} are shown."
    )
