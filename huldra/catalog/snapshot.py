"""A store at one moment: every question that needs no disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from huldra.catalog import failures as failing
from huldra.catalog import relations
from huldra.catalog.columns import Columns
from huldra.catalog.config_fields import differing, paths_of
from huldra.catalog.filters import MISSING_FIELD, parse_filter, parse_path, value_at
from huldra.catalog.query import (
    CONFIG_SORT,
    NamesOf,
    Query,
    check_window,
    order_key,
    sort_value,
    tests_of,
)
from huldra.catalog.records import (
    ClassGraph,
    FailureGroup,
    Neighbourhood,
    Page,
    Relation,
    Relationships,
    Row,
    Stats,
)

_EVERYTHING = Query()
_MAX_BY_HASH = 100
_MAX_KEPT = 20  # orders and filters that are remembered


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All artifacts as they were at `taken_at`; never changes.

    `took_s` is what the scan cost, `read` how many artifacts were read again for it.
    `generation` grows by one each time something differs: use it (not the rows) as a cache key.
    `rows` are in the order of roots, then namespace and hash. `problems` name the folders that
    could not be listed, whose artifacts are missing here.
    """

    rows: tuple[Row, ...]
    taken_at: datetime
    took_s: float
    read: int
    generation: int
    problems: tuple[str, ...] = ()
    before: Columns | None = field(default=None, repr=False)  # of the snapshot before
    names_of: NamesOf = field(default=dict, repr=False)

    def seen_again(
        self, taken_at: datetime, took_s: float, read: int, problems: tuple[str, ...] = ()
    ) -> Snapshot:
        """The same rows, found unchanged later; keeps what was worked out from them."""
        later = replace(self, taken_at=taken_at, took_s=took_s, read=read, problems=problems)
        for name, value in self.__dict__.items():
            later.__dict__.setdefault(name, value)
        return later

    # ---------------------------------------------------------------- lists

    def query(self, query: Query = _EVERYTHING) -> Page:
        """The page of rows that `query` asks for.

        Raises:
            HuldraQueryError: the query has a value that is not allowed.
        """
        check_window(query)
        rows = self.matching(query)
        page = rows[query.offset : query.offset + query.limit]
        return Page(page, len(rows), query.offset, query.limit)

    def matching(self, query: Query) -> tuple[Row, ...]:
        """All rows that match, sorted, whatever `offset` and `limit` say."""
        tests = tests_of(query, self.names_of)
        rows: Iterable[Row] = self._sorted(query.sort)
        if query.config.strip():
            matching = self._matching_configs(query.config)
            rows = [row for row in rows if id(row) in matching]
        if query.failure_group:
            members = self._failed_keys.get(query.failure_group, frozenset())
            rows = [row for row in rows if (row.root, row.key) in members]
        for test in tests:
            rows = [row for row in rows if test(row)]
        return tuple(rows)

    def _matching_configs(self, text: str) -> frozenset[int]:
        """Names the rows (by `id`) whose configs match a filter."""
        if text not in self._matched:
            accepts = parse_filter(text, self._reads_column)
            found = (id(row) for n, row in enumerate(self.rows) if accepts(n, None))
            if len(self._matched) > _MAX_KEPT:
                self._matched.clear()
            self._matched[text] = frozenset(found)
        return self._matched[text]

    @cached_property
    def _matched(self) -> dict[str, frozenset[int]]:
        return {}

    def _reads_column(self, path: str) -> Callable[[int, object], Any]:
        column = self.columns.of(path)
        return lambda place, _lookup: column[place]

    @cached_property
    def columns(self) -> Columns:
        """The values of config fields over all rows."""
        return Columns(self.rows, self._place_of, self.before)

    def _sorted(self, sort: str) -> tuple[Row, ...]:
        if sort not in self._orders:
            name, descending = sort_value(sort)
            if len(self._orders) > _MAX_KEPT:
                self._orders.clear()
            self._orders[sort] = self._in_order(name, descending)
        return self._orders[sort]

    @cached_property
    def _orders(self) -> dict[str, tuple[Row, ...]]:
        return {}

    def _in_order(self, name: str, descending: bool) -> tuple[Row, ...]:
        if name.startswith(CONFIG_SORT):
            values = self.columns.of(name.removeprefix(CONFIG_SORT))
            keyed: list[tuple[Any, Row]] = [
                (order_key(value), row)
                for value, row in zip(values, self.rows, strict=True)
                if value is not MISSING_FIELD and value is not None
            ]
        else:
            keyed = [
                (value, row) for row in self.rows if (value := getattr(row, name)) not in (None, "")
            ]
        keyed.sort(key=_first, reverse=descending)
        ordered = [row for _, row in keyed]
        if len(ordered) < len(self.rows):
            have = set(map(id, ordered))
            ordered.extend(row for row in self.rows if id(row) not in have)
        return tuple(ordered)

    # ---------------------------------------------------------------- one artifact

    @cached_property
    def _by_digest(self) -> Mapping[str, int | tuple[int, ...]]:
        """Hash → places of its artifacts in `rows`; a hash of several classes or roots is rare."""
        found: dict[str, int | tuple[int, ...]] = {}
        for place, row in enumerate(self.rows):
            known = found.setdefault(row.digest, place)
            if known is not place:
                found[row.digest] = (*((known,) if isinstance(known, int) else known), place)
        return found

    def _places_of(self, key: str) -> Iterator[int]:
        """The places in `rows` of the artifacts of a key, the first root's first."""
        namespace, _, digest = key.rpartition("/")
        places = self._by_digest.get(digest, ())
        for place in (places,) if isinstance(places, int) else places:
            if self.rows[place].namespace == namespace:
                yield place

    def _place_of(self, key: str) -> int:
        return next(self._places_of(key), -1)

    def get(self, key: str, root: str | None = None) -> Row | None:
        """The row of `<namespace>/<hash>`; of several roots the first that has it."""
        for place in self._places_of(key):
            if root is None or self.rows[place].root == root:
                return self.rows[place]
        return None

    def config_of(self, key: str) -> Mapping[str, Any] | None:
        """The config of an artifact by key, None when it is not in the store."""
        place = self._place_of(key)
        return None if place < 0 else self.rows[place].config

    def by_hash(self, prefix: str) -> tuple[Row, ...]:
        """Rows whose hash starts with `prefix`, at most 100; blank finds none."""
        if not prefix:
            return ()
        found = [row for row in self.rows if row.digest.startswith(prefix)]
        return tuple(found[:_MAX_BY_HASH])

    # ---------------------------------------------------------------- relations

    @cached_property
    def _dependents(self) -> Mapping[tuple[str, str], Sequence[tuple[str, Row]]]:
        return relations.dependents_of(self.rows)

    def relationships(self, row: Row) -> Relationships:
        """What `row` was made from and what was made from it (within its root)."""
        dependencies = tuple(
            Relation(d.field, d.key, self.get(d.key, row.root)) for d in row.dependencies
        )
        dependents = tuple(
            Relation(field, other.key, other)
            for field, other in self._dependents.get((row.root, row.key), ())
        )
        return Relationships(row, dependencies, dependents)

    def class_graph(self, rows: Iterable[Row] | None = None) -> ClassGraph:
        """Classes and their uses of each other; nodes and edges sorted by name."""
        return relations.class_graph(self.rows if rows is None else rows)

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
        (those that are not made successfully are kept first). At most `max_nodes` nodes, and one
        folded node more a class and distance.
        """
        limits = relations.Limits(up, down, max_nodes, fold_over)
        return relations.neighbourhood(row, self.relationships, limits)

    def blocked_by(self, row: Row) -> tuple[Row, ...]:
        """The artifacts upstream, at any distance, that are not made: nearest first.

        Does not look beyond what is made. Artifacts that are not in the store are not rows.
        """
        return relations.blocked_by(row, self.get)

    # ---------------------------------------------------------------- totals

    @cached_property
    def _stats(self) -> Stats:
        return _stats(self.rows)

    def stats(self, rows: Iterable[Row] | None = None) -> Stats:
        """Totals over `rows`, by default all."""
        return self._stats if rows is None else _stats(rows)

    @cached_property
    def _failures(self) -> tuple[FailureGroup, ...]:
        return failing.groups(self.rows)

    @cached_property
    def _failed_keys(self) -> Mapping[str, frozenset[tuple[str, str]]]:
        return {
            group.group_id: frozenset((row.root, row.key) for row in group.rows)
            for group in self._failures
        }

    def failures(self, rows: Iterable[Row] | None = None) -> tuple[FailureGroup, ...]:
        """Failed (and crashed) artifacts grouped by error type and place, biggest first.

        Artifacts that failed because a dependency did are grouped as `HuldraDependencyError`
        at the failed key's class.
        """
        return self._failures if rows is None else failing.groups(rows)

    # ---------------------------------------------------------------- config fields

    def config_fields(self, rows: Sequence[Row], *, depth: int = 2) -> tuple[str, ...]:
        """Dotted config paths that occur in `rows`, sorted.

        Nested artifacts are entered up to `depth` deep; at depth 0 they stand as one value.
        """
        return tuple(sorted(paths_of(rows, depth, self.config_of)))

    def varying_fields(self, rows: Sequence[Row], *, depth: int = 2) -> tuple[str, ...]:
        """Those `config_fields` whose values differ between `rows`, or are missing in some."""
        return tuple(sorted(differing(rows, depth, self.config_of)))

    def has_field(self, rows: Iterable[Row], path: str) -> bool:
        """Return True if any of `rows` has the dotted config path."""
        column = self.columns.of(path)
        if rows is self.rows:
            return any(value is not MISSING_FIELD for value in column)
        having = {
            id(row)
            for value, row in zip(column, self.rows, strict=True)
            if value is not MISSING_FIELD
        }
        return any(id(row) in having for row in rows)

    def config_value(self, row: Row, path: str) -> object:
        """The config value at a dotted path, into nested artifacts too; None when missing."""
        value = value_at(row.config or {}, parse_path(path), self.config_of)
        return None if value is MISSING_FIELD else value


def _first(pair: tuple[Any, Row]) -> Any:
    return pair[0]


def _stats(rows: Iterable[Row]) -> Stats:
    results: Counter[str] = Counter()
    attempts: Counter[str] = Counter()
    namespaces: dict[str, Counter[str]] = {}
    backends: Counter[str] = Counter()
    hosts: Counter[str] = Counter()
    users: Counter[str] = Counter()
    unreadable = total = 0
    for row in rows:
        total += 1
        unreadable += bool(row.problem)
        results[row.result_status] += 1
        attempts[row.attempt_status] += 1
        namespaces.setdefault(row.namespace, Counter())[row.status] += 1
        backends[row.backend] += 1
        hosts[row.hostname] += 1
        users[row.user] += 1
    for counter in (attempts, backends, hosts, users):
        counter.pop("", None)
    return Stats(
        total,
        results,
        attempts,
        dict(sorted(namespaces.items())),
        backends,
        hosts,
        users,
        unreadable,
    )
