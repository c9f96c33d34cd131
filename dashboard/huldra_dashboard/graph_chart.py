"""Directed graphs as ECharts options: boxes in layers, with the statuses of what they hold.

Places are computed here in pixels and ECharts is kept from scaling them: it would scale a
node's symbol and not its text. So a graph can be dragged, and is not zoomed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from huldra.catalog.presentation import in_order, style_of
from huldra_dashboard.layered import Layout, Place, lay_out
from huldra_dashboard.markup import plain, shorten

_HEIGHT = 54
_HEIGHT_WITH_COUNTS = 76
_NARROWEST, _WIDEST = 120, 230
_CHARACTER = 7.0  # pixels of an average letter in bold 13 px, as Chromium draws it
_GAP_ALONG, _GAP_ACROSS = 80, 22
_PAGE = 960  # pixels that a chart has on a laptop beside the sidebar
_TALLEST = 1600
_MARGIN = 14
_MOST_LABELS = 30  # names of fields on more arrows than that hide the picture
_INK, _FAINT, _PAPER, _LINE = "#1B1E2E", "#5B6275", "#FFFFFF", "#8E96AC"
_FOCUS_PAPER = "#ECEBFF"
_CLEAR = "rgba(255,255,255,0.01)"  # there to be clicked; an opacity would fade the label too


@dataclass(frozen=True)
class Box:
    """One node: `title` in bold, `subtitle` under it, `counts` by status as its colours."""

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
class Drawing:
    """An option object for ECharts, the pixels that it needs, and the keys by node index."""

    option: dict[str, Any]
    width_px: int
    height_px: int
    keys: tuple[str, ...]


def draw(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> Drawing:
    """Lay the graph out and describe it; all text goes in as plain labels, never as HTML."""
    layout = lay_out([box.key for box in boxes], [(a.source, a.target) for a in arrows])
    grid = _Grid.of(boxes, layout)
    nodes = [_node(box, grid.at(layout.places[box.key]), grid) for box in boxes]
    points, links = _routes(arrows, layout, grid)
    corners = [_point("corner 0", (0.0, 0.0)), _point("corner 1", (grid.total[0], grid.total[1]))]
    series = {
        "type": "graph",
        "layout": "none",
        "roam": "move",
        "preserveAspect": True,
        "selectedMode": "single",
        # The corners are at the edges of this rectangle, so one unit is one pixel.
        "left": _MARGIN,
        "top": _MARGIN,
        "width": grid.total[0],
        "height": grid.total[1],
        "data": [*nodes, *points, *corners],
        "links": links,
        "edgeSymbolSize": 8,
        "lineStyle": {"color": _LINE, "width": 1.4, "opacity": 1},
        "label": {"show": False},
        "emphasis": {"disabled": True},
        "tooltip": {"show": False},
        "cursor": "pointer",
    }
    width = int(grid.total[0]) + 2 * _MARGIN
    height = min(int(grid.total[1]) + 2 * _MARGIN, _TALLEST)
    keys = tuple(box.key for box in boxes)
    return Drawing({"animation": False, "series": [series]}, width, height, keys)


@dataclass(frozen=True)
class _Grid:
    """From layers and offsets to pixels; layers go right, or down when that would be too wide."""

    box: tuple[int, int]
    step: tuple[float, float]
    downwards: bool
    total: tuple[float, float]
    middle: float

    @staticmethod
    def of(boxes: Sequence[Box], layout: Layout) -> _Grid:
        """The grid for boxes that are all as wide as the widest needs to be."""
        width = max((_text_width(box) for box in boxes), default=_NARROWEST)
        height = _HEIGHT_WITH_COUNTS if any(box.show_counts for box in boxes) else _HEIGHT
        right = layout.layers * (width + _GAP_ALONG) - _GAP_ALONG
        across_down = layout.reach * (width + _GAP_ACROSS) - _GAP_ACROSS
        downwards = right > _PAGE and across_down < right
        if downwards:
            step = (height + _GAP_ALONG * 0.7, width + _GAP_ACROSS)
            total = (max(across_down, width), layout.layers * step[0] - _GAP_ALONG * 0.7)
        else:
            step = (width + _GAP_ALONG, height + _GAP_ACROSS)
            total = (max(right, width), max(layout.reach * step[1] - _GAP_ACROSS, height))
        middle = total[0] / 2 if downwards else total[1] / 2
        return _Grid((width, height), step, downwards, total, middle)

    def at(self, place: Place) -> Place:
        """The pixel of a node's centre, or of a bend."""
        across = self.middle + place[1] * self.step[1]
        if self.downwards:
            return across, place[0] * self.step[0] + self.box[1] / 2
        return place[0] * self.step[0] + self.box[0] / 2, across

    def edge(self, center: Place, side: int) -> Place:
        """The middle of the side where arrows leave (`side` 1) or end (-1)."""
        if self.downwards:
            return center[0], center[1] + side * self.box[1] / 2
        return center[0] + side * self.box[0] / 2, center[1]


def _text_width(box: Box) -> int:
    """Pixels that the box's longest line takes."""
    counts = "  ".join(text for _, text in _counts(box))
    lines = [shorten(box.title, 30), shorten(box.subtitle, 36), counts]
    needed = int(max(len(line) for line in lines) * _CHARACTER) + 26
    return min(max(_NARROWEST, needed), _WIDEST)


