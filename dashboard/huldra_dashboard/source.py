"""Which stores the dashboard shows, and the one catalog over them in this process."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from huldra.catalog import Catalog, Query, Row, Snapshot, measured
from huldra.errors import HuldraQueryError


@dataclass(frozen=True)
class Options:
    """What the command line of the pages said: absolute roots, and sweeps to import."""

    roots: tuple[str, ...]
    sweeps: tuple[str, ...]


def options(argv: Sequence[str] | None = None) -> Options:
    """Read `--root DIR` and `--sweep module:Class` (both may repeat); the rest is not ours.

    Without `--root` the store is that of `HULDRA_PATH`, or of huldra's settings.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--root", action="append", default=[])
    parser.add_argument("--sweep", action="append", default=[])
    known, _ = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    roots = known.root or [_default_root()]
    return Options(tuple(os.path.abspath(root) for root in roots), tuple(known.sweep))


def _default_root() -> str:
    """The store of `HULDRA_PATH`, read now; else the one that huldra itself would use."""
    named = os.environ.get("HULDRA_PATH")
    if named:
        return named
    from huldra.settings import HULDRA_CONFIG

    return str(HULDRA_CONFIG.root)


@functools.lru_cache(maxsize=8)
def catalog_of(roots: tuple[str, ...]) -> Catalog:
    """The catalog of these roots, shared by all sessions (and by the JSON API)."""
    return Catalog(roots)


def catalog() -> Catalog:
    """The catalog of the stores that this process was started for."""
    return catalog_of(options().roots)


@dataclass(frozen=True)
class View:
    """A snapshot with the filters applied; `problem` is why the filters could not be."""

    snapshot: Snapshot
    query: Query
    rows: tuple[Row, ...]
    problem: str = ""

    @property
    def is_filtered(self) -> bool:
        """True if the filters leave anything out."""
        return len(self.rows) < len(self.snapshot.rows) or bool(self.problem)


def view(query: Query, snapshot: Snapshot | None = None) -> View:
    """The store now (or as in `snapshot`) through `query`; a bad query shows everything."""
    snapshot = snapshot or catalog().snapshot()
    try:
        return View(snapshot, query, measured.matching(catalog(), snapshot, query))
    except HuldraQueryError as error:
        return View(snapshot, Query(), snapshot.rows, str(error))
