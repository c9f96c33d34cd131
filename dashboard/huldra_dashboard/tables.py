"""Tables of artifacts: cell values that a browser can draw, columns, and what a click opens."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from huldra.catalog import Row, Snapshot, presentation
from huldra_dashboard import names, navigate, run_table
from huldra_dashboard.badges import shown_status, why_not_made
from huldra_dashboard.cell_values import column, is_number
from huldra_dashboard.markup import escape, plain, shorten

_CELL = 300  # characters of a value in a table


def frame(
    rows: Sequence[Row],
    snapshot: Snapshot,
    *,
    fields: Sequence[str] = (),
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    with_why: bool = False,
) -> pd.DataFrame:
    """One line for each artifact: what, status, the config `fields`, metrics, where and when.

    `metrics` maps a metric's name to its value by artifact key.
    """
    called = names.of_rows(rows, snapshot)
    columns: dict[str, Any] = {
        "artifact": [shorten(plain(called[row.key]), _CELL) for row in rows],
        "status": [[shown_status(row)] for row in rows],
    }
    if with_why:
        columns["why"] = [shorten(plain(why_not_made(row)), _CELL) for row in rows]
    columns |= {
        "updated": [row.updated_at for row in rows],
        "duration": [presentation.duration(elapsed_s(row, snapshot)) for row in rows],
    }
    for path in fields:
        columns[f"config.{path}"] = column([snapshot.config_value(row, path) for row in rows])
    for name, by_key in (metrics or {}).items():
        columns[f"metric.{name}"] = [by_key.get(row.key, math.nan) for row in rows]
    columns |= {
        "started": [row.started_at for row in rows],
        "host": [plain(row.hostname) for row in rows],
        "backend": [plain(row.backend) for row in rows],
        "job": [plain(row.job_id) for row in rows],
    }
    return pd.DataFrame(columns)


def elapsed_s(row: Row, snapshot: Snapshot) -> float | None:
    """How long the attempt took; of a running one, how long it has been at it."""
    if row.status == "running" and row.started_at is not None:
        return (snapshot.taken_at - row.started_at).total_seconds()
    return row.duration_s


def column_config(names: Iterable[str]) -> dict[str, Any]:
    """How the columns of `frame` are drawn."""
    config: dict[str, Any] = {
        "artifact": st.column_config.TextColumn("Artifact", pinned=True),
        "status": status_column(),
        "why": st.column_config.TextColumn("Why", width="medium"),
        "duration": st.column_config.TextColumn("Duration"),
        "updated": st.column_config.DatetimeColumn("Updated", format="distance"),
        "started": st.column_config.DatetimeColumn("Started", format="distance"),
        "host": st.column_config.TextColumn("Host"),
        "backend": st.column_config.TextColumn("Backend"),
        "job": st.column_config.TextColumn("Job"),
    }
    for name in names:
        kind, _, path = name.partition(".")
        if kind in ("config", "metric") and path:
            config[name] = st.column_config.Column(shorten(plain(path), 60), help=escape(name))
    return config


def status_column(label: str = "Status") -> Any:
    """A column of lists with one status each, drawn as badges."""
    return st.column_config.MultiselectColumn(
        label,
        options=list(presentation.NAMES),
        color=[presentation.style_of(name).paint for name in presentation.NAMES],
        width="small",
    )


def clickable(
    data: pd.DataFrame,
    digests: Sequence[str],
    name: str,
    *,
    config: Mapping[str, Any] | None = None,
    below: Sequence[str] = (),
    on_open: Callable[[str], None] = navigate.open_detail,
    parameter: str = navigate.DETAIL,
) -> None:
    """A table whose lines open: line i calls `on_open(digests[i])`.

    The first column is the name of each line, `below` what stands small below it. `parameter` is
    that of the URL that a line opens, for links.
    """
    labels = config if config is not None else column_config(data.columns)
    cells = [_cells(data[column], _label(labels.get(column), column)) for column in data.columns]
    names = [run_table.name_cell(text, *below[i : i + 1]) for i, text in enumerate(data.iloc[:, 0])]
    first = run_table.Column(data.columns[0], cells[0][0].label, "name", sortable=False)
    lines = [
        run_table.Line(
            digest, names[i]["name"], [names[i], *(values[i] for _, values in cells[1:])]
        )
        for i, digest in enumerate(digests)
    ]
    shown = run_table.Table(
        name, [first, *(column for column, _ in cells[1:])], lines, parameter=parameter
    )
    run_table.draw(shown, f"table-{name}", run_table.Events(on_open))


def _label(config: Any, column: str) -> tuple[str, str]:
    """The label of a column and its tooltip."""
    if isinstance(config, Mapping):
        return str(config.get("label") or column), str(config.get("help") or "")
    return str(config or column), ""


def _cells(values: pd.Series[Any], label: tuple[str, str]) -> tuple[run_table.Column, list[Any]]:
    """A column for people: statuses with their colour, times as ages, numbers to the right."""
    name, text = str(values.name), label[0]
    items: list[Any] = [None if value is pd.NaT else value for value in values]
    if any(isinstance(item, dict) for item in items):
        return run_table.Column(name, text, "cut", sortable=False), items
    if any(isinstance(item, list) for item in items):
        words = [run_table.status_cell(item[0] if item else "") for item in items]
        return run_table.Column(name, text, "status", sortable=False), words
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        moments = [item.to_pydatetime() if item is not None else None for item in items]
        aged = [{"text": presentation.age(m), "note": presentation.moment(m)} for m in moments]
        return run_table.Column(name, text, sortable=False, help=label[1]), aged
    kind: run_table.Kind = "number" if values.dtype.kind in "if" else "text"
    shown = [_shown(item) for item in items]
    return run_table.Column(name, text, kind, sortable=False, help=label[1]), shown


def _shown(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool | str) or not is_number(value):
        return run_table.text(value)
    return f"{value:,}" if isinstance(value, int) else presentation.number(value)


def artifact_table(
    rows: Sequence[Row],
    snapshot: Snapshot,
    name: str,
    *,
    columns: Sequence[str] = (),
    with_why: bool = False,
) -> None:
    """A short clickable table of artifacts, with only `columns` of `frame` when given."""
    data = frame(rows, snapshot, with_why=with_why)
    chosen = [column for column in (columns or data.columns) if column in data]
    below = [plain(row.label) for row in rows]
    clickable(data[chosen], [row.digest for row in rows], name, below=below)


def table_key(name: str, digests: Iterable[str]) -> str:
    """A widget key for a table that shows exactly these artifacts.

    A table with a constant key keeps the selected *position* when its rows change, and would
    open (or compare) another artifact than the one that was clicked.
    """
    shown = hashlib.blake2s("\n".join(digests).encode(), digest_size=8).hexdigest()
    return f"table-{name}-{shown}"
