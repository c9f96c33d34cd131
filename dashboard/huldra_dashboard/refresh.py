"""Parts of a page that look at the store again by themselves."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from huldra_dashboard import navigate

# A page that redraws more often than this scrolls open menus back under the user's hand.
CHOICES_S = {"off": None, "5 s": 5.0, "15 s": 15.0, "60 s": 60.0}
LOG_EVERY_S = 1.0
_KEY = "refresh"


def control() -> None:
    """The choice of how often, in the sidebar."""
    st.segmented_control(
        "Refresh",
        list(CHOICES_S),
        default="15 s",
        required=True,
        key=_KEY,
        persist_state="session",
        help="Counters, tables and logs are read again; filters and selections stay.",
    )


def interval_s() -> float | None:
    """The chosen interval; None is off."""
    return CHOICES_S.get(st.session_state.get(_KEY) or "off")


def live(body: Callable[[], None], every_s: float | None = None) -> None:
    """Draw `body` now and at the chosen interval (or `every_s`), without the rest of the page."""

    def part() -> None:
        if navigate.is_leaving():
            st.rerun()
        body()

    # The function's own name keeps the fragment's identity over reruns.
    part.__qualname__ = f"live.{body.__module__}.{body.__qualname__}"
    st.fragment(part, run_every=every_s if every_s is not None else interval_s())()
