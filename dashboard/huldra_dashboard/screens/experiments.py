"""Experiments: the list of artifacts, with the config fields that vary as columns."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from huldra.catalog import Row, Snapshot
from huldra_dashboard import badges, navigate, refresh, session, source, tables
from huldra_dashboard.markup import plain

_PER_PAGE = 50
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
_PAGE = "list_page"


def show() -> None:
    """Draw the page."""
    st.title("Experiments")
    refresh.live(_body)


def _body() -> None:
    """The toolbar, a page of the table, and what to do with the ticked lines."""
    sort = _toolbar_sort()
    view = source.view(replace(session.query(), sort=sort), session.frozen())
    badges.filter_note(view)
    if not view.rows:
        badges.no_artifacts(view)
        return
    rows = _one_page(view.rows)
    fields, metrics = _columns(rows, view.snapshot)
    _table(rows, view.snapshot, fields, metrics)
    _ticked()


def _toolbar_sort() -> str:
    """The order of the whole list (a column's header sorts the shown page only)."""
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    with right:
        st.caption(
            "Click a cell to open its artifact. Tick 2 to 8 lines to compare them.",
            width="stretch",
        )
    with left:
        label = st.selectbox(
            "Sort by",
            list(_SORTS),
            key="list_sort",
            persist_state="session",
            label_visibility="collapsed",
        )
    return _SORTS.get(label or "", "-updated_at")


def _one_page(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The rows of the chosen page; back to the first when the filters changed."""
    pages = max(1, -(-len(rows) // _PER_PAGE))
    asked = replace(session.query(), offset=0)
    if st.session_state.get("_list_query") != asked:
        st.session_state["_list_query"] = asked
        st.session_state[_PAGE] = 1
    number = min(st.session_state.get(_PAGE) or 1, pages)
    if pages > 1:
        number = st.pagination(pages, key=_PAGE, persist_state="session")
    return rows[(number - 1) * _PER_PAGE : number * _PER_PAGE]


def _columns(
    rows: tuple[Row, ...], snapshot: Snapshot
) -> tuple[list[str], dict[str, dict[str, float]]]:
    """Config fields and metrics to show: those that vary, unless others were chosen."""
    varying = list(snapshot.varying_fields(rows))
    with st.popover("Columns", icon=":material/view_column:"):
        known = list(snapshot.config_fields(rows))
        fields = st.multiselect(
            "Config fields",
            known,
            key="list_fields",
            persist_state="session",
            placeholder="those that vary on this page",
        )
        with_metrics = st.toggle("Metrics", key="list_metrics", persist_state="session")
    shown = [path for path in (fields or varying) if path in known]
    return shown[: tables.MAX_CONFIG_COLUMNS], _metrics(rows) if with_metrics else {}


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
    key = tables.table_key("list", digests)

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
    """What can be done with the ticked lines."""
    digests = session.chosen()
    if not digests:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{len(digests)}** ticked; the list is held still meanwhile.", width="content"
        )
        fits = 2 <= len(digests) <= navigate.MAX_COMPARED
        st.button(
            "Compare",
            type="primary",
            icon=":material/compare_arrows:",
            disabled=not fits,
            help="Two to eight artifacts." if not fits else None,
            on_click=navigate.open_compare,
            args=(digests,),
        )
        st.button("Untick", on_click=session.release)


if __name__ == "__main__":
    show()
