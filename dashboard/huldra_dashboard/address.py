"""The view in the address: what a page shows beside the filters, as parameters of the URL.

A reload and a copied link show the same, and each change is one step of the browser's Back. The
URL alone decides; a page that is come back to by the navigation, which empties the URL, gets its
parameters again from the session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

SORT = "sort"
COLUMNS = "cols"
PAGE = "page"
VIEW = "view"
TAB = "tab"
METRIC = "metric"
BASELINE = "base"
MODE = "mode"
KEYS = (SORT, COLUMNS, PAGE, VIEW, METRIC, BASELINE, MODE)
_BEFORE, _SAVED = "_address_page", "_address"


def get(name: str, default: str = "") -> str:
    """A parameter of the URL."""
    return str(st.query_params.get(name) or default)


def put(name: str, value: str, default: str = "") -> None:
    """Set a parameter, or remove it where the value is the default; a callback may call it."""
    if value and value != default:
        st.query_params[name] = value
    elif name in st.query_params:
        del st.query_params[name]
    page = st.session_state.get(_BEFORE)
    if page is not None:
        _saved()[page] = present()


def present() -> dict[str, str]:
    """The parameters of the view that the URL has."""
    return {name: get(name) for name in KEYS if name in st.query_params}


def arrive(page: str) -> None:
    """Called once a run: bring back what a page showed when it was left by the navigation."""
    before = st.session_state.get(_BEFORE)
    st.session_state[_BEFORE] = page
    if before not in (None, page) and not present():
        for name, value in _saved().get(page, {}).items():
            st.query_params[name] = value
    _saved()[page] = present()


def _saved() -> dict[str, Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = st.session_state.setdefault(_SAVED, {})
    return found


def follow(key: str, name: str, default: str = "") -> None:
    """Give a widget the value that the URL has; called before the widget is drawn."""
    st.session_state[key] = get(name, default)


def written(key: str, name: str, default: str = "") -> None:
    """Write a widget's value into the URL; the widget's callback."""
    put(name, str(st.session_state.get(key) or ""), default)


def choice(key: str, name: str, options: Sequence[str]) -> str:
    """A row of choices that stands in the URL; the first one is the default and does not."""
    if get(name) not in options:
        put(name, "")
    follow(key, name, options[0])
    chosen = st.segmented_control(
        "View",
        options,
        required=True,
        key=key,
        on_change=written,
        args=(key, name, options[0]),
        label_visibility="collapsed",
    )
    return str(chosen or options[0])
