"""Read-only queries over stores, for the command line and the dashboard.

    catalog = Catalog([root])
    snapshot = catalog.snapshot()              # a scan, incremental
    page = snapshot.query(Query(result_status=("failed",), config="lr<1e-3"))
    catalog.detail(page.rows[0]).attempts

What needs no disk is asked of the `Snapshot`, what does of the `Catalog`.
"""

from __future__ import annotations

from huldra.catalog.filters import parse_filter
from huldra.catalog.query import SORT_KEYS, Query
from huldra.catalog.records import (
    ATTEMPT_STATUSES,
    RESULT_STATUSES,
    AttemptRow,
    ClassEdge,
    ClassGraph,
    ClassNode,
    Dependency,
    Detail,
    Extent,
    FailureGroup,
    FileEntry,
    Litter,
    Metrics,
    NearEdge,
    Neighbour,
    Neighbourhood,
    Page,
    Relation,
    Relationships,
    Row,
    Stats,
    Sweep,
    SweepMember,
    Usage,
)
from huldra.catalog.scan import LOGS, Catalog
from huldra.catalog.snapshot import Snapshot

__all__ = [
    "ATTEMPT_STATUSES",
    "LOGS",
    "RESULT_STATUSES",
    "SORT_KEYS",
    "AttemptRow",
    "Catalog",
    "ClassEdge",
    "ClassGraph",
    "ClassNode",
    "Dependency",
    "Detail",
    "Extent",
    "FailureGroup",
    "FileEntry",
    "Litter",
    "Metrics",
    "NearEdge",
    "Neighbour",
    "Neighbourhood",
    "Page",
    "Query",
    "Relation",
    "Relationships",
    "Row",
    "Snapshot",
    "Stats",
    "Sweep",
    "SweepMember",
    "Usage",
    "parse_filter",
]
