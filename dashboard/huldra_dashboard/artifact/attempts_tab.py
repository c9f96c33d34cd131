"""Tab Attempts: each attempt of the artifact, who had it and how it ended."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from huldra.catalog import AttemptRow, Row, Snapshot, presentation
from huldra_dashboard import badges, causes, source, tables
from huldra_dashboard.markup import escape, plain, terminal_text


def show(row: Row, snapshot: Snapshot) -> None:  # noqa: ARG001  all tabs are called alike
    """Draw the tab."""
    attempts = source.catalog().detail(row).attempts
    if not attempts:
        badges.empty(
            "No attempt is recorded",
            "It was never started here, or its `claims` folder was not copied along with it.",
            command=f"huldra show {row.digest}",
        )
        return
    newest_first = tuple(reversed(attempts))
    _table(newest_first)
    for attempt in newest_first:
        _error(attempt, is_open=attempt is newest_first[0])


def _table(attempts: tuple[AttemptRow, ...]) -> None:
    """One line for each attempt."""
    st.dataframe(
        pd.DataFrame(
            {
                "number": [attempt.number for attempt in attempts],
                "status": [[attempt.status] for attempt in attempts],
                "began": [presentation.moment(attempt.claimed_at) for attempt in attempts],
                "duration": [presentation.duration(attempt.duration_s) for attempt in attempts],
                "heartbeat": [
                    presentation.age(a.heartbeat_at) if a.ended_at is None else "–"
                    for a in attempts
                ],
                "host": [plain(attempt.hostname) for attempt in attempts],
                "pid": [attempt.pid or None for attempt in attempts],
                "backend": [plain(attempt.backend) for attempt in attempts],
                "job": [plain(attempt.job_id) for attempt in attempts],
                "note": [_note(attempt) for attempt in attempts],
            }
        ),
        hide_index=True,
        placeholder="",
        column_config={
            "number": st.column_config.NumberColumn("#", format="%d"),
            "status": tables.status_column(),
            "began": "Began",
            "duration": "Duration",
            "heartbeat": "Heartbeat",
            "host": "Host",
            "pid": st.column_config.NumberColumn("Process", format="%d"),
            "backend": "Backend",
            "job": "Job",
            "note": st.column_config.TextColumn("Note", width="medium"),
        },
    )


def _note(attempt: AttemptRow) -> str:
    """What is remarkable about an attempt."""
    if attempt.stale_reason:
        return plain(attempt.stale_reason)
    if attempt.cancel_requested and attempt.ended_at is None:
        return "cancel asked for"
    return ""


def _error(attempt: AttemptRow, *, is_open: bool) -> None:
    """What an attempt raised, with its traceback."""
    error = attempt.error
    if not error:
        return
    name = str(error.get("type") or "error").rpartition(".")[2]
    message = str(error.get("message") or "")
    label = f"Attempt {attempt.number}: **{escape(name, 60)}** {escape(message, 120)}"
    with st.expander(label, expanded=is_open):
        trace = terminal_text(str(error.get("traceback") or ""))
        if not st.toggle("All frames", key=f"frames-{attempt.number}"):
            trace = causes.without_our_frames(trace)
        st.code(trace[-20_000:] or f"{name}: {message}", language=None, wrap_lines=True)
        if error.get("log_path"):
            st.code(str(error["log_path"]), language=None)
