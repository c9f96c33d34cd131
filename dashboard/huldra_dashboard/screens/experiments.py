"""Experiments: the list of artifacts, with fields and metrics as columns, in any order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import streamlit as st

from huldra.catalog import Row, Snapshot, presentation
from huldra.catalog.metrics import names_of, value_of
from huldra_dashboard import (
    address,
    badges,
    cell_values,
    explore,
    export,
    names,
    navigate,
    refresh,
    run_table,
    session,
    source,
    tables,
)
from huldra_dashboard.markup import plain
from huldra_dashboard.run_table import Column, Line

_PER_PAGE = 50
_LOOKED_AT = 2000  # matching rows that the offered columns are taken from
_MOST_METRICS = 4  # that are columns by themselves
_SORT = "-updated_at"
_VIEWS = ("Table", "Explore", "Curves")
_FALLING_FIRST = ("updated_at", "started_at", "duration_s")


def show() -> None:
    """Draw the page."""
    st.title("Experiments")
    refresh.live(_body)


def _body() -> None:
    """The toolbar, and the matching artifacts in the chosen view."""
    note = st.container()
    toolbar = st.container(horizontal=True, vertical_alignment="center")
    sort = address.get(address.SORT, _SORT)
    view = source.view(replace(session.query(), sort=sort))
    with note:
        badges.filter_note(view)
    if not view.rows:
        badges.no_artifacts(view)
        return
    with toolbar:
        shown = address.choice("list_view", address.VIEW, _VIEWS)
        ids = _chosen_columns(view.rows, view.snapshot)
        _downloads(view.rows, view.snapshot)
        rows = _one_page(view.rows) if shown == "Table" else view.rows
    if shown == "Table":
        _ticked()
        _table(rows, view, ids or _telling_columns(rows, view.snapshot), sort)
    else:
        called = names.of_rows(view.rows, view.snapshot)
        draw = explore.show if shown == "Explore" else explore.curves
        draw(view.rows, called, view.snapshot)


# -------------------------------------------------------------------- pages and columns


def _one_page(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The rows of the chosen page; other filters begin at the first one again."""
    asked = repr(session.query())
    if st.session_state.get("_list_query", asked) != asked:
        address.put(address.PAGE, "")
    st.session_state["_list_query"] = asked
    pages = max(1, -(-len(rows) // _PER_PAGE))
    text = address.get(address.PAGE, "1")
    number = min(int(text), pages) if text.isdecimal() and int(text[:9]) else 1
    first = (number - 1) * _PER_PAGE
    if pages > 1:
        key = f"list_page-{number}"  # another page by its address is another widget
        st.pagination(
            pages,
            default=number,
            key=key,
            on_change=address.written,
            args=(key, address.PAGE, "1"),
        )
        st.caption(f"{first + 1:,}–{min(first + _PER_PAGE, len(rows)):,} of {len(rows):,}")
    return rows[first : first + _PER_PAGE]


def _chosen_columns(rows: tuple[Row, ...], snapshot: Snapshot) -> list[str]:
    """The columns that the user chose, of those that any matching artifact has."""
    chosen = [one for one in address.get(address.COLUMNS).split(",") if _is_column(one)]
    with st.popover("Columns", icon=":material/view_column:", width="content"):
        looked = rows[:_LOOKED_AT]
        catalog = source.catalog()
        metrics = names_of(catalog.metrics_summary(row) for row in looked)
        offered = [f"metrics.{name}" for name in metrics]
        offered += [f"metrics.{name}:{end}" for name in metrics for end in ("min", "max")]
        offered += [f"config.{path}" for path in snapshot.config_fields(looked)]
        st.session_state["list_columns"] = chosen
        st.multiselect(
            "Columns",
            list(dict.fromkeys([*chosen, *offered])),
            key="list_columns",
            format_func=plain,
            placeholder="fields that vary, and the first metrics",
            on_change=_columns_chosen,
            help="Config fields and metrics of all artifacts that match. They stay in the address.",
        )
        if len(rows) > _LOOKED_AT:
            st.caption(f"Those of the first {_LOOKED_AT:,} artifacts are offered.")
    return chosen


def _columns_chosen() -> None:
    """Write the columns into the URL; a callback."""
    address.put(address.COLUMNS, ",".join(st.session_state["list_columns"]))


def _is_column(name: str) -> bool:
    return name.partition(".")[0] in ("config", "metrics") and bool(name.partition(".")[2])


def _telling_columns(rows: Sequence[Row], snapshot: Snapshot) -> list[str]:
    """The fields that vary on the page, and the metrics that most of its artifacts have."""
    catalog = source.catalog()
    metrics = names_of(catalog.metrics_summary(row) for row in rows)[:_MOST_METRICS]
    fields = cell_values.telling_fields(rows, snapshot)
    return [f"metrics.{name}" for name in metrics] + [f"config.{path}" for path in fields]


# -------------------------------------------------------------------- the table


def _table(rows: Sequence[Row], view: source.View, ids: Sequence[str], sort: str) -> None:
    """The table: a header sorts all matching artifacts, a tick chooses, a line opens."""
    snapshot = view.snapshot
    by = sort.removeprefix("-")
    if by.startswith("metrics.") and by not in ids:
        ids = [by, *ids]
    values = {column: _column(column, rows, snapshot, best=sort) for column in ids}
    called = names.of_rows(rows, snapshot)
    columns = [
        Column("namespace", "Artifact", "name"),
        Column("status", "Status", "status"),
        *(_heading(one, values[one][0]) for one in ids),
        Column("duration_s", "Duration", "number"),
        Column("updated_at", "Updated"),
        Column("hostname", "Host"),
        Column("backend", "Backend"),
    ]
    columns = [replace(one, sort=_arrow(one.id, sort)) for one in columns]
    lines = [
        Line(
            row.digest,
            row.label,
            [
                run_table.name_cell(called[row.key], names.below(row)),
                run_table.status_cell(badges.shown_status(row), badges.why_not_made(row)),
                *(values[one][1][index] for one in ids),
                presentation.duration(tables.elapsed_s(row, snapshot)),
                {
                    "text": presentation.age(row.updated_at, snapshot.taken_at),
                    "note": presentation.moment(row.updated_at),
                },
                plain(row.hostname),
                plain(row.backend),
            ],
        )
        for index, row in enumerate(rows)
    ]
    run_table.draw(
        run_table.Table("Experiments", columns, lines, len(view.rows), session.chosen()),
        "run-table",
        run_table.Events(navigate.open_detail, _sort_by, session.tick),
    )


def _heading(name: str, kind: Literal["number", "text"]) -> Column:
    what, _, path = name.partition(".")
    return Column(name, path, kind, note="metric" if what == "metrics" else "")


def _arrow(name: str, sort: str) -> Literal["asc", "desc", ""]:
    if sort.removeprefix("-") != name:
        return ""
    return "desc" if sort.startswith("-") else "asc"


def _sort_by(name: str) -> None:
    """Sort all matching artifacts by a column; again, the other way; a callback."""
    sort = address.get(address.SORT, _SORT)
    first = f"-{name}" if name in _FALLING_FIRST else name
    other = name if first.startswith("-") else f"-{name}"
    address.put(address.SORT, other if sort == first else first, _SORT)
    address.put(address.PAGE, "")


def _column(
    name: str, rows: Sequence[Row], snapshot: Snapshot, *, best: str
) -> tuple[Literal["number", "text"], list[Any]]:
    """The cells of a field or a metric; the first value of the metric sorted by is the best."""
    what, _, path = name.partition(".")
    read: Callable[[Row], object]
    if what == "metrics":
        catalog = source.catalog()
        read = lambda row: value_of(catalog.metrics_summary(row), path)  # noqa: E731
    else:
        read = lambda row: snapshot.config_value(row, path)  # noqa: E731
    values = [read(row) for row in rows]
    numbers = [float(v) for v in values if cell_values.is_number(v) and math.isfinite(v)]  # type: ignore[arg-type]  # a number
    is_numeric = len(numbers) == sum(value is not None for value in values) > 0
    if what == "metrics":
        low, high = min(numbers, default=0.0), max(numbers, default=0.0)
        cells = [_metric_cell(value, low, high) for value in values]
        if best.removeprefix("-") == name and not address.get(address.PAGE) and values:
            cells[0] = {**cells[0], "best": values[0] is not None}
        return "number", cells
    return ("number" if is_numeric else "text"), [_field_cell(value) for value in values]


def _metric_cell(value: object, low: float, high: float) -> dict[str, Any]:
    """A number with a bar that says where it lies among those of the page."""
    if not isinstance(value, int | float):
        return {"text": ""}
    cell: dict[str, Any] = {"text": presentation.number(value), "note": repr(value)}
    if math.isfinite(value) and high > low:
        cell["bar"] = (value - low) / (high - low)
    return cell


def _field_cell(value: object) -> str:
    if isinstance(value, float):
        return presentation.number(value)
    return "" if value is None else cell_values.cell(value)


# -------------------------------------------------------------------- what to do with them


def _downloads(rows: tuple[Row, ...], snapshot: Snapshot) -> None:
    """All matching artifacts as a file."""

    def made(write: Callable[[list[dict[str, Any]]], bytes]) -> Callable[[], bytes]:
        return lambda: write(
            export.records(rows, names.of_rows(rows, snapshot), source.catalog(), snapshot)
        )

    with st.popover("Download", icon=":material/download:", width="content"):
        st.caption(f"All {presentation.count(len(rows), 'artifact')} that match, all their columns")
        for label, write, mime in (
            ("CSV", export.as_csv, "text/csv"),
            ("JSON", export.as_json, "application/json"),
        ):
            st.download_button(
                label,
                made(write),
                file_name=f"experiments.{label.lower()}",
                mime=mime,
                on_click="ignore",
            )


def _ticked() -> None:
    """What can be done with the ticked lines."""
    digests = session.chosen()
    if not digests:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(digests)} ticked**", width="content")
        fits = 2 <= len(digests) <= navigate.MAX_COMPARED
        st.button(
            "Compare",
            type="primary",
            icon=":material/compare_arrows:",
            disabled=not fits,
            help=None if fits else "Two to eight artifacts",
            on_click=navigate.open_compare,
            args=(digests,),
        )
        st.button("Untick", on_click=session.release)


if __name__ == "__main__":
    show()
