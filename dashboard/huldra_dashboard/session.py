"""What one browser session has chosen."""

from __future__ import annotations

import streamlit as st

from huldra.catalog import Query, Snapshot

_CHOSEN = "_chosen"
_FROZEN = "_frozen"
_RELEASED = "_released"


def query() -> Query:
    """The sidebar's filters, as of the last run of the whole script."""
    found = st.session_state.get("query")
    return found if isinstance(found, Query) else Query()


def chosen() -> list[str]:
    """The hashes that are ticked in the list."""
    return list(st.session_state.get(_CHOSEN, []))


def choose(digests: list[str], snapshot: Snapshot) -> None:
    """Tick these; the list then stays as it is in `snapshot`, so that no line moves."""
    st.session_state[_CHOSEN] = digests
    if not digests:
        st.session_state.pop(_FROZEN, None)
    else:
        st.session_state.setdefault(_FROZEN, snapshot)


def frozen() -> Snapshot | None:
    """The snapshot that the list is held at while something is ticked."""
    found = st.session_state.get(_FROZEN)
    return found if isinstance(found, Snapshot) else None


def releases() -> int:
    """How often all was unticked: part of the table's key, as a new table has no ticks."""
    return int(st.session_state.get(_RELEASED, 0))


def release() -> None:
    """Untick all; a callback."""
    st.session_state[_RELEASED] = releases() + 1
    st.session_state.pop(_CHOSEN, None)
    st.session_state.pop(_FROZEN, None)
