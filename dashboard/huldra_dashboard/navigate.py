"""Moving between pages and views, so that Back, Forward and links lead where they should.

The detail of an artifact (`?h=`) and a comparison (`?c=`) are views over whatever page one is
on: opening one sets a parameter, which is one step in the browser's history. A separate page for
them took two steps back and lost the filters.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import streamlit as st

from huldra_dashboard import address, filters

SCREENS = Path(__file__).parent / "screens"
DETAIL = "h"
COMPARE = "c"
RUN = "run"
CLASS = "class"
_GO = "_go"
_DRAWN = "_drawn"
MAX_COMPARED = 8
# name → (title, icon)
PAGES = {
    "overview": ("Overview", "space_dashboard"),
    "experiments": ("Experiments", "table_rows"),
    "compare": ("Compare", "compare_arrows"),
    "graph": ("Graph", "account_tree"),
    "sweeps": ("Sweeps", "grain"),
    "failures": ("Failures", "error"),
    "storage": ("Storage", "hard_drive"),
}


def page(name: str) -> Any:
    """The page of this name as Streamlit knows it."""
    title, icon = PAGES[name]
    return st.Page(
        SCREENS / f"{name}.py",
        title=title,
        icon=f":material/{icon}:",
        url_path=name,
        default=name == "overview",
    )


def open_detail(digest: str) -> None:
    """Show one artifact, over the present page; a callback."""
    _leave_views()
    st.query_params[DETAIL] = digest


def open_compare(digests: Iterable[str]) -> None:
    """Compare these artifacts, over the present page; a callback."""
    _leave_views()
    st.query_params[COMPARE] = ",".join(list(dict.fromkeys(digests))[:MAX_COMPARED])


def open_class(namespace: str) -> None:
    """Show the artifacts of a class below the class graph; a callback."""
    st.query_params[CLASS] = namespace


def close_view() -> None:
    """Back to the page below the view; a callback."""
    _leave_views()


def show_filtered(**values: Any) -> None:
    """Go to the list with only these filters set; a callback."""
    _leave_views()
    filters.clear()
    st.session_state[_GO] = ("experiments", values)


def go_to(name: str) -> None:
    """Go to a page with the filters as they are; a callback."""
    _leave_views()
    present = filters.present()
    filters.clear()
    st.session_state[_GO] = (name, present)


def begin() -> None:
    """Note what this run draws; called before any part that refreshes by itself."""
    st.session_state[_DRAWN] = _target()


def follow(current: Any) -> None:
    """Go where a callback asked for; called when the (then empty) filters are drawn.

    Streamlit refuses to change the page while the URL has a parameter that is bound to a widget:
    so the filters are emptied, drawn, and set again by `filters.carry_over` on the new page. The
    price: a jump that sets filters is two steps for the browser's Back.
    """
    go = st.session_state.pop(_GO, None)
    if go is None:
        return
    name, values = go
    filters.bring(values)
    if page(name).url_path == current.url_path:
        st.rerun()
    st.switch_page(page(name))


def is_leaving() -> bool:
    """Return True if a callback asked for another view, which needs a full script run."""
    return st.session_state.get(_DRAWN) != _target()


def _target() -> tuple[object, ...]:
    """Where a callback wants to go, and the view that the URL asks for."""
    return (str(st.session_state.get(_GO)), *_view())


def _view() -> tuple[str | None, ...]:
    """The view that the URL asks for."""
    return tuple(st.query_params.get(name) for name in (DETAIL, COMPARE, RUN, CLASS))


def _leave_views() -> None:
    for name in (DETAIL, COMPARE, address.TAB, address.BASELINE):
        if name in st.query_params:
            del st.query_params[name]
