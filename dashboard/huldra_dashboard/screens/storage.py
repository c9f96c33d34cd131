"""Storage: what takes the space, what is left over, and the commands that remove it."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from huldra.catalog import Litter, Snapshot, Usage, presentation
from huldra_dashboard import badges, names, session, source, tables
from huldra_dashboard.markup import plain

_BIGGEST = 50
_MEASURED = "_usage"
_NAMED = 20  # in one command


def show() -> None:
    """Draw the page."""
    st.title("Storage")
    view = source.view(session.query())
    badges.filter_note(view)
    if not view.rows:
        badges.no_artifacts(view)
        return
    st.markdown(
        "Sizes are found by walking the artifacts' folders, which takes a while on a slow disk. "
        "Nothing is removed here: copy the commands."
    )
    label = f"Measure {presentation.count(len(view.rows), 'artifact')}"
    if st.button(label, icon=":material/straighten:", type="primary"):
        with st.spinner("Walking the folders …"):
            st.session_state[_MEASURED] = (
                repr(view.query),
                source.catalog().usage(view.rows),
                source.catalog().litter(),
            )
    asked, *measured = st.session_state.get(_MEASURED) or ("",)
    if not measured or asked != repr(view.query):  # what was measured is not what is shown now
        badges.empty("Not measured yet", "Press the button: the filters say what is measured.")
        return
    usage, litter = measured
    _totals(usage, litter)
    _by_class(usage)
    _biggest(usage, view.snapshot)
    _unfinished(usage)
    _litter(litter)


def _totals(usage: Sequence[Usage], litter: Sequence[Litter]) -> None:
    """Three numbers."""
    with st.container(horizontal=True):
        total = sum(one.size_bytes for one in usage)
        st.metric("Artifacts", f"{len(usage):,}", border=True)
        st.metric("Size", presentation.size(total), border=True)
        st.metric("Files", f"{sum(one.files for one in usage):,}", border=True)
        st.metric(
            "Left over", presentation.size(sum(one.size_bytes for one in litter)), border=True
        )


def _by_class(usage: Sequence[Usage]) -> None:
    """The size of each class, as bars in a table."""
    st.subheader("By class")
    sizes: dict[str, int] = defaultdict(int)
    numbers: Counter[str] = Counter()
    for one in usage:
        sizes[one.row.namespace] += one.size_bytes
        numbers[one.row.namespace] += 1
    ranked = sorted(sizes, key=lambda name: -sizes[name])
    st.dataframe(
        pd.DataFrame(
            {
                "class": [plain(name) for name in ranked],
                "artifacts": [numbers[name] for name in ranked],
                "size": [presentation.size(sizes[name]) for name in ranked],
                "share": [100 * sizes[name] / (sum(sizes.values()) or 1) for name in ranked],
            }
        ),
        hide_index=True,
        column_config={
            "class": st.column_config.TextColumn("Class", width="large"),
            "artifacts": st.column_config.NumberColumn("Artifacts", format="localized"),
            "size": "Size",
            "share": st.column_config.ProgressColumn(
                "Share", min_value=0, max_value=100, format="%.0f %%"
            ),
        },
    )


def _biggest(usage: Sequence[Usage], snapshot: Snapshot) -> None:
    """The biggest artifacts; a click opens one."""
    st.subheader("Biggest")
    shown = list(usage[:_BIGGEST])
    called = names.of_rows([one.row for one in shown], snapshot)
    data = pd.DataFrame(
        {
            "artifact": [called[one.row.key] for one in shown],
            "status": [[one.row.status] for one in shown],
            "size": [presentation.size(one.size_bytes) for one in shown],
            "files": [one.files for one in shown],
            "updated": [one.row.updated_at for one in shown],
        }
    )
    config = tables.column_config(data.columns) | {
        "size": st.column_config.TextColumn("Size"),
        "files": st.column_config.NumberColumn("Files", format="localized"),
    }
    below = [plain(one.row.label) for one in shown]
    tables.clickable(data, [o.row.digest for o in shown], "big", config=config, below=below)


def _unfinished(usage: Sequence[Usage]) -> None:
    """What failed, crashed or was cancelled and still takes space, with the command."""
    # A stale one may be alive on another host: `huldra rm` is not proposed for it.
    dead = [one for one in usage if one.row.status in ("failed", "crashed", "cancelled")]
    if not dead:
        return
    st.subheader("Unfinished")
    size = presentation.size(sum(one.size_bytes for one in dead))
    number = presentation.count(len(dead), "artifact")
    st.markdown(
        f"{number} of {size} failed, crashed or were cancelled. "
        f"This removes the biggest {min(len(dead), _NAMED)}:"
    )
    st.code(remove_command(dead[:_NAMED]), language="bash", wrap_lines=True)


def remove_command(usage: Sequence[Usage]) -> str:
    """The commands, one for each store, that remove these artifacts (they ask first)."""
    by_root: dict[str, list[str]] = defaultdict(list)
    for one in usage:
        by_root[one.row.root].append(one.row.digest)
    return "\n".join(
        f"huldra rm --root {shlex.quote(root)} {' '.join(map(shlex.quote, digests))}"
        for root, digests in by_root.items()
    )


def _litter(litter: Sequence[Litter]) -> None:
    """Files and folders that no artifact needs."""
    st.subheader("Left over")
    if not litter:
        st.caption("No temporary files of crashes, no half-removed folders.")
        return
    st.dataframe(
        pd.DataFrame(
            {
                "path": [plain(one.path) for one in litter],
                "kind": [one.kind for one in litter],
                "size": [presentation.size(one.size_bytes) for one in litter],
                "age": [presentation.duration(one.age_s) for one in litter],
            }
        ),
        hide_index=True,
        column_config={"path": st.column_config.TextColumn("Path", width="large")},
    )
    st.markdown("No artifact needs what a crash left (`foreign` files are yours). This asks first:")
    lines = [f"huldra rm --litter --root {shlex.quote(root)}" for root in source.catalog().roots]
    st.code("\n".join(lines), language="bash", wrap_lines=True)


if __name__ == "__main__":
    show()
