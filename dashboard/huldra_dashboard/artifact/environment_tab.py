"""Tab Environment: code, machine and command of the last attempt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from huldra.catalog import Row, Snapshot, presentation
from huldra.provenance.command import recorded_command, without_secrets
from huldra_dashboard import badges, cell_values, source
from huldra_dashboard.markup import escape, terminal_text

_GIT = {
    "git_commit": "commit",
    "git_branch": "branch",
    "git_remote": "remote",
    "git_dirty": "uncommitted changes",
    "git_submodules": "submodules",
    "git_untracked": "untracked files",
    "git_error": "error",
}
_MACHINE = {
    "timestamp": "recorded",
    "hostname": "host",
    "user": "user",
    "pid": "process",
    "platform": "platform",
    "python_version": "Python",
    "executable": "interpreter",
    "cwd": "working directory",
}


def show(row: Row, snapshot: Snapshot) -> None:  # noqa: ARG001  all tabs are called alike
    """Draw the tab."""
    detail = source.catalog().detail(row)
    for problem in detail.problems:
        st.warning(escape(problem, 400))
    if detail.metadata is None:
        badges.empty("Nothing is recorded", "`metadata.json` is missing or cannot be read.")
        return
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Code")
        _table(_GIT, detail.metadata)
    with right:
        st.subheader("Machine")
        _table(_MACHINE, detail.metadata)
    command = detail.metadata.get("command")
    if command:
        st.subheader("Command")
        st.code(recorded_command(str(command)), language=None, wrap_lines=True)
    _packages(detail.metadata.get("packages"))
    _patch(row, detail.git_patch_size)


def _table(names: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
    """The recorded ones of `names`, one a line."""
    known = {
        label: without_secrets(cell_values.cell(metadata[name]))
        for name, label in names.items()
        if metadata.get(name) not in (None, "", [], {})
    }
    if not known:
        st.caption("Nothing is recorded.")
        return
    st.dataframe(
        pd.DataFrame({"what": list(known), "value": list(known.values())}),
        hide_index=True,
        height="content",
        column_config={
            "what": st.column_config.TextColumn("", width="small"),
            "value": st.column_config.TextColumn("", width="large"),
        },
    )


def _packages(packages: Any) -> None:
    """Versions of packages, where they were recorded."""
    if isinstance(packages, Mapping) and packages:
        with st.expander(f"{presentation.count(len(packages), 'package')}"):
            st.code(
                "\n".join(f"{name}=={version}" for name, version in sorted(packages.items())),
                language=None,
                height=400,
            )


def _patch(row: Row, size_bytes: int) -> None:
    """The uncommitted changes, which may hold private text: only on demand."""
    if not size_bytes:
        return
    if st.toggle(f"Show the uncommitted changes ({presentation.size(size_bytes)})", key="patch"):
        patch = source.catalog().git_patch(row, max_bytes=200_000)
        st.code(terminal_text(patch), language=None, height=500)
        if size_bytes > 200_000:
            st.caption("The first 200 kB.")
