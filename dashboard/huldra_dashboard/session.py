"""What one browser session has chosen."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from huldra.catalog import Query

_CHOSEN = "_chosen"


def query() -> Query:
    """The sidebar's filters, as of the last run of the whole script."""
    found = st.session_state.get("query")
    return found if isinstance(found, Query) else Query()


def chosen() -> list[str]:
    """The hashes that are ticked, on whatever page of the list, in the order of the ticks."""
    return list(st.session_state.get(_CHOSEN, []))


def tick(digests: Iterable[str], on: bool) -> None:
    """Tick these, or untick them; a callback."""
    these = list(digests)
    kept = [digest for digest in chosen() if on or digest not in these]
    st.session_state[_CHOSEN] = list(dict.fromkeys([*kept, *(these if on else ())]))


def release() -> None:
    """Untick all; a callback."""
    st.session_state.pop(_CHOSEN, None)
