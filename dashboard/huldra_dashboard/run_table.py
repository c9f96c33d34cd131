"""The table of artifacts: a component of our own, since Streamlit's sorts only what it was sent.

A real HTML table: a click on a header asks the server for another order, a click on a line opens
it, ticks survive paging, and tests and screen readers can read it. The script beside it takes
all values as text, and loads nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from huldra.catalog.presentation import in_order, style_of
from huldra_dashboard import navigate
from huldra_dashboard.markup import plain, shorten

_ASSETS = Path(__file__).with_name("assets")
_TEXT = 300  # characters of a cell
Kind = Literal["name", "status", "number", "text", "cut"]


@dataclass(frozen=True)
class Column:
    """A column: `id` is what a click on its header asks to sort by, where it is `sortable`.

    `note` stands small behind the label, `help` is the tooltip.
    """

    id: str
    label: str
    kind: Kind = "text"
    note: str = ""
    sort: Literal["asc", "desc", ""] = ""
    sortable: bool = True
    help: str = ""


@dataclass(frozen=True)
class Line:
    """A line: `row` is what is opened or ticked, `cells` are in the order of the columns."""

    row: str
    label: str
    cells: Sequence[Any]


@dataclass(frozen=True)
class Events:
    """What is called when the user does something; each is a callback."""

    on_open: Callable[[str], None]
    on_sort: Callable[[str], None] | None = None
    on_tick: Callable[[list[str], bool], None] | None = None


@dataclass(frozen=True)
class Table:
    """What is shown; `total` counts the lines of all pages."""

    caption: str
    columns: Sequence[Column]
    lines: Sequence[Line]
    total: int = 0
    chosen: Sequence[str] = field(default_factory=tuple)
    parameter: str = navigate.DETAIL


@functools.cache
def _component() -> Any:
    """The component, registered once a process: its files are read then."""
    return st.components.v2.component(
        "huldra_run_table",
        html='<div id="root">\n</div>',
        css=(_ASSETS / "run_table.css").read_text(encoding="utf-8"),
        js=(_ASSETS / "run_table.js").read_text(encoding="utf-8"),
    )


def draw(table: Table, key: str, events: Events) -> None:
    """Show the table; what the user does calls one of `events` before the script runs again."""
    known = {line.row for line in table.lines}

    def happened() -> None:
        event = st.session_state[key].get("event") or {}
        rows = [row for row in event.get("rows") or [] if row in known]
        if event.get("kind") == "open" and event.get("row") in known:
            events.on_open(str(event["row"]))
        elif event.get("kind") == "sort" and events.on_sort is not None:
            allowed = {column.id for column in table.columns if column.sortable}
            if event.get("column") in allowed:
                events.on_sort(str(event["column"]))
        elif event.get("kind") == "tick" and events.on_tick is not None and rows:
            events.on_tick(rows, bool(event.get("on")))

    _component()(
        key=key,
        data=data_of(table, ticks=events.on_tick is not None, sorts=events.on_sort is not None),
        on_event_change=happened,
    )


def data_of(table: Table, *, ticks: bool, sorts: bool) -> dict[str, Any]:
    """The table as the component takes it."""
    columns = [asdict(column) for column in table.columns]
    for column in columns:
        column["sortable"] = column["sortable"] and sorts
        column["label"] = shorten(plain(column["label"]), 60)
    return {
        "caption": table.caption,
        "columns": columns,
        "rows": [
            {"id": line.row, "label": plain(line.label), "cells": list(line.cells)}
            for line in table.lines
        ],
        "total": table.total or len(table.lines),
        "chosen": list(table.chosen),
        "ticks": ticks,
        "parameter": table.parameter,
    }


def name_cell(name: str, below: str = "") -> dict[str, str]:
    """A name, and what stands small below it."""
    return {"name": text(name), "sub": text(below)}


def status_cell(word: str, note: str = "") -> dict[str, str]:
    """A status with its colour; `note` is its tooltip."""
    look = style_of(word)
    return {"word": plain(word or "absent"), "color": look.paint, "note": text(note)}


def cut_cell(counts: Mapping[str, int]) -> dict[str, Any]:
    """One bar cut by status."""
    parts = in_order(dict(counts))
    return {
        "label": ", ".join(f"{count:,} {plain(name)}" for name, count in parts),
        "parts": [{"color": style_of(name).paint, "count": count} for name, count in parts],
    }


def text(value: object) -> str:
    """One line of text that fits a cell."""
    return shorten(plain(value), _TEXT)
