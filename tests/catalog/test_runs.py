"""Recorded runs, and how far they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from huldra.catalog import Catalog
from huldra.errors import HuldraArtifactMissing, HuldraQueryError
from tests.dashboard.store import StoreWriter


def test_a_run_counts_its_artifacts(writer: StoreWriter, catalog: Catalog) -> None:
    """Every artifact of a run is counted once, under its true status."""
    done = writer.add("p/A", {"n": 1})
    failed = writer.add("p/A", {"n": 2}, status="failed")
    running = writer.add("p/A", {"n": 3}, status="running")
    before = writer.add("p/B", {"n": 4})
    absent = f"p/A/{'e' * 32}"
    run_id = writer.add_run(
        "Wide",
        {"a": done, "b": failed, "c": running, "again": done, "d": absent},
        {failed: (), running: (before,), absent: (running,)},
    )
    (sweep,) = catalog.sweeps()
    assert (sweep.run_id, sweep.name, sweep.engine) == (run_id, "Wide", "slurm")
    assert sweep.counts == {"success": 2, "failed": 1, "running": 1, "absent": 1}
    assert (sweep.total, sweep.done) == (5, 2)
    assert [(m.name, m.status, m.planned) for m in sweep.members] == [
        ("a", "success", False),
        ("b", "failed", True),
        ("c", "running", True),
        ("again", "success", False),
        ("d", "absent", True),
        ("", "success", False),
    ]
    assert catalog.sweep(run_id) == sweep
    assert catalog.sweep("none") is None


def test_the_time_left_follows_the_pace(writer: StoreWriter, catalog: Catalog) -> None:
    """Four ended in 100 s and four are left: about 100 s to go."""
    keys = [writer.add("p/A", {"n": n}, ago_s=90, duration_s=10) for n in range(4)]
    keys += [writer.add("p/A", {"n": n}, status="running", ago_s=5) for n in range(4, 6)]
    keys += [f"p/A/{digit * 32}" for digit in "ab"]
    writer.add_run("W", {str(n): k for n, k in enumerate(keys)}, dict.fromkeys(keys, ()), ago_s=100)
    (sweep,) = catalog.sweeps()
    assert sweep.eta_s is not None
    assert 95 < sweep.eta_s < 130


def test_without_ends_the_time_left_is_by_duration_or_unknown(
    writer: StoreWriter, catalog: Catalog
) -> None:
    """Nothing running: no guess. Nothing ended in this run: the usual duration is the guess."""
    old = writer.add("p/A", {"n": 0}, ago_s=9000, duration_s=40)
    busy = writer.add("p/A", {"n": 1}, status="running", ago_s=5)
    writer.add_run("Moving", {"x": old, "y": busy}, {busy: ()}, ago_s=50, run_id="2")
    stuck = writer.add("p/A", {"n": 2}, status="failed")
    writer.add_run("Stuck", {"x": stuck, "y": f"p/A/{'a' * 32}"}, {stuck: ()}, run_id="1")
    moving, over = catalog.sweeps()
    assert (moving.name, moving.eta_s) == ("Moving", 40)
    assert (over.name, over.eta_s) == ("Stuck", None)


def test_a_run_that_cannot_be_read_says_so(writer: StoreWriter, catalog: Catalog) -> None:
    """A truncated or strange record is a run with a problem, beside the good ones."""
    writer.add_run("Good", {}, {}, run_id="3")
    runs = Path(writer.root) / "runs"
    for name, text in (("1", '{"members": {'), ("2", '{"members": 3, "nodes": [1]}')):
        (runs / name).mkdir()
        (runs / name / "graph.json").write_text(text)
    (runs / "0").mkdir()
    good, odd, cut, empty = catalog.sweeps()
    assert (good.name, good.problem) == ("Good", "")
    assert (odd.total, odd.problem) == (0, "")
    assert "graph.json" in cut.problem
    assert "graph.json" in empty.problem


def test_a_run_follows_its_artifacts(writer: StoreWriter, catalog: Catalog) -> None:
    """The progress of a run is that of the store at the last look."""
    key = writer.add("p/A", {"n": 1}, status="running")
    writer.add_run("W", {"x": key}, {key: ()})
    assert catalog.sweeps()[0].done == 0
    writer.add("p/A", {"n": 1})
    catalog.snapshot(max_age_s=0)
    assert catalog.sweeps()[0].done == 1


def test_a_recorded_run_of_the_future_is_read(writer: StoreWriter, catalog: Catalog) -> None:
    """Unknown keys and a higher number do not matter."""
    run_id = writer.add_run("W", {}, {})
    path = Path(writer.root) / "runs" / run_id / "graph.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"huldra": 99, "new": {}}))
    assert catalog.sweeps()[0].name == "W"


def test_a_run_is_found_by_its_id_its_beginning_or_its_name(
    writer: StoreWriter, catalog: Catalog
) -> None:
    """As git does: what begins two ids is refused, listing them; a name means its newest run."""
    key = writer.add("proj.models/Train", {"n": 1})
    for run_id in ("20260101T000000-a1", "20260101T000000-b2"):
        writer.add_run("Sweep", {"one": key}, {key: ()}, run_id=run_id)

    assert catalog.run("20260101T000000-b").run_id == "20260101T000000-b2"
    assert catalog.run("Sweep").run_id == "20260101T000000-b2"
    assert catalog.run_record("20260101T000000-a1").members == {"one": key}
    with pytest.raises(HuldraQueryError, match="-b2, 20260101T000000-a1"):
        catalog.run("2026")
    for text in ("none", ""):
        with pytest.raises(HuldraArtifactMissing, match="huldra sweeps"):
            catalog.run(text)
