"""Tables of artifacts: cell values that a browser can draw, columns, and what a click opens."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from huldra.catalog import Row, Snapshot, presentation
from huldra_dashboard import navigate
from huldra_dashboard.badges import shown_status, why_not_made
from huldra_dashboard.markup import escape, plain, shorten

MAX_CONFIG_COLUMNS = 8
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
    columns: dict[str, Any] = {
        "artifact": [shorten(plain(row.label), _CELL) for row in rows],
        "status": [[shown_status(row)] for row in rows],
    }
    if with_why:
        columns["why"] = [shorten(plain(why_not_made(row)), _CELL) for row in rows]
    columns |= {
        "updated": [row.updated_at for row in rows],
        "duration": [presentation.duration(_elapsed_s(row, snapshot)) for row in rows],
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


def _elapsed_s(row: Row, snapshot: Snapshot) -> float | None:
    """How long the attempt took; of a running one, how long it has been at it."""
    if row.status == "running" and row.started_at is not None:
        return (snapshot.taken_at - row.started_at).total_seconds()
    return row.duration_s


def telling_fields(rows: Sequence[Row], snapshot: Snapshot) -> list[str]:
    """The config fields worth a column: those that vary and that most of `rows` have."""
    coverage = {}
    for path in snapshot.varying_fields(rows):
        texts = [cell(v) for row in rows if (v := snapshot.config_value(row, path)) is not None]
        if len(set(texts)) > 1:
            coverage[path] = len(texts)
    ranked = sorted(coverage, key=lambda path: (-coverage[path], path.count("."), path))
    return ranked[:MAX_CONFIG_COLUMNS]


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


def column(values: Sequence[object]) -> list[Any]:
    """Values of one type for a column: numbers and booleans as such, all else as short text."""
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, bool) for value in present):
        return [None if value is None else bool(value) for value in values]
    if present and all(is_number(value) for value in present):
        return [math.nan if value is None else value for value in values]
    return [None if value is None else cell(value) for value in values]


def is_number(value: object) -> bool:
    """Return True if a table's column of numbers can hold it (no integer beyond 64 bits)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < 2**53


def cell(value: object) -> str:
    """One value as short text; a nested artifact as class and hash."""
    if isinstance(value, str):
        return shorten(plain(value), _CELL)
    if isinstance(value, Mapping) and set(value) == {"$ref"}:
        return reference_label(str(value["$ref"]))
    return shorten(plain(json.dumps(_jsonable(value), ensure_ascii=False, default=str)), _CELL)


def _jsonable(value: object) -> object:
    """The value with nested artifacts as their labels."""
    if isinstance(value, Mapping):
        if set(value) == {"$ref"}:
            return reference_label(str(value["$ref"]))
        return {str(name): _jsonable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return value


def reference_label(key: str) -> str:
    """`Dataset 1a2b3c4d` for `my_project.data/Dataset/1a2b3c4d…`."""
    namespace, _, digest = key.rpartition("/")
    return plain(f"{namespace.rpartition('/')[2]} {digest[:8]}")


def clickable(
    data: pd.DataFrame,
    digests: Sequence[str],
    name: str,
    *,
    config: Mapping[str, Any] | None = None,
    height: int | str = "auto",
    on_open: Callable[[str], None] = navigate.open_detail,
) -> None:
    """A table whose lines open: a click on a cell of line i calls `on_open(digests[i])`."""
    key = table_key(name, digests)

    def opened() -> None:
        for index, _ in st.session_state[key]["selection"]["cells"]:
            if 0 <= index < len(digests):
                on_open(digests[index])

    st.dataframe(
        data,
        key=key,
        on_select=opened,
        selection_mode="single-cell",
        hide_index=True,
        column_config=dict(config) if config is not None else column_config(data.columns),
        height=height,  # type: ignore[arg-type]  # "auto", "content" or pixels
        placeholder="",
    )


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
    clickable(data[chosen], [row.digest for row in rows], name)


def table_key(name: str, digests: Iterable[str]) -> str:
    """A widget key for a table that shows exactly these artifacts.

    A table with a constant key keeps the selected *position* when its rows change, and would
    open (or compare) another artifact than the one that was clicked.
    """
    shown = hashlib.blake2s("\n".join(digests).encode(), digest_size=8).hexdigest()
    return f"table-{name}-{shown}"


def cell_or_number(value: object) -> object:
    """A number as it is, anything else as short text."""
    return value if is_number(value) else "" if value is None else cell(value)