def _node(box: Box, center: Place, grid: _Grid) -> dict[str, Any]:
    """One box: the symbol takes the clicks, the label is what one sees."""
    return {
        "name": box.key,
        "x": center[0],
        "y": center[1],
        "symbol": "rect",
        "symbolSize": list(grid.box),
        "itemStyle": {"color": _CLEAR},
        "select": {"itemStyle": {"color": _CLEAR, "borderWidth": 0}, "label": {"show": True}},
        "label": _label(box, grid.box),
    }


def _label(box: Box, size: tuple[int, int]) -> dict[str, Any]:
    """The face of a box, in ECharts' rich text (which knows styles, and no markup)."""
    rich: dict[str, Any] = {
        "title": {"fontWeight": "bold", "fontSize": 13, "color": _INK, "lineHeight": 18},
        "sub": {"fontSize": 11, "color": _FAINT, "lineHeight": 15},
    }
    lines = [f"{{title|{_rich(box.title, 30)}}}"]
    if box.subtitle:
        lines.append(f"{{sub|{_rich(box.subtitle, 36)}}}")
    if box.show_counts and any(box.counts.values()):
        lines.append(_bar(box, size[0] - 28, rich))
        lines.append(_counts_line(box, rich))
    statuses = in_order(dict(box.counts))
    one = style_of(statuses[0][0]).paint if len(statuses) == 1 and not box.show_counts else _LINE
    return {
        "show": True,
        "position": "inside",
        "formatter": "\n".join(lines),
        "rich": rich,
        "align": "center",
        "verticalAlign": "middle",
        "width": size[0] - 8,
        "height": size[1] - 8,
        "padding": 4,
        "backgroundColor": _FOCUS_PAPER if box.focus else _PAPER,
        "borderColor": one,
        "borderWidth": 2.5 if box.focus else 1.6,
        "borderType": "dashed" if box.dashed else "solid",
        "borderRadius": 6,
    }


def _bar(box: Box, width: int, rich: dict[str, Any]) -> str:
    """A line of coloured stretches, as long as each status's share."""
    statuses = in_order(dict(box.counts))
    total = sum(number for _, number in statuses)
    parts = []
    for name, number in statuses:
        style = f"b{len(rich)}"
        rich[style] = {
            "backgroundColor": style_of(name).paint,
            "width": max(2, width * number / total),
            "height": 5,
            "lineHeight": 11,
            "fontSize": 5,
        }
        parts.append(f"{{{style}| }}")
    return "".join(parts)


def _counts(box: Box) -> list[tuple[str, str]]:
    """The most telling counts: what is made, then the most frequent; the rest as a sum."""
    if not box.show_counts:
        return []
    ranked = sorted(
        in_order(dict(box.counts)), key=lambda pair: (pair[0] != "success", -pair[1], pair[0])
    )
    parts = [(name, f"{number:,} {name}") for name, number in ranked[:2]]
    rest = sum(number for _, number in ranked[2:])
    return [*parts, ("", f"+{rest:,}")] if rest else parts


def _counts_line(box: Box, rich: dict[str, Any]) -> str:
    """The counts as coloured words."""
    parts = []
    for name, text in _counts(box):
        style = f"c{len(rich)}"
        color = style_of(name).paint if name else _FAINT
        rich[style] = {"fontSize": 11, "color": color, "lineHeight": 15}
        parts.append(f"{{{style}|{_rich(text, 30)}}}")
    return "  ".join(parts)


def _rich(text: str, limit: int) -> str:
    """`text` without the characters that ECharts' templates and rich text give a meaning."""
    return shorten(plain(text), limit).translate(str.maketrans("{}|", "()/"))


def _routes(
    arrows: Sequence[Arrow], layout: Layout, grid: _Grid
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Invisible points where arrows begin, bend and end, and the links between them."""
    points: list[dict[str, Any]] = []
    links: list[dict[str, Any]] = []
    for number, arrow in enumerate(arrows):
        bends = layout.routes.get((arrow.source, arrow.target))
        if bends is None:
            continue
        ends = [
            grid.edge(grid.at(layout.places[arrow.source]), 1),
            grid.edge(grid.at(layout.places[arrow.target]), -1),
        ]
        passes = [grid.edge(grid.at(bend), side) for bend in bends for side in (-1, 1)]
        stops = [ends[0], *passes, ends[1]]
        names = [f"arrow {number} {index}" for index in range(len(stops))]
        points += [_point(name, stop) for name, stop in zip(names, stops, strict=True)]
        links += _links(names, arrow.label if len(arrows) <= _MOST_LABELS else "")
    return points, links


def _links(names: Sequence[str], label: str) -> list[dict[str, Any]]:
    """The pieces of one arrow: its head on the last, its label on the first."""
    links: list[dict[str, Any]] = [
        {"source": one, "target": two, "symbol": ["none", "none"]} for one, two in pairwise(names)
    ]
    links[-1]["symbol"] = ["none", "arrow"]
    if label:
        links[0]["label"] = {
            "show": True,
            "formatter": _rich(label, 20),
            "fontSize": 10,
            "color": _LINE,
        }
    return links


def _point(name: str, at: Place) -> dict[str, Any]:
    """A place that nothing is drawn at."""
    return {
        "name": name,
        "x": at[0],
        "y": at[1],
        "symbolSize": 0.01,
        "itemStyle": {"opacity": 0},
        "label": {"show": False},
    }
