"""Directed graphs as ECharts options: boxes in layers, painted by the status of what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from huldra_dashboard.layered import positions
from huldra_dashboard.markup import plain, shorten
from huldra_dashboard.statuses import in_order, look_of

_BOX_HEIGHT = 58
_MIN_BOX_WIDTH = 128
_CHARACTER_WIDTH = 7.4  # of the bold label, measured in Chromium at 13 px
_GAP_ALONG = 90
_GAP_ACROSS = 26
_WIDEST = 1150  # pixels that a wide page has for a chart; beyond, layers go downwards
_INK, _FAINT, _PAPER, _LINE = "#1B1E2E", "#5B6275", "#FFFFFF", "#9AA1B5"
_FOCUS_PAPER = "#EEF0FF"


@dataclass(frozen=True)
class Box:
    """One node: `title` in bold, `subtitle` under it, `counts` by status as its border."""

    key: str
    title: str
    subtitle: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    show_counts: bool = False
    focus: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Arrow:
    """From what is needed to what needs it; `label` names the field."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True)
class Chart:
    """An option object for ECharts, the height that it needs, and the keys by node index."""

    option: dict[str, Any]
    height_px: int
    keys: tuple[str, ...]


def draw(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> Chart:
    """Lay the graph out and describe it; all text goes in as plain labels, never as HTML."""
    places = positions([box.key for box in boxes], [(a.source, a.target) for a in arrows])
    widths = {box.key: _box_width(box) for box in boxes}
    coordinates, size = _pixels(places, widths)
    labelled = len(arrows) <= 40  # more labels than that hide the picture
    series = {
        "type": "graph",
        "layout": "none",
        "coordinateSystem": None,
        "roam": True,
        "scaleLimit": {"min": 0.3, "max": 3},
        "nodeScaleRatio": 1,
        "preserveAspect": True,
        "selectedMode": "single",
        "left": 90,
        "right": 90,
        "top": 50,
        "bottom": 50,
        "data": [_node(box, coordinates[box.key], widths[box.key]) for box in boxes],
        "links": [_link(arrow, labelled) for arrow in arrows],
        "edgeSymbol": ["none", "arrow"],
        "edgeSymbolSize": 9,
        "lineStyle": {"color": _LINE, "width": 1.6, "curveness": 0.08, "opacity": 0.9},
        "emphasis": {"focus": "adjacency", "lineStyle": {"width": 3}},
        "select": {"itemStyle": {"shadowBlur": 12, "shadowColor": "#4338CA"}},
        "tooltip": {"show": False},
    }
    option = {"animation": False, "series": [series]}
    return Chart(option, int(min(max(size[1] + 110, 240), 1400)), tuple(b.key for b in boxes))


def _pixels(
    places: Mapping[str, tuple[float, float]], widths: Mapping[str, int]
) -> tuple[dict[str, tuple[float, float]], tuple[float, float]]:
    """Spread layers to the right, or downwards when that would be wider than the page."""
    if not places:
        return {}, (0.0, 0.0)
    widest = max(widths.values())
    layers = max(x for x, _ in places.values()) + 1
    reach = max(y for _, y in places.values()) * 2 + 1
    along, across = widest + _GAP_ALONG, _BOX_HEIGHT + _GAP_ACROSS
    if layers * along <= _WIDEST or reach * (widest + _GAP_ACROSS) > layers * along:
        spread = {key: (x * along, y * across) for key, (x, y) in places.items()}
        return spread, ((layers - 1) * along, (reach - 1) * across + _BOX_HEIGHT)
    across, down = widest + _GAP_ACROSS, _BOX_HEIGHT + _GAP_ALONG * 0.7
    spread = {key: (y * across, x * down) for key, (x, y) in places.items()}
    return spread, ((reach - 1) * across, (layers - 1) * down + _BOX_HEIGHT)


def _box_width(box: Box) -> int:
    """Pixels that the box's longest line takes."""
    lines = [shorten(box.title, 34), shorten(box.subtitle, 40), _counts_text(box)]
    return max(_MIN_BOX_WIDTH, int(max(len(line) for line in lines) * _CHARACTER_WIDTH) + 24)


def _counts_text(box: Box) -> str:
    """The counts as words, `12 success  3 failed`."""
    if not box.show_counts:
        return ""
    return "  ".join(f"{count:,} {name}" for name, count in in_order(dict(box.counts)))


def _node(box: Box, place: tuple[float, float], width: int) -> dict[str, Any]:
    """One box as a node of ECharts."""
    return {
        "name": box.key,
        "x": place[0],
        "y": place[1],
        "symbol": "roundRect",
        "symbolSize": [width, _BOX_HEIGHT],
        "itemStyle": {
            "color": _FOCUS_PAPER if box.focus else _PAPER,
            "borderColor": _shares(box.counts),
            "borderWidth": 4 if box.focus else 2.5,
            "borderType": "dashed" if box.dashed else "solid",
        },
        "label": _label(box),
    }


def _label(box: Box) -> dict[str, Any]:
    """The text of a box, in ECharts' rich text (which knows styles, and no markup)."""
    lines = [f"{{title|{_rich(box.title, 34)}}}"]
    if box.subtitle:
        lines.append(f"{{sub|{_rich(box.subtitle, 40)}}}")
    rich: dict[str, Any] = {
        "title": {"fontWeight": "bold", "fontSize": 13, "color": _INK, "lineHeight": 18},
        "sub": {"fontSize": 11, "color": _FAINT, "lineHeight": 15},
    }
    if box.show_counts:
        parts = []
        for name, count in in_order(dict(box.counts)):
            style = f"s{len(rich)}"
            rich[style] = {"fontSize": 11, "color": look_of(name).paint, "lineHeight": 15}
            parts.append(f"{{{style}|{count:,} {_rich(name, 20)}}}")
        lines.append("  ".join(parts))
    return {"show": True, "position": "inside", "formatter": "\n".join(lines), "rich": rich}


def _rich(text: str, limit: int) -> str:
    """`text` without the characters that ECharts' templates and rich text give a meaning."""
    return shorten(plain(text), limit).translate(str.maketrans("{}|", "()/"))


def _shares(counts: Mapping[str, int]) -> str | dict[str, Any]:
    """A colour for a border; hard steps of a gradient when statuses are mixed."""
    present = in_order(dict(counts))
    total = sum(count for _, count in present)
    if not total:
        return _LINE
    if len(present) == 1:
        return look_of(present[0][0]).paint
    stops, done = [], 0
    for name, count in present:
        paint = look_of(name).paint
        stops.append({"offset": done / total, "color": paint})
        done += count
        stops.append({"offset": done / total, "color": paint})
    return {"type": "linear", "x": 0, "y": 0, "x2": 1, "y2": 0, "colorStops": stops}


def _link(arrow: Arrow, labelled: bool) -> dict[str, Any]:
    """One arrow as a link of ECharts, with the name of its field where there is room."""
    link: dict[str, Any] = {"source": arrow.source, "target": arrow.target}
    if labelled and arrow.label:
        link["label"] = {
            "show": True,
            "formatter": _rich(arrow.label, 24),
            "fontSize": 10,
            "color": _FAINT,
        }
    return link
