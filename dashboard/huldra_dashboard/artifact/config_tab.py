"""Tab Config: the fields, as source, as a table and as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from huldra.catalog import Row, Snapshot
from huldra_dashboard import badges, cell_values, navigate, source
from huldra_dashboard.markup import escape

_MANY_KEYS = 200  # beyond, a browser takes seconds to draw an open tree
_MANY_LINES = 2000


def show(row: Row, snapshot: Snapshot) -> None:
    """Draw the tab."""
    detail = source.catalog().detail(row)
    if row.config is None:
        badges.empty(
            "The config is not recorded",
            "`metadata.json` is missing or cannot be read. The next attempt writes it again.",
        )
        return
    if detail.python_def:
        st.code(detail.python_def, language="python", wrap_lines=True)
    _dependencies(row, snapshot)
    lines = list(flatten(row.config))
    if not lines:
        st.caption("This class has no fields.")
        return
    st.dataframe(
        pd.DataFrame(
            {
                "field": [path for path, _ in lines[:_MANY_LINES]],
                "value": [cell_values.cell(value) for _, value in lines[:_MANY_LINES]],
                "type": [type_name(value) for _, value in lines[:_MANY_LINES]],
            }
        ),
        hide_index=True,
        height="content" if len(lines) < 40 else 600,
    )
    with st.expander("As JSON"):
        st.json(dict(row.config), expanded=len(lines) <= _MANY_KEYS and 2)


def _dependencies(row: Row, snapshot: Snapshot) -> None:
    """One chip for each artifact that stands in the fields."""
    if not row.dependencies:
        return
    with st.container(horizontal=True):
        for index, dependency in enumerate(row.dependencies[:30]):
            other = snapshot.get(dependency.key, row.root)
            st.button(
                escape(f"{dependency.field}: {cell_values.reference_label(dependency.key)}", 60),
                icon=":material/link:",
                key=f"dependency-{index}",
                disabled=other is None,
                help=escape(other.status if other else "not in this store"),
                on_click=navigate.open_detail,
                args=(dependency.digest,),
            )


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, object]]:
    """The leaves of a config with their dotted paths; a nested artifact is a leaf."""
    if isinstance(value, Mapping) and value and set(value) != {"$ref"}:
        for name, item in value.items():
            yield from flatten(item, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def type_name(value: object) -> str:
    """The type as people call it."""
    if isinstance(value, Mapping):
        return "artifact" if set(value) == {"$ref"} else "dict"
    return "null" if value is None else type(value).__name__
