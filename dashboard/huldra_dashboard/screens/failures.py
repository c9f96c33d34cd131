"""Failures: what failed alike stands together, the largest group first."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from huldra.catalog import FailureGroup, Snapshot, presentation
from huldra_dashboard import (
    badges,
    causes,
    cell_values,
    navigate,
    refresh,
    session,
    source,
    tables,
)
from huldra_dashboard.markup import escape, plain, terminal_text

_MOST_GROUPS = 50
_SHOWN = 10


def show() -> None:
    """Draw the page."""
    st.title("Failures")
    refresh.live(_body)


def _body() -> None:
    """The groups."""
    view = source.view(session.query())
    badges.filter_note(view)
    if not view.rows:
        badges.no_artifacts(view)
        return
    groups = view.snapshot.failures(view.rows)
    if not groups:
        badges.empty(
            "No failures",
            "No artifact that matches the filters failed or crashed. What is *stale* (its owner "
            "is dead, and no call has noticed since) is on the overview.",
        )
        return
    roots = causes.dependents_by_root(groups, view.snapshot)
    shown = [group for group in groups if not _is_told_by_its_cause(group, groups, view.snapshot)]
    total = sum(group.count for group in shown)
    st.caption(
        f"{presentation.count(total, 'artifact')} in {presentation.count(len(shown), 'group')}: "
        "the same type of error at the same place. What failed because of them is counted there."
    )
    for group in shown[:_MOST_GROUPS]:
        _group(group, view.snapshot, sum(len(roots.get(row.key, ())) for row in group.rows))
    if len(shown) > _MOST_GROUPS:
        st.caption(f"{len(shown) - _MOST_GROUPS:,} smaller groups are not shown.")


def _is_told_by_its_cause(
    group: FailureGroup, groups: Sequence[FailureGroup], snapshot: Snapshot
) -> bool:
    """Return True if all of the group failed because of artifacts that stand in other groups."""
    if not causes.is_consequence(group):
        return False
    failed = {row.key for one in groups for row in one.rows if not row.failed_key}
    found = [causes.root_of(row, snapshot) for row in group.rows]
    return all(root is not None and root.key in failed for root in found)


def _group(group: FailureGroup, snapshot: Snapshot, dependents: int) -> None:
    """One group: what, where, since when, who, what they share, and its newest traceback."""
    with st.container(border=True):
        left, right = st.columns([5, 1], vertical_alignment="center")
        with left:
            name = group.error_type.rpartition(".")[2] or "unknown error"
            place = f" in {escape(group.place, 120)}" if group.place else ""
            st.markdown(f"**{group.count:,} × :red[{escape(name, 80)}]**{place}")
            st.markdown(escape(group.sample_message, 300) or "(no message)")
            st.caption(_facts(group))
            shared = causes.shared_fields(group.rows, snapshot)
            if shared:
                pairs = (
                    f"**{escape(path, 60)} = {escape(cell_values.cell(value), 60)}**"
                    for path, value in shared
                )
                st.markdown(f"All of them, and nothing that is complete: {', '.join(pairs)}")
            if dependents:
                st.caption(f"{presentation.count(dependents, 'artifact')} failed because of them")
        with right:
            st.button(
                "Show in list",
                key=f"failures-{group.group_id}",
                icon=":material/arrow_forward:",
                on_click=navigate.show_filtered,
                kwargs={"failure": group.group_id},
            )
        if st.toggle("Traceback and artifacts", key=f"open-{group.group_id}"):
            _opened(group, snapshot)


def _facts(group: FailureGroup) -> str:
    """First and last seen, hosts, classes."""
    hosts = sorted({row.hostname for row in group.rows if row.hostname})
    classes = sorted({row.class_name for row in group.rows})
    parts = [
        f"first {presentation.age(group.first_seen)}",
        f"last {presentation.age(group.last_seen)}",
        f"on {_some(hosts)}" if hosts else "",
        f"in {_some(classes)}",
    ]
    return " · ".join(part for part in parts if part)


def _some(names: list[str]) -> str:
    """The first three names and how many more."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(escape(name, 40) for name in names[:3]) + more


def _opened(group: FailureGroup, snapshot: Snapshot) -> None:
    """The newest traceback, and the artifacts."""
    newest = group.rows[0]
    errors = [a.error for a in source.catalog().detail(newest).attempts if a.error]
    if errors:
        trace = terminal_text(str(errors[-1].get("traceback") or errors[-1].get("message") or ""))
        st.caption(f"The newest, {escape(plain(newest.label))}")
        trace = causes.without_our_frames(trace)
        st.code(trace[-8000:], language=None, wrap_lines=True)
    tables.artifact_table(group.rows[:_SHOWN], snapshot, f"group-{group.group_id}")


if __name__ == "__main__":
    show()
