"""Sweeps: how far each dispatch is, and what came of its fields."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from huldra.catalog import Row, Snapshot, Sweep, SweepMember, presentation
from huldra.catalog.metrics import names_of
from huldra.catalog.presentation import NEEDS_ATTENTION
from huldra_dashboard import (
    address,
    badges,
    cell_values,
    charts,
    explore,
    navigate,
    refresh,
    run_table,
    source,
    tables,
)
from huldra_dashboard.imported import ImportedSweep, load
from huldra_dashboard.markup import escape, plain

_MOST_MEMBERS = 1000
_VIEWS = ("Members", "Curves", "Explore")
_BETTER = ("lowest", "highest")
_HIGHER = re.compile(r"(?i)acc|f1|score|auc|bleu|rouge|reward|return|precision|recall|r2|map")


def show() -> None:
    """Draw the list of sweeps, or the one that `?run=` names."""
    run_id = st.query_params.get(navigate.RUN)
    if run_id:
        _one(run_id)
    else:
        st.title("Sweeps")
        refresh.live(_list)


def _list() -> None:
    """The imported sweeps, then the recorded ones, newest first."""
    snapshot = source.catalog().snapshot()
    asked = [load(name) for name in source.options().sweeps]
    for one in asked:
        _imported_line(one, snapshot)
    sweeps = source.catalog().sweeps()
    if not sweeps and not asked:
        badges.empty(
            "No sweep is recorded",
            "A dispatch to an engine records its members here: "
            '`MyExperiments.load_or_create(executor="local:4")`. To follow a `HuldraList` that '
            "runs without an engine, name it when you start the dashboard (this imports it):",
            command="streamlit run dashboard -- --sweep my_project.sweeps:MyExperiments",
        )
        return
    if sweeps:
        _recorded(sweeps)


def _imported_line(one: ImportedSweep, snapshot: Snapshot) -> None:
    """The progress of an imported sweep and a way into it."""
    if one.problem:
        st.error(escape(one.problem, 600))
        return
    members = one.members(snapshot)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{escape(one.name)}**", width="content")
        st.markdown(badges.count_line(Counter(member.status for member in members)))
        st.button("Open", key=f"sweep-{one.name}", on_click=_open, args=(one.name,))


def _open(run_id: str) -> None:
    """Show one sweep; a callback."""
    st.query_params[navigate.RUN] = run_id


def _close() -> None:
    """Back to the list; a callback."""
    st.query_params.pop(navigate.RUN, None)


def _recorded(sweeps: Sequence[Sweep]) -> None:
    """The recorded runs as a clickable table."""
    data = pd.DataFrame(
        {
            "sweep": [plain(sweep.name or sweep.run_id) for sweep in sweeps],
            "state": [state_of(sweep) for sweep in sweeps],
            "progress": [run_table.cut_cell(sweep.counts) for sweep in sweeps],
            "done": [f"{sweep.done:,} of {sweep.total:,}" for sweep in sweeps],
            "failed": [_bad(sweep) for sweep in sweeps],
            "left": [presentation.duration(sweep.eta_s) for sweep in sweeps],
            "engine": [plain(sweep.engine) for sweep in sweeps],
            "created": [sweep.created_at for sweep in sweeps],
            "run": [plain(sweep.run_id) for sweep in sweeps],
        }
    )
    config = {
        "sweep": st.column_config.TextColumn("Sweep", pinned=True),
        "state": "State",
        "progress": "Progress",
        "done": "Made",
        "failed": st.column_config.NumberColumn("Not made", help="failed, crashed or stale"),
        "left": st.column_config.TextColumn("Time left", help="by the pace so far"),
        "engine": "Engine",
        "created": st.column_config.DatetimeColumn("Sent", format="distance"),
        "run": "Run",
    }
    st.caption("Click a sweep to open it. The filters of the sidebar do not apply here.")
    runs = [sweep.run_id for sweep in sweeps]
    tables.clickable(data, runs, "sweeps", config=config, on_open=_open, parameter=navigate.RUN)


def state_of(sweep: Sweep) -> str:
    """How a sweep is, in a word: running, waiting, stalled, finished, or finished with failures."""
    moving = sweep.counts.get("running", 0), sweep.counts.get("queued", 0)
    lost = _bad(sweep) + sum(sweep.counts.get(name, 0) for name in ("cancelled", "preempted"))
    left = sweep.total - sweep.done - lost
    if any(moving):
        return "running" if moving[0] else "waiting"
    if left or sweep.counts.get("stale"):
        return "stalled"
    return f"finished, {lost:,} failed" if lost else "finished"


def state_color(sweep: Sweep) -> str:
    """The colour of the word, as the theme names it."""
    word = state_of(sweep).partition(",")[0]
    if word == "finished" and "," in state_of(sweep):
        return "red"
    return {"running": "blue", "waiting": "violet", "stalled": "orange"}.get(word, "green")


def _bad(sweep: Sweep) -> int:
    """How many artifacts of the sweep will not be made without help."""
    return sum(sweep.counts.get(status, 0) for status in ("failed", "crashed", "stale"))


def _one(run_id: str) -> None:
    """One sweep: its progress, then its members with what is known of them."""
    st.button("All sweeps", icon=":material/arrow_back:", type="tertiary", on_click=_close)
    if not _exists(run_id):
        badges.empty(
            f"No sweep is called {escape(run_id, 60)}",
            "Its record may have been removed, or belong to another store.",
            button=("All sweeps", _close),
        )
        return
    refresh.live(lambda: _body(run_id))


def _body(run_id: str) -> None:
    """How the sweep is, its best member, and its members in the chosen view."""
    snapshot = source.catalog().snapshot()
    members = _members(run_id, snapshot)
    _progress(run_id, members)
    rows = [member.row for member in members if member.row is not None]
    called = {member.row.key: member.name for member in members if member.row is not None}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = address.choice("sweep_view", address.VIEW, _VIEWS)
        best = _best_by(rows) if shown == "Members" else None
    if shown == "Members":
        if best is not None:
            _best(rows, called, best)
        _members_table(members, snapshot, best)
    elif shown == "Curves":
        explore.curves(rows, called, snapshot)
    else:
        explore.show(rows, called, snapshot)


def _best_by(rows: Sequence[Row]) -> tuple[str, bool] | None:
    """The metric that decides which member is best, and whether a higher one is better."""
    catalog = source.catalog()
    offered = names_of(catalog.metrics_summary(row) for row in rows)
    if not offered:
        return None
    asked = address.get(address.METRIC)
    metric = asked if asked in offered else offered[0]
    st.session_state["sweep_metric"] = metric
    st.selectbox(
        "Metric",
        offered,
        key="sweep_metric",
        format_func=plain,
        on_change=address.written,
        args=("sweep_metric", address.METRIC, offered[0]),
        width=260,
    )
    guess = "highest" if _HIGHER.search(metric) else "lowest"
    asked = address.get(address.MODE)
    st.session_state["sweep_better"] = asked if asked in _BETTER else guess
    better = st.segmented_control(
        "Best is the",
        _BETTER,
        required=True,
        key="sweep_better",
        on_change=address.written,
        args=("sweep_better", address.MODE, guess),
    )
    return metric, better == "highest"


def _metric(row: Row | None, name: str) -> float | None:
    """A member's number; None where there is none to compare."""
    value = source.catalog().metrics_summary(row).values.get(name) if row is not None else None
    return value if value is not None and math.isfinite(value) else None


