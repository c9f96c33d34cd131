"""Sweeps: how far each dispatch is, and what came of its fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from huldra.catalog import Row, Snapshot, Sweep, SweepMember, presentation
from huldra_dashboard import badges, explore, navigate, refresh, source, tables
from huldra_dashboard.imported import ImportedSweep, load
from huldra_dashboard.markup import escape, plain

_MOST_MEMBERS = 1000


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
            "progress": [100 * sweep.done / (sweep.total or 1) for sweep in sweeps],
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
        "progress": st.column_config.ProgressColumn(
            "Progress", min_value=0, max_value=100, format="%.0f %%"
        ),
        "done": "Made",
        "failed": st.column_config.NumberColumn("Not made", help="failed, crashed or stale"),
        "left": st.column_config.TextColumn("Time left", help="by the pace so far"),
        "engine": "Engine",
        "created": st.column_config.DatetimeColumn("Sent", format="distance"),
        "run": "Run",
    }
    st.caption("Click a sweep to open it. The filters of the sidebar do not apply here.")
    runs = [sweep.run_id for sweep in sweeps]
    tables.clickable(data, runs, "sweeps", config=config, on_open=_open)


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
    refresh.live(lambda: _progress(run_id))
    members = _members(run_id, source.catalog().snapshot())
    rows = [member.row for member in members if member.row is not None]
    names = {member.row.key: member.name for member in members if member.row is not None}
    if rows:
        explore.show(rows, names, source.catalog().snapshot())


def _exists(run_id: str) -> bool:
    """Return True if this is a recorded run, or an imported sweep of this process."""
    return run_id in source.options().sweeps or source.catalog().sweep(run_id) is not None


def _members(run_id: str, snapshot: Snapshot) -> tuple[SweepMember, ...]:
    """The named members of a sweep."""
    if run_id in source.options().sweeps:
        return load(run_id).members(snapshot)
    sweep = source.catalog().sweep(run_id)
    return tuple(member for member in sweep.members if member.name) if sweep else ()


def _progress(run_id: str) -> None:
    """Title, bar and counts, and the members that are not made."""
    snapshot = source.catalog().snapshot()
    sweep = None if run_id in source.options().sweeps else source.catalog().sweep(run_id)
    members = _members(run_id, snapshot)
    st.title(escape(sweep.name or run_id) if sweep else escape(run_id), anchor=False)
    counts = dict(sweep.counts) if sweep else Counter(member.status for member in members)
    total = sum(counts.values())
    done = counts.get("success", 0)
    left = (
        f", {presentation.duration(sweep.eta_s)} left" if sweep and sweep.eta_s is not None else ""
    )
    st.progress(done / total if total else 0.0, f"{done:,} of {total:,} made{left}")
    st.markdown(badges.count_line(counts))
    if sweep:
        sent = f"sent {presentation.age(sweep.created_at)} to {escape(sweep.engine, 40)}"
        st.caption(
            f"{presentation.count(len(members), 'member')} · {sent} · run {escape(sweep.run_id)}"
        )
        if sweep.problem:
            st.warning(escape(sweep.problem, 400))
    _members_table(members[:_MOST_MEMBERS], snapshot)


def _members_table(members: Sequence[SweepMember], snapshot: Snapshot) -> None:
    """All members by name, with the fields that vary; absent ones too."""
    if not members:
        st.caption("The run names no members.")
        return
    rows: list[Row] = [member.row for member in members if member.row is not None]
    fields = tables.telling_fields(rows, snapshot)
    data = pd.DataFrame(
        {
            "member": [plain(member.name) for member in members],
            "status": [[member.status] for member in members],
        }
    )
    for path in fields:
        data[f"config.{path}"] = tables.column(
            [snapshot.config_value(m.row, path) if m.row else None for m in members]
        )
    data["duration"] = [presentation.duration(m.row.duration_s if m.row else None) for m in members]
    data["updated"] = [member.row.updated_at if member.row else None for member in members]
    config = tables.column_config(data.columns) | {
        "member": st.column_config.TextColumn("Member", pinned=True)
    }
    digests = [member.key.rpartition("/")[2] for member in members]
    height = "content" if len(members) <= 12 else 440
    tables.clickable(data, digests, "members", config=config, height=height)


if __name__ == "__main__":
    show()
