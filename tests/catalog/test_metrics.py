"""Metrics from an artifact's top-level files."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

import pytest

from huldra.catalog import Catalog, Extent, Metrics
from huldra.catalog.metrics import value_of
from tests.dashboard.store import StoreWriter


def metrics_of(writer: StoreWriter, catalog: Catalog, files: Mapping[str, str]) -> Metrics:
    key = writer.add("p/A", {"n": writer.count}, files=files)
    row = catalog.snapshot(max_age_s=0).get(key)
    assert row is not None
    return catalog.metrics(row)


def test_json_numbers_are_values(writer: StoreWriter, catalog: Catalog) -> None:
    """Nested numbers are dotted; text and bools are none; a list of numbers is a series."""
    text = '{"loss": 0.5, "eval": {"f1": 1}, "name": "x", "ok": true, "curve": [3, 2, 1]}'
    metrics = metrics_of(writer, catalog, {"metrics.json": text})
    assert metrics.values == {"loss": 0.5, "eval.f1": 1, "curve": 1}
    assert metrics.series == {"curve": ((0, 3), (1, 2), (2, 1))}
    assert metrics.problems == ()


def test_jsonl_is_a_series_by_step(writer: StoreWriter, catalog: Catalog) -> None:
    """The last number is the value; points are by the step column; a half line is left out."""
    text = '{"step": 10, "loss": 2}\n{"step": 20, "loss": 1, "acc": 0.5}\n{"step": 30, "lo'
    metrics = metrics_of(writer, catalog, {"history.jsonl": text})
    assert metrics.values == {"loss": 1, "acc": 0.5}
    assert metrics.series == {"loss": ((10, 2), (20, 1))}


def test_csv_is_a_series_by_line(writer: StoreWriter, catalog: Catalog) -> None:
    """Columns of numbers are metrics; cells of text are passed over."""
    metrics = metrics_of(writer, catalog, {"metrics.csv": "name,loss\na,2\nb,x\nc,1,9\n"})
    assert metrics.values == {"loss": 1}
    assert metrics.series == {"loss": ((0, 2), (2, 1))}


def test_a_name_depends_on_its_own_file_alone(writer: StoreWriter, catalog: Catalog) -> None:
    """Files of other names stand before their metrics, whatever lies beside them."""
    one = metrics_of(writer, catalog, {"train.json": '{"loss": 1}'})
    files = {"train.json": '{"loss": 1}', "test.json": '{"loss": 2, "f1": 3}'}
    both = metrics_of(writer, catalog, {**files, "metrics.json": '{"loss": 0}'})
    assert one.values == {"train.loss": 1}
    assert both.values == {"loss": 0, "train.loss": 1, "test.loss": 2, "test.f1": 3}


def test_a_summary_and_a_history_are_one_metric(writer: StoreWriter, catalog: Catalog) -> None:
    """The summary gives the value, the lines the curve: what runs compares with what is over."""
    history = '{"step": 1, "loss": 3}\n{"step": 2, "loss": 1}\n{"step": 3, "loss": 2}\n'
    running = metrics_of(writer, catalog, {"history.jsonl": history})
    done = metrics_of(writer, catalog, {"history.jsonl": history, "metrics.json": '{"loss": 0.5}'})
    assert running.values == {"loss": 2}
    assert done.values == {"loss": 0.5}
    assert done.series == running.series == {"loss": ((1, 3), (2, 1), (3, 2))}
    assert done.extents["loss"] == Extent(step=3, min=1, min_step=2, max=3, max_step=1)


def test_a_suffix_asks_for_the_best_of_a_curve(writer: StoreWriter, catalog: Catalog) -> None:
    """`loss:min` is the smallest number of the curve, of a single number that number."""
    history = '{"step": 1, "loss": 3}\n{"step": 2, "loss": NaN}\n{"step": 9, "loss": 4}\n'
    metrics = metrics_of(
        writer, catalog, {"history.jsonl": history, "metrics.json": '{"acc": 0.5}'}
    )
    asked = ("loss", "loss:min", "loss:max", "loss:max_step", "loss:step", "acc:max", "acc:step")
    assert [value_of(metrics, name) for name in asked] == [4, 3, 4, 9, 9, 0.5, None]


def test_nan_and_infinity_stay(writer: StoreWriter, catalog: Catalog) -> None:
    """Python's own NaN in JSON is read as what it is."""
    metrics = metrics_of(
        writer, catalog, {"metrics.json": '{"a": NaN, "b": -Infinity, "c": 1e999}'}
    )
    assert math.isnan(metrics.values["a"])
    assert metrics.values["b"] == -math.inf
    assert metrics.values["c"] == math.inf


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "{"),
        ("a.json", ""),
        ("a.json", '{"a": ' + "9" * 5000 + "}"),
        ("a.json", "[" * 100_000),
        ("a.json", " " * (5 << 20)),
        ("a.csv", "x\n" + "1" * 200_000 + "," + '"' * 200_000),
    ],
)
def test_a_bad_file_is_a_problem_and_not_an_error(
    writer: StoreWriter, catalog: Catalog, name: str, text: str
) -> None:
    """The other files' numbers are there, and the bad one is named."""
    metrics = metrics_of(writer, catalog, {name: text, "metrics.json": '{"g": 1}'})
    assert metrics.values["g"] == 1
    assert [problem.partition(":")[0] for problem in metrics.problems] in ([name], [])
    assert metrics.problems or name.endswith(".csv")


def test_integers_beyond_floats_are_left_out(writer: StoreWriter, catalog: Catalog) -> None:
    """A whole number of 400 digits is no metric."""
    assert metrics_of(writer, catalog, {"a.json": '{"a": ' + "9" * 400 + "}"}).values == {}


def test_links_out_of_the_artifact_are_refused(writer: StoreWriter, catalog: Catalog) -> None:
    """A link to a file elsewhere gives no number, and no content in the message."""
    key = writer.add("p/A", {})
    secret = writer.directory(key).parent / "secret.json"
    secret.write_text('{"pin": 1234}')
    os.symlink(secret, writer.directory(key) / "m.json")
    row = catalog.snapshot().get(key)
    assert row is not None
    metrics = catalog.metrics(row)
    assert metrics.values == {}
    assert "leaves" in metrics.problems[0]
    assert "1234" not in metrics.problems[0]


def test_metrics_are_read_again_only_when_they_change(
    writer: StoreWriter, catalog: Catalog
) -> None:
    """The same files give the same object; a changed one gives new numbers."""
    key = writer.add("p/A", {}, files={"metrics.json": '{"a": 1}'})
    row = catalog.snapshot().get(key)
    assert row is not None
    first = catalog.metrics(row)
    assert catalog.metrics(row) is first
    (writer.directory(key) / "metrics.json").write_text('{"a": 22}')
    assert catalog.metrics(row).values == {"a": 22}


def test_long_series_are_thinned(writer: StoreWriter, catalog: Catalog) -> None:
    """A series keeps at most 2,000 points, the last one among them."""
    text = "".join(f'{{"loss": {n}}}\n' for n in range(9001))
    series = metrics_of(writer, catalog, {"history.jsonl": text}).series["loss"]
    assert len(series) <= 2000
    assert series[-1] == (9000, 9000)