def _best(rows: Sequence[Row], called: Mapping[str, str], by: tuple[str, bool]) -> None:
    """The best complete member."""
    metric, is_higher = by
    known = [
        (value, row)
        for row in rows
        if row.result_status == "success" and (value := _metric(row, metric)) is not None
    ]
    if not known:
        st.caption("No complete member has this metric.")
        return
    value, row = (max if is_higher else min)(known, key=lambda pair: pair[0])
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f":material/trophy: **{escape(called[row.key])}**: "
            f"{escape(metric)} {escape(presentation.number(value))}",
            width="content",
        )
        st.button("Open", key="best", on_click=navigate.open_detail, args=(row.digest,))


def _exists(run_id: str) -> bool:
    """Return True if this is a recorded run, or an imported sweep of this process."""
    return run_id in source.options().sweeps or source.catalog().sweep(run_id) is not None


def _members(run_id: str, snapshot: Snapshot) -> tuple[SweepMember, ...]:
    """The named members of a sweep."""
    if run_id in source.options().sweeps:
        return load(run_id).members(snapshot)
    sweep = source.catalog().sweep(run_id)
    return tuple(member for member in sweep.members if member.name) if sweep else ()


def _progress(run_id: str, members: Sequence[SweepMember]) -> None:
    """Title and state in a word, one bar cut by status, and the time spent and left."""
    sweep = None if run_id in source.options().sweeps else source.catalog().sweep(run_id)
    counts = Counter(member.status for member in members)
    with st.container(horizontal=True, vertical_alignment="center"):
        name = (sweep.name or sweep.run_id) if sweep else run_id
        st.title(escape(name), anchor=False, width="content")
        if sweep:
            word, color = state_of(sweep), state_color(sweep)
            st.badge(escape(word), color=color)  # type: ignore[arg-type]  # names of the theme
    charts.draw(charts.cut_bar(counts), "sweep-progress", alt=f"Members by status of {plain(name)}")
    done = f"{counts['success']:,} of {presentation.count(len(members), 'member')} complete"
    if sweep is None:
        st.caption(done)
        return
    needed = [member for member in sweep.members if not member.name]
    facts = [done]
    if needed:
        made = sum(member.status == "success" for member in needed)
        facts.append(f"{made:,} of {len(needed):,} dependencies")
    facts += _times(sweep)
    facts.append(f"sent {presentation.age(sweep.created_at)} to {escape(sweep.engine, 40)}")
    st.caption(" · ".join([*facts, f"run {escape(sweep.run_id)}"]))
    if sweep.problem:
        st.warning(escape(sweep.problem, 400))


