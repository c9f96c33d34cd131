"""Overview: what is there, what runs, what needs a look."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import streamlit as st

from huldra.catalog import ATTEMPT_STATUSES, RESULT_STATUSES, Row, Snapshot, presentation
from huldra.catalog.presentation import IN_FLIGHT, NEEDS_ATTENTION
from huldra.catalog.progress import read_progress
from huldra_dashboard import badges, charts, navigate, refresh, session, source, tables
from huldra_dashboard.markup import escape, plain

_SHOWN = 8
_HOURS = 24
_METRICS = 2
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
    _in_flight(view.rows, view.snapshot)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _attention(view.rows, view.snapshot)
        _recent(view.rows, view.snapshot)
    with right:
        _classes(view.rows, view.snapshot)


def _counters(rows: tuple[Row, ...]) -> None:
    """One chip for each status that occurs: they add up to the total, and each is a filter."""
    counts = Counter(badges.shown_status(row) for row in rows)
    with st.container(horizontal=True, gap="small"):
        total = presentation.count(len(rows), "artifact")
        st.button(f"**{total}**", key="all", help="All that match", on_click=_show_all)
        for name, number in presentation.in_order(dict(counts)):
            look = presentation.style_of(name)
            st.button(
                f":{look.color}[:material/{look.icon}:] **{number:,}** {escape(name, 30)}",
                key=f"counter-{name}",
                help=look.meaning,
                on_click=navigate.show_filtered,
                kwargs=_filter_of(name),
            )


def _filter_of(status: str) -> dict[str, list[str]]:
    """The filter that shows the artifacts of a status."""
    if status in ATTEMPT_STATUSES:
        return {"attempt": [status]}
    return {"result": [status if status in RESULT_STATUSES else "absent"]}


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
    data["now"] = [_last_metrics(row) for row in shown]
    data["since"] = [presentation.age(row.started_at or row.queued_at) for row in shown]
    data["heartbeat"] = [presentation.age(row.heartbeat_at) for row in shown]
    config = tables.column_config(data.columns) | {
        "now": st.column_config.TextColumn("Metrics now"),
        "since": st.column_config.TextColumn("Since"),
        "heartbeat": st.column_config.TextColumn("Heartbeat"),
    }
    below = [plain(row.label) for row in shown]
    tables.clickable(data, [row.digest for row in shown], "flight", config=config, below=below)


def _last_metrics(row: Row) -> str:
    """Where a running attempt is: its step, and the last values of its first metrics."""
    if row.status != "running":
        return ""
    metrics = source.catalog().metrics(row)
    steps = [extent.step for extent in metrics.extents.values()]
    reported = read_progress(row.directory)
    parts = []
    if reported is not None and reported.fraction is not None:
        parts.append(f"{reported.fraction:.0%}")
    if steps:
        parts.append(f"step {presentation.number(max(steps))}")
    for name, value in list(metrics.values.items())[:_METRICS]:
        parts.append(f"{name} {presentation.number(value)}")
    return plain(" · ".join(parts))


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
    columns = ("artifact", "status", "updated", "duration")
    tables.artifact_table(latest, snapshot, "latest", columns=columns)


def _last_change(row: Row) -> datetime:
    """The row's last change, for sorting."""
    return row.updated_at or datetime.min.replace(tzinfo=UTC)


if __name__ == "__main__":
    show()
