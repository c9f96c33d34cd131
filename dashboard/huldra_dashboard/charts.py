"""Charts as ECharts options, and the one place that hands them to Streamlit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from huldra.catalog.presentation import in_order, style_of
from huldra_dashboard.markup import plain, shorten

_MOST_BARS = 14
_ROW_PX = 34


@dataclass(frozen=True)
class Chart:
    """An option object for ECharts, its size, and what its items stand for, by index.

    Without a width it is as wide as the page. Of a chart `by_series`, the keys are of its series.
    """

    option: dict[str, Any]
    height_px: int
    keys: tuple[str, ...] = ()
    width_px: int | None = None
    by_series: bool = False


def draw(
    chart: Chart,
    name: str,
    *,
    on_click: Callable[[str], None] | None = None,
    alt: str | None = None,
) -> None:
    """Show a chart; a click on item i calls `on_click(keys[i])` before the script runs again."""
    key = f"chart-{name}"
    width: int | Literal["stretch"] = chart.width_px or "stretch"
    if on_click is None:
        st.echarts_chart(
            chart.option, width=width, height=chart.height_px, renderer="svg", key=key, alt=alt
        )
        return

    def clicked() -> None:
        for group in st.session_state[key]["selection"]["selected"]:
            indices = [group["series_index"]] if chart.by_series else group["data_indices"]
            for index in indices:
                if group["data_type"] != "edge" and 0 <= index < len(chart.keys):
                    on_click(chart.keys[index])
                    return

    st.echarts_chart(
        chart.option,
        width=width,
        height=chart.height_px,
        renderer="svg",  # real text: searchable, printable, readable to a screen reader
        key=key,
        on_select=clicked,
        alt=alt,
    )


def status_bars(by_name: Mapping[str, Mapping[str, int]]) -> Chart:
    """One horizontal bar for each name, cut by status; the longest first, the rest summed."""
    ranked = sorted(by_name.items(), key=lambda item: -sum(item[1].values()))
    shown = ranked[:_MOST_BARS]
    totals: dict[str, int] = {}
    for _, counts in shown:
        for status, number in counts.items():
            totals[status] = totals.get(status, 0) + number
    names = [name for name, _ in shown]
    labels = [shorten(plain(name.rpartition("/")[2]), 26) for name in names]
    series = [
        {
            "type": "bar",
            "stack": "all",
            "name": status,
            "data": [counts.get(status, 0) for _, counts in shown],
            "itemStyle": {"color": style_of(status).paint},
            "barMaxWidth": 18,
            "selectedMode": "single",
            "select": {"itemStyle": {"color": style_of(status).paint}},
            "emphasis": {"focus": "none"},
        }
        for status, _ in in_order(totals)
    ]
    option = {
        "animation": False,
        "grid": {"left": 8, "right": 24, "top": 34, "bottom": 8, "containLabel": True},
        "legend": {"top": 0, "left": 0, "itemWidth": 12, "itemHeight": 10},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}},
        "xAxis": {"type": "value", "minInterval": 1},
        "yAxis": {
            "type": "category",
            "data": _distinct(labels),
            "inverse": True,
            "axisTick": {"show": False},
        },
        "series": series,
    }
    return Chart(option, 70 + _ROW_PX * len(shown), tuple(names))


def cut_bar(counts: Mapping[str, int]) -> Chart:
    """One bar cut by status, with a legend."""
    series = [
        {
            "type": "bar",
            "stack": "all",
            "name": f"{number:,} {plain(status)}",
            "data": [number],
            "itemStyle": {"color": style_of(status).paint},
            "barWidth": 16,
        }
        for status, number in reversed(in_order(dict(counts)))
    ]
    option = {
        "animation": False,
        "grid": {"left": 0, "right": 0, "top": 30, "bottom": 0},
        "legend": {"type": "scroll", "top": 0, "left": 0, "itemWidth": 12, "itemHeight": 10},
        "xAxis": {"type": "value", "show": False, "max": sum(counts.values()) or 1},
        "yAxis": {"type": "category", "data": [""], "show": False},
        "series": series,
    }
    return Chart(option, 58)


def hours(bars: Sequence[int]) -> Chart:
    """Small bars, the last one for the present hour."""
    names = [f"{back} h ago" if back else "now" for back in range(len(bars) - 1, -1, -1)]
    option = {
        "animation": False,
        "grid": {"left": 8, "right": 8, "top": 8, "bottom": 4, "containLabel": True},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "category", "data": names, "axisTick": {"show": False}},
        "yAxis": {"type": "value", "minInterval": 1, "splitNumber": 2},
        "series": [{"type": "bar", "name": "ended", "data": list(bars)}],
    }
    return Chart(option, 150)


def _distinct(labels: Sequence[str]) -> list[str]:
    """The labels, with a number where one occurs again: categories of one name are one bar."""
    seen: dict[str, int] = {}
    result = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        result.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return result


def lines(series: Mapping[str, Sequence[tuple[float, float]]], *, log_y: bool = False) -> Chart:
    """One line for each name; points that are not finite are gaps."""
    option = {
        "animation": False,
        "grid": {"left": 8, "right": 24, "top": 40, "bottom": 30, "containLabel": True},
        "legend": {"type": "scroll", "top": 0, "left": 0},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "value", "scale": True, "name": "step", "nameLocation": "middle"},
        "yAxis": {"type": "log" if log_y else "value", "scale": True},
        "series": [
            {
                "type": "line",
                "name": shorten(plain(name), 60),
                "showSymbol": len(points) < 50,
                "data": [[_finite(x), _finite(y)] for x, y in points],
            }
            for name, points in series.items()
        ],
    }
    return Chart(option, 320)


_PAINTS = ("#2F7BE8", "#EA7317", "#1E9E5A", "#DC2F4B", "#8B5CF6", "#0E9AA7", "#CA9A04", "#7C8798")


def runs(
    curves: Sequence[Sequence[tuple[float, float]]],
    names: Sequence[str],
    groups: Sequence[str],
    keys: Sequence[str],
    y_name: str,
    *,
    log_y: bool = False,
) -> Chart:
    """One line for each artifact, those of one group in one colour; a click gives its key."""
    kinds = list(dict.fromkeys(groups))
    paint = {kind: _PAINTS[index % len(_PAINTS)] for index, kind in enumerate(kinds)}
    by_line = len(kinds) < 2
    series = [
        {
            "type": "line",
            "name": shorten(plain(name if by_line else group), 60),
            "showSymbol": len(points) < 3,
            "selectedMode": "series",
            "lineStyle": {"width": 1.6, "opacity": 0.8},
            "emphasis": {"focus": "series", "lineStyle": {"width": 3}},
            "data": [[_finite(x), _finite(y)] for x, y in points],
            **({} if by_line else {"color": paint[group]}),
        }
        for points, name, group in zip(curves, names, groups, strict=True)
    ]
    option = {
        "animation": False,
        "grid": {"left": 20, "right": 24, "top": 56, "bottom": 40, "containLabel": True},
        "legend": {"type": "scroll", "top": 0, "left": 0, "show": not by_line or len(curves) <= 20},
        "tooltip": {"trigger": "item"},
        "xAxis": {
            "type": "value",
            "scale": True,
            "name": "step",
            "nameLocation": "middle",
            "nameGap": 26,
        },
        "yAxis": {
            "type": "log" if log_y else "value",
            "scale": True,
            "name": shorten(plain(y_name), 40),
            "nameTextStyle": {"align": "left"},
        },
        "series": series,
    }
    return Chart(option, 460, tuple(keys), by_series=True)


def _finite(value: float) -> float | None:
    """The number, or None for what JSON does not have."""
    return value if math.isfinite(value) else None


def parallel(
    dimensions: Sequence[str],
    lines_: Sequence[Sequence[object]],
    names: Sequence[str],
    keys: Sequence[str],
    color_by: int | None = None,
) -> Chart:
    """Parallel coordinates: a line for each artifact over the `dimensions`.

    A dimension whose values are not all numbers is drawn as categories. `color_by` is the index
    of a numeric dimension that colours the lines.
    """
    axes: list[dict[str, Any]] = []
    for index, name in enumerate(dimensions):
        values = [line[index] for line in lines_]
        axis: dict[str, Any] = {"dim": index, "name": shorten(plain(name), 24)}
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == len(values):
            axis |= {"type": "log" if spans_orders(numbers) else "value", "scale": True}
        else:
            axis |= {"type": "category", "data": list(dict.fromkeys(_text(v) for v in values))}
        axes.append(axis)
    data = [
        {
            "name": shorten(plain(name), 60),
            "value": [
                _text(value) if axes[i]["type"] == "category" else value
                for i, value in enumerate(line)
            ],
        }
        for name, line in zip(names, lines_, strict=True)
    ]
    option: dict[str, Any] = {
        "animation": False,
        "parallel": {"left": 70, "right": 120, "top": 50, "bottom": 30},
        "parallelAxis": axes,
        "tooltip": {"show": True},
        "series": [{"type": "parallel", "lineStyle": {"width": 2, "opacity": 0.6}, "data": data}],
    }
    if color_by is not None and axes[color_by]["type"] != "category":
        shades = [float(line[color_by]) for line in lines_]  # type: ignore[arg-type]  # a value axis
        option["visualMap"] = {
            "type": "continuous",
            "dimension": color_by,
            "min": min(shades),
            "max": max(shades),
            "right": 0,
            "top": "middle",
            "inRange": {"color": ["#1D64D8", "#8B5CF6", "#DC2F4B"]},
        }
    return Chart(option, 380, tuple(keys))


def spans_orders(values: Sequence[float]) -> bool:
    """Return True if the values are positive and span a factor of 50: a log scale then helps."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > 50


def _text(value: object) -> str:
    """A value as the name of a category."""
    return shorten(plain(value), 24)


def scatter(
    points: Sequence[tuple[float, float]],
    labels: Sequence[str],
    keys: Sequence[str],
    x_name: str,
    y_name: str,
    *,
    log_x: bool = False,
) -> Chart:
    """One dot for each artifact."""
    option = {
        "animation": False,
        "grid": {"left": 20, "right": 30, "top": 20, "bottom": 36, "containLabel": True},
        "tooltip": {"trigger": "item"},
        "xAxis": {
            "type": "log" if log_x else "value",
            "scale": True,
            "name": shorten(plain(x_name), 40),
            "nameLocation": "middle",
            "nameGap": 26,
        },
        "yAxis": {"type": "value", "scale": True, "name": shorten(plain(y_name), 40)},
        "series": [
            {
                "type": "scatter",
                "symbolSize": 11,
                "selectedMode": "single",
                "data": [
                    {"name": shorten(plain(label), 60), "value": [x, y]}
                    for label, (x, y) in zip(labels, points, strict=True)
                ],
            }
        ],
    }
    return Chart(option, 380, tuple(keys))
