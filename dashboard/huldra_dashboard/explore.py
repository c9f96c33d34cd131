"""Fields of configs against metrics: parallel coordinates, one against one, and a pivot."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

import pandas as pd
import streamlit as st

from huldra.catalog import Row, Snapshot, presentation
from huldra_dashboard import cell_values, charts, navigate, source
from huldra_dashboard.cell_values import cell, is_number
from huldra_dashboard.markup import plain

_MOST_LINES = 500
_MOST_CURVES = 100
_MOST_FIELDS = 6
_DURATION = "duration (s)"


def show(rows: Sequence[Row], names: Mapping[str, str], snapshot: Snapshot) -> None:
    """Draw the explorer for artifacts that are made; `names` are by key."""
    every = [row for row in rows if row.status == "success"]
    made = every[:_MOST_LINES]
    st.subheader("Fields against metrics", anchor=False)
    if len(made) < 2:
        st.caption("At least two artifacts have to be made before there is something to compare.")
        return
    if len(every) > len(made):
        st.caption(f"The first {_MOST_LINES} of {len(every):,} that are made, in this order.")
    fields = {
        path: _values(made, path, snapshot) for path in cell_values.telling_fields(made, snapshot)
    }
    numbers = _numbers(made)
    metric = _choose_metric(numbers)
    if not fields:
        st.caption("The artifacts that are made do not differ in any field.")
        return
    one, two, three = st.tabs(["Parallel coordinates", "One field", "Pivot"])
    labels = [names.get(row.key) or row.label for row in made]
    with one:
        _parallel(made, labels, fields, metric, numbers[metric])
    with two:
        _scatter(made, labels, fields, metric, numbers[metric])
    with three:
        _pivot(fields, metric, numbers[metric])


def curves(rows: Sequence[Row], names: Mapping[str, str], snapshot: Snapshot) -> None:
    """Draw one metric's curve of each artifact, coloured by a field where one is chosen."""
    shown = list(rows[:_MOST_CURVES])
    catalog = source.catalog()
    series = {row.key: catalog.metrics(row).series for row in shown}
    found = Counter(name for one in series.values() for name in one)
    if not found:
        st.caption("None of these artifacts has a curve: write a `history.jsonl`, a line a step.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        ranked = sorted(found, key=lambda name: (-found[name], name))
        metric = st.selectbox("Metric", ranked, format_func=plain, key="curves_metric", width=280)
        fields = ["–", *cell_values.telling_fields(shown, snapshot)]
        by = st.selectbox("Colour by", fields, format_func=plain, key="curves_by", width=280)
        smooth = st.slider("Smooth", 0.0, 0.99, 0.0, key="curves_smooth", width=180)
        log_y = st.toggle("Log scale", key="curves_log_y")
    lines = [row for row in shown if metric in series[row.key]]
    groups = [cell(snapshot.config_value(row, by)) if by != fields[0] else "" for row in lines]
    chart = charts.runs(
        [smoothed(series[row.key][metric], smooth) for row in lines],
        [names.get(row.key) or row.label for row in lines],
        groups,
        [row.digest for row in lines],
        metric,
        log_y=bool(log_y),
    )
    charts.draw(chart, "runs", on_click=navigate.open_detail, alt=f"{plain(metric)} over steps")
    if len(rows) > len(shown):
        st.caption(f"The first {_MOST_CURVES} of {len(rows):,} artifacts, in the list's order.")


def smoothed(points: Sequence[tuple[float, float]], weight: float) -> list[tuple[float, float]]:
    """The points with each value pulled towards those before it; without the bias of the start."""
    if not weight:
        return list(points)
    found: list[tuple[float, float]] = []
    sum_, norm = 0.0, 0.0
    for step, value in points:
        if math.isfinite(value):
            sum_, norm = sum_ * weight + value, norm * weight + 1.0
        found.append((step, sum_ / norm if norm else value))
    return found


def _values(rows: Sequence[Row], path: str, snapshot: Snapshot) -> list[Any]:
    """One field of all rows: numbers as they are, all else as text."""
    return [
        value if is_number(value) else cell(value) if value is not None else "–"
        for value in (snapshot.config_value(row, path) for row in rows)
    ]


def _numbers(rows: Sequence[Row]) -> dict[str, list[float | None]]:
    """Each metric's finite values in the order of rows; the duration is always there."""
    catalog = source.catalog()
    found: dict[str, list[float | None]] = defaultdict(lambda: [None] * len(rows))
    for index, row in enumerate(rows):
        for name, value in catalog.metrics(row).values.items():
            if math.isfinite(value):
                found[name][index] = value
    found[_DURATION] = [row.duration_s for row in rows]
    return dict(found)


def _choose_metric(numbers: Mapping[str, list[float | None]]) -> str:
    """The metric to look at: at first the one that most artifacts have."""
    ranked = sorted(numbers, key=lambda name: (name == _DURATION, numbers[name].count(None), name))
    chosen = st.selectbox("Metric", ranked, format_func=plain, key="explore_metric", width=360)
    return chosen if chosen in numbers else ranked[0]


def _parallel(
    rows: Sequence[Row],
    labels: Sequence[str],
    fields: Mapping[str, list[Any]],
    metric: str,
    values: Sequence[float | None],
) -> None:
    """A line for each artifact that has the metric."""
    paths = list(fields)[:_MOST_FIELDS]
    kept = [index for index, value in enumerate(values) if value is not None]
    if not kept:
        st.caption("No artifact that is made has this metric.")
        return
    chart = charts.parallel(
        [*paths, metric],
        [[*(fields[path][i] for path in paths), values[i]] for i in kept],
        [labels[i] for i in kept],
        [rows[i].digest for i in kept],
        color_by=len(paths),
    )
    charts.draw(chart, "parallel", alt="Parallel coordinates of fields and the metric")
    st.caption("Drag along an axis to keep only the lines through that part.")


def _scatter(
    rows: Sequence[Row],
    labels: Sequence[str],
    fields: Mapping[str, list[Any]],
    metric: str,
    values: Sequence[float | None],
) -> None:
    """A dot for each artifact; a click opens it."""
    numeric = [path for path, column in fields.items() if all(map(is_number, column))]
    if not numeric:
        st.caption("No field that varies is a number.")
        return
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        path = st.selectbox("Field", numeric, format_func=plain, key="explore_x", width=360)
    path = path if path in numeric else numeric[0]
    positive = all(x > 0 for x in fields[path])
    with right:
        log_x = st.toggle(
            "Log scale", value=charts.spans_orders(fields[path]), disabled=not positive
        )
    kept = [index for index, value in enumerate(values) if value is not None]
    chart = charts.scatter(
        [(float(fields[path][i]), float(values[i] or 0.0)) for i in kept],
        [labels[i] for i in kept],
        [rows[i].digest for i in kept],
        path,
        metric,
        log_x=log_x and positive,
    )
    charts.draw(chart, "scatter", on_click=navigate.open_detail, alt=f"{metric} over {path}")


def _pivot(fields: Mapping[str, list[Any]], metric: str, values: Sequence[float | None]) -> None:
    """Mean ± deviation over all that share two fields; the others (the seed) are averaged."""
    paths = list(fields)
    left, right = st.columns(2)
    with left:
        down = st.selectbox("Lines", paths, format_func=plain, key="pivot_down")
    with right:
        others = ["–", *(path for path in paths if path != down)]
        across = st.selectbox(
            "Columns", others, index=min(1, len(others) - 1), format_func=plain, key="pivot_across"
        )
    cells: dict[tuple[str, str], list[float]] = defaultdict(list)
    for index, value in enumerate(values):
        if value is not None and down in fields:
            column = cell(fields[across][index]) if across in fields else plain(metric)
            cells[cell(fields[down][index]), column].append(value)
    lines = dict.fromkeys(line for line, _ in cells)
    columns = dict.fromkeys(column for _, column in cells)
    st.dataframe(
        pd.DataFrame(
            {
                column: [_mean(cells.get((line, column), [])) for line in lines]
                for column in columns
            },
            index=pd.Index(list(lines), name=plain(down)),
        )
    )


def _mean(numbers: Sequence[float]) -> str:
    """`0.912 ± 0.004 (3)`."""
    if not numbers:
        return ""
    if len(numbers) == 1:
        return presentation.number(numbers[0])
    return f"{mean(numbers):.4g} ± {stdev(numbers):.2g} ({len(numbers)})"
