"""A writer of artifacts, and a catalog over what it wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from huldra.catalog import Catalog, Row
from tests.dashboard.store import StoreWriter

Look = Callable[[], dict[str, Row]]


@pytest.fixture
def writer(tmp_path: Path) -> StoreWriter:
    """Writes artifacts below `tmp_path / "store"`."""
    root = tmp_path / "store"
    root.mkdir()
    return StoreWriter(root)


@pytest.fixture
def catalog(writer: StoreWriter) -> Catalog:
    """A catalog over the writer's store, with a lease of 100 s."""
    return Catalog([writer.root], lease_s=100)


@pytest.fixture
def look(catalog: Catalog) -> Look:
    """Scans now, and gives the rows by key."""
    return lambda: {row.key: row for row in catalog.snapshot(max_age_s=0).rows}
