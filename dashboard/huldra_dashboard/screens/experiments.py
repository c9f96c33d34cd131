"""Experiments: the list of artifacts, with the config fields that vary as columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from huldra.catalog import Row, Snapshot
from huldra_dashboard import badges, navigate, refresh, session, source, tables
from huldra_dashboard.markup import plain

_PER_PAGE = 50
_LOOKED_AT = 500  # rows that the offered columns are taken from
_SORTS = {
    "Last updated": "-updated_at",
    "Oldest update": "updated_at",
    "Last started": "-started_at",
    "Longest": "-duration_s",
    "Shortest": "duration_s",
    "Class": "namespace",
    "Status": "status",
    "Host": "hostname",
}


@dataclass(frozen=True)
class _Columns:
    """Which columns the table has beside the fixed ones."""

    fields: tuple[str, ...]
    metrics: bool


def show() -> None:
    """Draw the page."""
    st.title("Experiments")
    refresh.live(_body)


def _body() -> None:
    """The toolbar, a page of the table, and what to do with the ticked lines."""
    note = st.container()
    toolbar = st.container(horizontal=True, vertical_alignment="center")
    with toolbar:
        sort = _sort()
    view = source.view(replace(session.query(), sort=sort), session.frozen())
    with note:
        badges.filter_note(view)
    if not view.rows:
        badges.no_artifacts(view)
        return
    with toolbar:
        shown = _columns(view.rows, view.snapshot)
        rows = _one_page(view.rows)
    fields = list(shown.fields) or tables.telling_fields(rows, view.snapshot)
    _ticked()
    _table(rows, view.snapshot, fields, _metrics(rows) if shown.metrics else {})


def _sort() -> str:
    """The order of the whole list (a column's header sorts the shown page only)."""
    label = st.selectbox(
        "Sort by",
        list(_SORTS),
        key="list_sort",
        persist_state="session",
        label_visibility="collapsed",
        width=190,
    )
    return _SORTS.get(label or "", "-updated_at")


def _one_page(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The rows of the chosen page; other filters begin at the first one again."""
    pages = max(1, -(-len(rows) // _PER_PAGE))
    number = 1
    if pages > 1:
        key = tables.table_key("pages", [repr(session.query())])
        number = min(st.pagination(pages, key=key, persist_state="session"), pages)
    return rows[(number - 1) * _PER_PAGE : number * _PER_PAGE]


def _columns(rows: tuple[Row, ...], snapshot: Snapshot) -> _Columns:
    """What the user wants to see; no field means those that vary on the page."""
    with st.popover("Columns", icon=":material/view_column:", width="content"):
        fields = st.multiselect(
            "Config fields",
            snapshot.config_fields(rows[:_LOOKED_AT]),
            key="list_fields",
            persist_state="session",
            placeholder="those that vary on the page",
        )
        metrics = st.toggle("Metrics", key="list_metrics", persist_state="session")
    return _Columns(tuple(fields), bool(metrics))


def _metrics(rows: tuple[Row, ...]) -> dict[str, dict[str, float]]:
    """The last number of each metric by artifact, for at most eight metrics."""
    catalog = source.catalog()
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        for name, value in catalog.metrics(row).values.items():
            found.setdefault(plain(name), {})[row.key] = value
    common = sorted(found, key=lambda name: (-len(found[name]), name))
    return {name: found[name] for name in common[: tables.MAX_CONFIG_COLUMNS]}


def _table(
    rows: tuple[Row, ...],
    snapshot: Snapshot,
    fields: list[str],
    metrics: dict[str, dict[str, float]],
) -> None:
    """The table: a tick selects a line, a click on a cell opens the artifact."""
    data = tables.frame(rows, snapshot, fields=fields, metrics=metrics)
    digests = [row.digest for row in rows]
    key = tables.table_key(f"list-{session.releases()}", digests)

    def selected() -> None:
        selection = st.session_state[key]["selection"]
        for index, _ in selection["cells"]:
            if 0 <= index < len(digests):
                navigate.open_detail(digests[index])
                return
        session.choose([digests[i] for i in selection["rows"] if 0 <= i < len(digests)], snapshot)

    st.dataframe(
        data,
        key=key,
        on_select=selected,
        selection_mode=["multi-row", "single-cell"],
        hide_index=True,
        column_config=tables.column_config(data.columns),
        height="content",
        placeholder="",
    )


def _ticked() -> None:
    """What can be done with the table, or with its ticked lines."""
    digests = session.chosen()
    with st.container(horizontal=True, vertical_alignment="center", height=42, border=False):
        if not digests:
            st.caption(
                "Click a cell to open its artifact; tick two to eight lines to compare them."
            )
            return
        st.markdown(f"**{len(digests)} ticked**; the list is held still meanwhile", width="content")
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