def _times(sweep: Sweep) -> list[str]:
    """What the attempts of the sweep took together, and the time left."""
    spent = sum(m.row.duration_s or 0.0 for m in sweep.members if m.row and m.planned)
    found = [f"{presentation.duration(spent)} of computing"] if spent else []
    if sweep.eta_s is not None:
        found.append(f"{presentation.duration(sweep.eta_s)} left")
    return found


def _members_table(
    members: Sequence[SweepMember], snapshot: Snapshot, best: tuple[str, bool] | None
) -> None:
    """All members by name, the best first, with the fields that vary; absent ones too."""
    if not members:
        st.caption("The run names no members.")
        return
    shown = list(members)
    if best is not None:
        metric, is_higher = best
        known = [m for m in members if _metric(m.row, metric) is not None]
        known.sort(key=lambda m: _metric(m.row, metric) or 0.0, reverse=is_higher)
        shown = [*known, *(m for m in members if _metric(m.row, metric) is None)]
    if len(shown) > _MOST_MEMBERS:
        st.caption(f"The first {_MOST_MEMBERS:,} of {len(shown):,} members.")
        shown = shown[:_MOST_MEMBERS]
    rows: list[Row] = [member.row for member in shown if member.row is not None]
    data = pd.DataFrame(
        {
            "member": [plain(member.name) for member in shown],
            "status": [[member.status] for member in shown],
        }
    )
    if best is not None:
        data[f"metric.{best[0]}"] = [_metric(member.row, best[0]) for member in shown]
    for path in cell_values.telling_fields(rows, snapshot):
        data[f"config.{path}"] = cell_values.column(
            [snapshot.config_value(m.row, path) if m.row else None for m in shown]
        )
    data["duration"] = [presentation.duration(m.row.duration_s if m.row else None) for m in shown]
    data["why"] = [
        plain(badges.why_not_made(m.row)) if m.row and m.status in NEEDS_ATTENTION else ""
        for m in shown
    ]
    config = tables.column_config(data.columns) | {
        "member": st.column_config.TextColumn("Member", pinned=True)
    }
    below = [cell_values.reference_label(member.key) for member in shown]
    digests = [member.key.rpartition("/")[2] for member in shown]
    tables.clickable(data, digests, "members", config=config, below=below)


if __name__ == "__main__":
    show()
