"""The filters in the sidebar, each bound to a parameter of the URL; together they are a `Query`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from huldra.catalog import ATTEMPT_STATUSES, RESULT_STATUSES, Query, Snapshot

# The keys are the names in the URL, and so part of links that people keep.
_CHOICES = ("attempt", "result", "ns", "backend", "host", "user", "root")
_TEXTS = ("text", "where", "failure")
_TIMES = ("started_after", "started_before", "updated_after", "updated_before")
KEYS = _CHOICES + _TEXTS + _TIMES
_PAGE, _BROUGHT = "_page", "_brought"
_MORE = ("result", "backend", "host", "user", "root", "failure", *_TIMES)


def sidebar(snapshot: Snapshot, roots: tuple[str, ...]) -> Query:
    """Draw the filters and return what they ask for.

    They are drawn on every page: a bound parameter leaves the URL when its widget is not there.
    """
    stats = snapshot.stats()
    _search()
    st.pills(
        "Status",
        ATTEMPT_STATUSES,
        selection_mode="multi",
        key="attempt",
        bind="query-params",
        help="The state of the last attempt, judged now: *stale* is running with a dead owner.",
    )
    _choice("Class or module", "ns", _prefixes(stats.by_namespace), "any, or type a prefix")
    st.text_input(
        "Config",
        key="where",
        bind="query-params",
        placeholder="lr<1e-3 and data.name=toy",
        help="Dotted fields: `= != < <= > >= ~ in`, joined by `and`, `or`, brackets.",
    )
    active = sum(1 for key in _MORE if st.session_state.get(key))
    with st.expander(f"More filters ({active})" if active else "More filters"):
        _more(stats.by_backend, stats.by_hostname, stats.by_user, roots)
    if any(st.session_state.get(key) for key in KEYS):
        st.button("Clear filters", icon=":material/filter_alt_off:", on_click=clear)
    return query_of(st.session_state)


def _search() -> None:
    """The search over everything that is text."""
    st.text_input(
        "Search",
        key="text",
        bind="query-params",
        icon=":material/search:",
        placeholder="class, hash, host, job, error",
        label_visibility="collapsed",
    )


def _more(
    backends: Mapping[str, int],
    hosts: Mapping[str, int],
    users: Mapping[str, int],
    roots: tuple[str, ...],
) -> None:
    """The filters that are needed less often."""
    st.pills("Result", RESULT_STATUSES, selection_mode="multi", key="result", bind="query-params")
    _choice("Backend", "backend", sorted(backends), "any")
    _choice("Host", "host", sorted(hosts), "any")
    _choice("User", "user", sorted(users), "any")
    _choice("Store", "root", list(roots), "all")
    for key in _TIMES:
        label = key.replace("_", " ").capitalize()
        st.datetime_input(f"{label} (UTC)", value=None, key=key, bind="query-params")
    st.text_input("Failure group", key="failure", bind="query-params")


def _choice(label: str, key: str, options: list[str], placeholder: str) -> None:
    """A choice of several; values that do not occur (yet) may be typed or come by URL."""
    st.multiselect(
        label,
        options,
        key=key,
        bind="query-params",
        placeholder=placeholder,
        accept_new_options=True,
    )


def _prefixes(namespaces: Mapping[str, Any]) -> list[str]:
    """All modules and classes, modules before what is in them."""
    modules = {namespace.rpartition("/")[0] for namespace in namespaces}
    return sorted(modules | set(namespaces))


def query_of(state: Mapping[str, Any] | Any) -> Query:
    """The query that the widgets' values (or the like) describe."""
    return Query(
        attempt_status=tuple(state.get("attempt") or ()),
        result_status=tuple(state.get("result") or ()),
        namespace=tuple(state.get("ns") or ()),
        backend=tuple(state.get("backend") or ()),
        hostname=tuple(state.get("host") or ()),
        user=tuple(state.get("user") or ()),
        root=tuple(state.get("root") or ()),
        text=(state.get("text") or "").strip(),
        config=(state.get("where") or "").strip(),
        failure_group=(state.get("failure") or "").strip(),
        started_after=_utc(state.get("started_after")),
        started_before=_utc(state.get("started_before")),
        updated_after=_utc(state.get("updated_after")),
        updated_before=_utc(state.get("updated_before")),
    )


def _utc(value: datetime | None) -> datetime | None:
    """The widget's time, which has no zone, as the UTC time that its label says."""
    return value.replace(tzinfo=UTC) if value else None


def carry_over(page: str) -> None:
    """Keep the filters when the page changes; called once a run, before the widgets are drawn.

    A click in the navigation keeps the widgets' values and empties the URL. Setting a value,
    be it the same, writes it there again.
    """
    before = st.session_state.get(_PAGE)
    st.session_state[_PAGE] = page
    brought = st.session_state.pop(_BROUGHT, None)
    if brought is not None:
        set_only(**brought)
    elif before not in (None, page) and not any(key in st.query_params for key in KEYS):
        set_only(**present())


def bring(values: Mapping[str, Any]) -> None:
    """Set only these filters in the next run, on whatever page that is."""
    st.session_state[_BROUGHT] = dict(values)


def present() -> dict[str, Any]:
    """The filters that are set, by key."""
    return {key: st.session_state[key] for key in KEYS if st.session_state.get(key)}


def clear() -> None:
    """Empty all filters; to be used as a callback, before the widgets are drawn."""
    for key in KEYS:
        st.session_state[key] = [] if key in _CHOICES else "" if key in _TEXTS else None


def set_only(**values: Any) -> None:
    """Clear all filters but these; a callback."""
    clear()
    for key, value in values.items():
        st.session_state[key] = value
