"""Tab Relationships: what this was made from, what was made from it, and a picture of both."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from huldra.catalog import Relation, Row, Snapshot
from huldra_dashboard import cell_values, graphs, tables

_MOST_BLOCKERS = 50


def show(row: Row, snapshot: Snapshot) -> None:
    """Draw the tab."""
    related = snapshot.relationships(row)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader(f"Made from ({len(related.dependencies)})")
        _relations(related.dependencies, "up", "It needs no other artifact.")
    with right:
        st.subheader(f"Used by ({len(related.dependents)})")
        _relations(related.dependents, "down", "No artifact in this store was made from it.")
    _blockers(row, snapshot)
    if related.dependencies or related.dependents:
        st.subheader("Neighbourhood")
        graphs.neighbourhood(row, snapshot, key="tab")


def _blockers(row: Row, snapshot: Snapshot) -> None:
    """What has to be made before this one can be, however far upstream."""
    if row.status == "success":
        return
    blockers = snapshot.blocked_by(row)
    if blockers:
        st.subheader(f"Blocked by ({len(blockers)})")
        columns = ("artifact", "status", "updated", "why")
        tables.artifact_table(
            blockers[:_MOST_BLOCKERS], snapshot, "blockers", columns=columns, with_why=True
        )


def _relations(relations: tuple[Relation, ...], name: str, none: str) -> None:
    """One direction as a clickable table."""
    if not relations:
        st.caption(none)
        return
    data = pd.DataFrame(
        {
            "artifact": [cell_values.reference_label(relation.key) for relation in relations],
            "status": [[r.row.status] if r.row else [] for r in relations],
            "field": [cell_values.cell(relation.field) for relation in relations],
        }
    )
    config = tables.column_config(data.columns) | {
        "field": st.column_config.TextColumn("Field"),
    }
    digests = [relation.key.rpartition("/")[2] for relation in relations]
    tables.clickable(data, digests, name, config=config)
