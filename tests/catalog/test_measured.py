"""Lists that ask for metrics."""

from __future__ import annotations

import json

import pytest

from huldra.catalog import Catalog, Query, measured
from huldra.errors import HuldraQueryError
from tests.dashboard.store import StoreWriter

LOSSES = (2.5, 0.5, None, 1.5)


@pytest.fixture
def store(writer: StoreWriter) -> StoreWriter:
    """Four artifacts; the third has no metric."""
    for seed, loss in enumerate(LOSSES):
        files = (
            {} if loss is None else {"metrics.json": json.dumps({"loss": loss, "eval": {"f1": 1}})}
        )
        writer.add("p/A", {"seed": seed}, files=files)
    return writer


def seeds(catalog: Catalog, **conditions: object) -> list[object]:
    query = Query(**conditions)  # type: ignore[arg-type]  # names are the test's
    rows = measured.matching(catalog, catalog.snapshot(), query)
    return [(row.config or {})["seed"] for row in rows]


@pytest.mark.usefixtures("store")
def test_all_rows_are_sorted_by_a_metric(catalog: Catalog) -> None:
    """Ascending and descending; what lacks the metric comes last either way."""
    assert seeds(catalog, sort="metrics.loss") == [1, 3, 0, 2]
    assert seeds(catalog, sort="-metrics.loss") == [0, 3, 1, 2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loss<2", {1, 3}),
        ("loss<2 and seed<2", {1}),
        ("metrics.loss>=2.5 or seed=2", {0, 2}),
        ("eval.f1=1 and loss:max<1", {1}),
        ("no_such_thing<1", set()),
    ],
)
@pytest.mark.usefixtures("store")
def test_a_filter_asks_for_metrics_and_fields(
    catalog: Catalog, text: str, expected: set[int]
) -> None:
    """Both kinds of names stand in one filter."""
    assert set(seeds(catalog, config=text)) == expected


def test_a_config_field_goes_before_a_metric(writer: StoreWriter, catalog: Catalog) -> None:
    """A name that any config has is the field; `metrics.` before it means the metric."""
    writer.add("p/A", {"seed": 1, "loss": "mse"}, files={"metrics.json": '{"loss": 3}'})
    assert seeds(catalog, config="loss=mse") == [1]
    assert seeds(catalog, config="loss=3") == []
    assert seeds(catalog, config="metrics.loss=3") == [1]


@pytest.mark.usefixtures("store")
def test_a_page_has_the_total_of_all(catalog: Catalog) -> None:
    """The window is cut from the sorted whole."""
    page = measured.page(catalog, catalog.snapshot(), Query(sort="metrics.loss", offset=1, limit=1))
    assert (page.total, [(row.config or {})["seed"] for row in page.rows]) == (4, [3])


@pytest.mark.usefixtures("store")
def test_a_metric_without_a_name_is_refused(catalog: Catalog) -> None:
    """`metrics.` alone is no order."""
    with pytest.raises(HuldraQueryError):
        seeds(catalog, sort="metrics.")
