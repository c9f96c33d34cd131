"""All matching rows as a file."""

from __future__ import annotations

import csv
import io
import json

from huldra.catalog import Catalog
from huldra_dashboard import export
from tests.dashboard.store import StoreWriter


def test_every_field_and_metric_is_a_column(writer: StoreWriter) -> None:
    """Rows that lack one have an empty cell; text that begins a formula is quoted."""
    history = '{"step": 1, "loss": 3}\n{"step": 2, "loss": 4}\n'
    writer.add("m/Train", {"lr": -0.1, "note": "=1+1"}, files={"history.jsonl": history})
    writer.add("m/Train", {"lr": 0.2})
    catalog = Catalog([writer.root])
    snapshot = catalog.snapshot()
    records = export.records(snapshot.rows, {}, catalog, snapshot)
    lines = {
        line["config.lr"]: line
        for line in csv.DictReader(io.StringIO(export.as_csv(records).decode()))
    }
    assert lines["-0.1"]["config.note"] == "'=1+1"
    assert (lines["-0.1"]["metrics.loss"], lines["-0.1"]["metrics.loss:min"]) == ("4.0", "3.0")
    assert lines["0.2"]["metrics.loss"] == ""
    assert {one["hash"] for one in json.loads(export.as_json(records))} == {
        row.digest for row in snapshot.rows
    }
