"""The script that Streamlit runs for each session: sidebar, then a page or a view over it."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

from huldra.catalog import Snapshot, presentation
from huldra_dashboard import address, filters, navigate, refresh, source
from huldra_dashboard.artifact import view as artifact_view
from huldra_dashboard.comparison import view as comparison_view
from huldra_dashboard.markup import escape

_NEEDED = (1, 67)
_ICON = Path(__file__).with_name("assets") / "icon.png"


def main() -> None:
    """Draw the whole screen for the present URL and widget states."""
    st.set_page_config(page_title="huldra", page_icon=str(_ICON), layout="wide")
    _refuse_old_streamlit()
    current = st.navigation([navigate.page(name) for name in navigate.PAGES])
    filters.carry_over(current.url_path)
    address.arrive(current.url_path)
    navigate.begin()
    options = source.options()
    snapshot = _first_snapshot(options.roots)
    with st.sidebar:
        query = filters.sidebar(snapshot, options.roots)
        st.divider()
        refresh.control()
        refresh.live(_store_line)
    st.session_state["query"] = query
    navigate.follow(current)
    digest = st.query_params.get(navigate.DETAIL)
    compared = st.query_params.get(navigate.COMPARE)
    if digest:
        artifact_view.show(digest)
    elif compared and current.url_path != "compare":
        comparison_view.show(compared.split(","))
    else:
        current.run()


def _refuse_old_streamlit() -> None:
    """Stop with a clear message on a Streamlit that lacks what the pages use."""
    found = tuple(int(part) for part in st.__version__.split(".")[:2] if part.isdigit())
    if found < _NEEDED:
        wanted = ".".join(str(part) for part in _NEEDED)
        st.error(f"The dashboard needs Streamlit {wanted} or newer; {st.__version__} is installed.")
        st.code(f"{sys.executable} -m pip install 'streamlit>={wanted}'", language=None)
        st.stop()


def _first_snapshot(roots: tuple[str, ...]) -> Snapshot:
    """The store; with a progress bar while a large one is read for the first time."""
    place = st.empty()

    def progress(done: int, total: int) -> None:
        if total > 2000:
            place.progress(done / total, f"Reading the store: {done:,} of {total:,} artifacts")

    snapshot = source.catalog_of(roots).snapshot(on_progress=progress)
    place.empty()
    return snapshot


def _store_line() -> None:
    """Which store this is and how old the picture is."""
    catalog = source.catalog()
    snapshot = catalog.snapshot()
    for root in catalog.roots:
        st.caption(f":material/folder_open: {escape(root)}")
    st.caption(
        f"{presentation.count(len(snapshot.rows), 'artifact')} · read at "
        f"{snapshot.taken_at:%H:%M:%S} UTC in {presentation.duration(snapshot.took_s)}"
    )


main()
