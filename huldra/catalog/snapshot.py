"""A store at one moment: every question that needs no disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from huldra.catalog.query import Query
from huldra.catalog.records import (
    ClassGraph,
    FailureGroup,
    Neighbourhood,
    Page,
    Relationships,
    Row,
    Stats,
)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All artifacts as they were at `taken_at`; never changes.

    `took_s` is what the scan cost, `read` how many artifacts were read anew for it.
    `generation` grows by one each time something differs: use it (not the rows) as a cache key.
    `rows` are in the order of roots, then namespace and hash.
    """

    rows: tuple[Row, ...]
    taken_at: datetime
    took_s: float
    read: int
    generation: int

    def query(self, query: Query = Query()) -> Page:  # noqa: B008  frozen
        """The page of rows that `query` asks for.

        Raises:
            HuldraQueryError: the query has a value that is not allowed.
        """
        raise NotImplementedError

    def matching(self, query: Query) -> tuple[Row, ...]:
        """All rows that match, sorted, whatever `offset` and `limit` say."""
        raise NotImplementedError

    def get(self, key: str, root: str | None = None) -> Row | None:
        """The row of `<namespace>/<hash>`; of several roots the first that has it."""
        raise NotImplementedError

    def by_hash(self, prefix: str) -> tuple[Row, ...]:
        """Rows whose hash starts with `prefix`, at most 100."""
        raise NotImplementedError

    def relationships(self, row: Row) -> Relationships:
        """What `row` was made from and what was made from it (within its root)."""
        raise NotImplementedError

    def stats(self, rows: Iterable[Row] | None = None) -> Stats:
        """Totals over `rows`, by default all."""
        raise NotImplementedError

    def class_graph(self, rows: Iterable[Row] | None = None) -> ClassGraph:
        """Classes and their uses of each other; nodes and edges sorted by name."""
        raise NotImplementedError

    def neighbourhood(
        self,
        row: Row,
        *,
        up: int = 2,
        down: int = 2,
        max_nodes: int = 150,
        fold_over: int = 12,
    ) -> Neighbourhood:
        """What is at most `up` steps upstream and `down` steps downstream of `row`.

        More than `fold_over` siblings of one class at one distance are folded into one node
        (those that are not made successfully are kept first). At most `max_nodes` nodes.
        """
        raise NotImplementedError

    def blocked_by(self, row: Row) -> tuple[Row, ...]:
        """The artifacts upstream, at any distance, that are not made: nearest first."""
        raise NotImplementedError

    def failures(self, rows: Iterable[Row] | None = None) -> tuple[FailureGroup, ...]:
        """Failed (and crashed) artifacts grouped by error type and place, biggest first.

        Artifacts that failed because a dependency did are grouped as `HuldraDependencyError`
        at the failed key's class.
        """
        raise NotImplementedError

    def config_fields(self, rows: Sequence[Row], *, depth: int = 2) -> tuple[str, ...]:
        """Dotted config paths that occur in `rows` (nested artifacts entered up to `depth`)."""
        raise NotImplementedError

    def varying_fields(self, rows: Sequence[Row], *, depth: int = 2) -> tuple[str, ...]:
        """Those `config_fields` whose values differ between `rows`, or are missing in some."""
        raise NotImplementedError

    def config_value(self, row: Row, path: str) -> object:
        """The config value at a dotted path, into nested artifacts too; None when missing."""
        raise NotImplementedError
