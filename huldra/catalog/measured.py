"""Lists that ask for metrics: filters (`val_loss<2.5 and lr<1e-3`) and orders (`metrics.loss`).

What a filter names is a config field where any artifact of the store has that field, else a
metric; `metrics.<name>` is always the metric. `loss:min`, `loss:max`, `loss:step` and the like
are as in `metrics.value_of`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from huldra.catalog.filters import fields_of, parse_filter
from huldra.catalog.metrics import value_of
from huldra.catalog.query import METRICS, Query, check_window, order_key
from huldra.catalog.records import Metrics, Page, Row
from huldra.catalog.scan import Catalog
from huldra.catalog.snapshot import Snapshot


def page(catalog: Catalog, snapshot: Snapshot, query: Query) -> Page:
    """The page of rows that `query` asks for; `sort` may be `metrics.<name>`, too.

    Raises:
        HuldraQueryError: the query has a value that is not allowed.
    """
    check_window(query)
    rows = matching(catalog, snapshot, query)
    return Page(
        rows[query.offset : query.offset + query.limit], len(rows), query.offset, query.limit
    )


def matching(catalog: Catalog, snapshot: Snapshot, query: Query) -> tuple[Row, ...]:
    """All rows that match, sorted; rows without the metric to sort by come last.

    Raises:
        HuldraQueryError: the query has a value that is not allowed.
    """
    sort = query.sort.removeprefix("-")
    by_metric = sort.startswith(METRICS) and sort != METRICS
    filters_metrics = bool(metrics_in(query.config, snapshot))
    if not by_metric and not filters_metrics:
        return snapshot.matching(query)
    plain = replace(query, config="") if filters_metrics else query
    rows = snapshot.matching(replace(plain, sort=Query.sort) if by_metric else plain)
    if filters_metrics:
        rows = _filtered(catalog, snapshot, rows, query.config)
    if by_metric:
        name = sort.removeprefix(METRICS)
        rows = _sorted(catalog, rows, name, descending=query.sort.startswith("-"))
    return rows


def metrics_in(text: str, snapshot: Snapshot) -> tuple[str, ...]:
    """The names in a filter that are metrics, for this store, as they are written.

    Raises:
        HuldraQueryError: the text is no filter.
    """
    return tuple(
        name
        for name in fields_of(text)
        if name.startswith(METRICS) or not snapshot.has_field(snapshot.rows, name)
    )


def _filtered(
    catalog: Catalog, snapshot: Snapshot, rows: tuple[Row, ...], text: str
) -> tuple[Row, ...]:
    accepts = parse_filter(text)
    return tuple(
        row
        for row in rows
        if accepts(_Overlay(dict(row.config or {}), catalog, row), snapshot.config_of)
    )


def _sorted(
    catalog: Catalog, rows: tuple[Row, ...], name: str, *, descending: bool
) -> tuple[Row, ...]:
    known: list[tuple[float, Row]] = []
    others: list[Row] = []
    for row in rows:
        value = value_of(catalog.metrics_summary(row), name)
        if value is None or value != value:  # noqa: PLR0124  NaN is no place in an order
            others.append(row)
        else:
            known.append((value, row))
    known.sort(key=lambda pair: order_key(pair[0]), reverse=descending)
    return (*(row for _, row in known), *others)


class _Overlay(Mapping[str, Any]):
    """A config, and behind it the artifact's metrics, which are read when one is asked for."""

    def __init__(self, config: Mapping[str, Any], catalog: Catalog, row: Row) -> None:
        self._config = config
        self._catalog = catalog
        self._row = row

    def __getitem__(self, name: str) -> Any:
        if name in self._config and name != METRICS[:-1]:
            return self._config[name]
        metrics = self._catalog.metrics_summary(self._row)
        below = _Below(metrics, "")
        return below if name == METRICS[:-1] else below[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._config)

    def __len__(self) -> int:
        return len(self._config)


class _Below(Mapping[str, Any]):
    """The metrics whose names begin alike, as filters walk down a dotted name."""

    def __init__(self, metrics: Metrics, prefix: str) -> None:
        self._metrics = metrics
        self._prefix = prefix

    def __getitem__(self, name: str) -> Any:
        full = self._prefix + name
        value = value_of(self._metrics, full)
        if value is not None:
            return value
        if any(known.startswith(f"{full}.") for known in self._metrics.values):
            return _Below(self._metrics, f"{full}.")
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (n for n in self._metrics.values if n.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)
