"""Tab Metrics: the numbers in the artifact's own JSON, JSON lines and CSV files."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from huldra.catalog import Row, Snapshot, presentation
from huldra_dashboard import badges, charts, source
from huldra_dashboard.markup import escape, plain

_FIRST_LINES = 4
_TILES = 8


def show(row: Row, snapshot: Snapshot) -> None:  # noqa: ARG001  all tabs are called alike
    """Draw the tab."""
    metrics = source.catalog().metrics(row)
    for problem in metrics.problems:
        st.warning(escape(problem, 400))
    if not metrics.values and not metrics.series:
        badges.empty(
            "No numbers found",
            "Write a top-level `*.json`, `*.jsonl` or `*.csv` into `self.huldra_dir`, such as "
            '`metrics.json` with `{"accuracy": 0.93}`: its numbers are shown here and in lists.',
        )
        return
    _tiles(dict(metrics.values))
    if metrics.series:
        _curves({plain(name): points for name, points in metrics.series.items()})


def _tiles(values: dict[str, float]) -> None:
    """The first few as large numbers, all of them as a table when there are more."""
    if not values:
        return
    with st.container(horizontal=True):
        for name, value in list(values.items())[:_TILES]:
            st.metric(escape(name, 40), presentation.number(value), border=True, width=190)
    if len(values) > _TILES:
        st.dataframe(
            pd.DataFrame(
                {
                    "metric": [plain(name) for name in values],
                    "value": [presentation.number(value) for value in values.values()],
                }
            ),
            hide_index=True,
        )


def _curves(series: dict[str, tuple[tuple[float, float], ...]]) -> None:
    """Curves over steps, of the chosen names."""
    names = sorted(series)
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    with left:
        shown = st.multiselect("Curves", names, default=names[:_FIRST_LINES], key="curves")
    with right:
        log_y = st.toggle("Log scale", key="curves_log")
    if shown:
        chosen = {name: series[name] for name in shown}
        charts.draw(charts.lines(chosen, log_y=log_y), "curves", alt="Metrics over steps")
