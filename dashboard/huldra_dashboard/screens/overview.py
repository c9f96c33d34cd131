"""Overview: what is there, what runs, what needs a look."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import streamlit as st

from huldra.catalog import Row, Snapshot, presentation
from huldra.catalog.presentation import IN_FLIGHT, LOOKS, NEEDS_ATTENTION
from huldra_dashboard import badges, charts, navigate, refresh, session, source, tables

_SHOWN = 8
_COUNTERS = ("success", "running", "queued", "failed", "stale")
_HOURS = 24
_FORWARD = ":material/arrow_forward:"


def show() -> None:
    """Draw the page."""
    st.title("Overview")
    refresh.live(_body)


def _body() -> None:
    """Everything that changes."""
    view = source.view(session.query())
    badges.filter_note(view)
    if not view.rows:
        badges.no_artifacts(view)
        return
    _counters(view.rows)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _attention(view.rows, view.snapshot)
    with right:
        _classes(view.rows, view.snapshot)
    _in_flight(view.rows, view.snapshot)
    _recent(view.rows, view.snapshot)


def _counters(rows: tuple[Row, ...]) -> None:
    """One number for each status that matters, and how much ended in each of the last hours."""
    counts = Counter(row.status for row in rows)
    cells = st.columns(len(_COUNTERS) + 1)
    with cells[0].container(border=True, height="stretch"):
        st.metric("Artifacts", f"{len(rows):,}", help="All that match the filters.")
        st.button("Show", key="all", type="tertiary", icon=_FORWARD, on_click=_show_all)
    for cell, name in zip(cells[1:], _COUNTERS, strict=True):
        look = LOOKS[name]
        with cell.container(border=True, height="stretch"):
            label = f":{look.color}[:material/{look.icon}:] {name.capitalize()}"
            st.metric(label, f"{counts[name]:,}", help=look.meaning)
            st.button(
                "Show",
                key=f"counter-{name}",
                type="tertiary",
                icon=_FORWARD,
                disabled=not counts[name],
                on_click=navigate.show_filtered,
                kwargs={"attempt": [name]},
            )


def _show_all() -> None:
    """Go to the list with the filters as they are."""
    navigate.go_to("experiments")


def _per_hour(rows: tuple[Row, ...]) -> list[int]:
    """How many attempts ended in each of the last hours, oldest first."""
    now = datetime.now(UTC)
    bars = [0] * _HOURS
    for row in rows:
        if row.ended_at is not None and now - row.ended_at < timedelta(hours=_HOURS):
            hours = int((now - row.ended_at).total_seconds() // 3600)
            bars[_HOURS - 1 - max(hours, 0)] += 1
    return bars


def _attention(rows: tuple[Row, ...], snapshot: Snapshot) -> None:
    """What needs attention, newest first."""
    st.subheader("Needs attention")
    chosen = [row for row in rows if row.status in NEEDS_ATTENTION or row.problem]
    if not chosen:
        st.success("Nothing failed, nothing is stale.", icon=":material/check_circle:")
        return
    chosen.sort(key=_last_change, reverse=True)
    tables.artifact_table(
        chosen[:_SHOWN],
        snapshot,
        "attention",
        columns=("artifact", "status", "updated", "why"),
        with_why=True,
    )
    if len(chosen) > _SHOWN:
        st.button(
            f"All {len(chosen):,}",
            type="tertiary",
            icon=_FORWARD,
            on_click=navigate.show_filtered,
            kwargs={"attempt": [n for n in NEEDS_ATTENTION if n != "unreadable"]},
        )


def _in_flight(rows: tuple[Row, ...], snapshot: Snapshot) -> None:
    """What is being made, with the last sign of life of each."""
    st.subheader("Running and queued")
    chosen = [row for row in rows if row.status in IN_FLIGHT]
    if not chosen:
        st.caption("Nothing is running. `obj.load_or_create(executor=…)` sends work to an engine.")
        return
    chosen.sort(key=lambda row: (row.status != "running", -_last_change(row).timestamp()))
    shown = chosen[:_SHOWN]
    data = tables.frame(shown, snapshot)[["artifact", "status", "backend", "host"]]
    data["since"] = [presentation.age(row.started_at or row.queued_at) for row in shown]
    data["heartbeat"] = [presentation.age(row.heartbeat_at) for row in shown]
    config = tables.column_config(data.columns) | {
        "since": st.column_config.TextColumn("Since"),
        "heartbeat": st.column_config.TextColumn("Heartbeat"),
    }
    tables.clickable(data, [row.digest for row in shown], "flight", config=config)


def _classes(rows: tuple[Row, ...], snapshot: Snapshot) -> None:
    """One bar for each class, cut by status."""
    st.subheader("By class")
    by_class = snapshot.stats(rows).by_namespace
    chart = charts.status_bars({name: dict(counts) for name, counts in by_class.items()})
    charts.draw(chart, "classes", on_click=lambda name: navigate.show_filtered(ns=[name]))
    ended = _per_hour(rows)
    if any(ended):
        st.caption(f"Attempts that ended in each of the last {_HOURS} hours")
        charts.draw(charts.hours(ended), "hours", alt="Attempts that ended, by hour")


def _recent(rows: tuple[Row, ...], snapshot: Snapshot) -> None:
    """What changed last."""
    st.subheader("Latest")
    latest = sorted(rows, key=_last_change, reverse=True)[:_SHOWN]
    tables.artifact_table(latest, snapshot, "latest")


def _last_change(row: Row) -> datetime:
    """The row's last change, for sorting."""
    return row.updated_at or datetime.min.replace(tzinfo=UTC)


if __name__ == "__main__":
    show()
