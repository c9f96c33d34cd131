"""`huldra cancel`, `retry` and `discard`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import huldra
from huldra import cli
from huldra.testing.pipelines import Step, count_notes
from tests.dashboard.store import StoreWriter
from tests.support.children import until

RUNS = [f"20260101T00000{number}-00000{number}" for number in range(3)]
STEP = "huldra.testing.pipelines:Step"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder for the notes of nodes."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def test_cancel_ends_running_and_queued(
    huldra_store: Path, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the run's id all that it queued ends: the running node, and the one that waits."""
    first = Step(name="first", does="sleep", notes=str(notes))
    second = Step(name="second", needs=(first,), notes=str(notes))
    sweep = huldra.load_or_create({"second": second}, "local:1")
    until(lambda: count_notes(notes, "first", "began") == 1)
    run_id = huldra.StateManager.read(first.huldra_dir).attempt.run_id  # type: ignore[union-attr]  # it runs
    assert cli.main(["cancel", str(run_id), "--yes", "--json"]) == 0
    cancelled = json.loads(capsys.readouterr().out)
    assert {key.rpartition("/")[2] for key in cancelled} == {first.huldra_hash, second.huldra_hash}
    assert sweep.wait(60)
    until(lambda: set(huldra.status([first, second]).values()) == {"cancelled"})
    assert count_notes(notes, "second", "began") == 0


def test_cancel_of_two_runs_leaves_what_a_third_queued(
    store: StoreWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    """What runs share with another one that queued it is left alone, for many runs as for one."""
    keys = {run: store.add("p.m/A", {"of": run}, status="queued", run_id=run) for run in RUNS}
    for run in RUNS[:2]:
        store.add_run(
            "s", {"a": keys[run], "c": keys[RUNS[2]]}, dict.fromkeys(keys.values(), ()), run_id=run
        )
    assert cli.main(["cancel", *RUNS[:2], "--dry-run", "--root", str(store.root)]) == 0
    said = capsys.readouterr().err
    assert "to cancel, 2 artifacts" in said
    assert f"left alone: {keys[RUNS[2]]}" in said


def test_cancel_of_what_is_over_changes_nothing(
    huldra_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A complete artifact stays complete."""
    Step(name="a").load_or_create()
    assert cli.main(["cancel", STEP, "name=a"]) == 0
    assert "nothing of it is queued or running" in capsys.readouterr().out
    assert Step(name="a").exists()


def test_cancel_needs_its_engine_before_it_writes(
    huldra_store: Path, monkeypatch: pytest.MonkeyPatch, notes: Path
) -> None:
    """Where the engine cannot be reached, nothing is requested in the store, either."""
    step = Step(name="a", does="wait", notes=str(notes))
    job = step.load_or_create(executor="local:1")
    until(lambda: count_notes(notes, "a", "began") == 1)

    def away(_: object) -> None:
        raise huldra.HuldraError("the engine is away")

    with monkeypatch.context() as patch:
        patch.setattr("huldra.engines.registry.connect", away)
        assert cli.main(["cancel", STEP, "name=a"]) == 1
    assert not list((step.huldra_dir / ".huldra" / "claims").glob("*.cancel"))
    (notes / "a.open").touch()
    assert job.wait(60)
    assert step.exists()


def test_discard_removes(huldra_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One artifact goes at once; what depends on it stays."""
    inner = Step(name="inner")
    outer = Step(name="outer", needs=(inner,))
    outer.load_or_create()
    assert cli.main(["discard", inner.huldra_hash[:10]]) == 0
    assert not inner.huldra_dir.exists()
    assert outer.exists()


def test_many_are_shown_and_need_a_yes(
    huldra_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """More than one is shown first, and without a terminal or `--yes` nothing changes."""
    steps = [Step(name=name) for name in "ab"]
    huldra.load_or_create(steps)
    ids = [one.huldra_hash for one in steps]
    capsys.readouterr()
    assert cli.main(["discard", *ids]) == 1
    assert "nothing was changed" in capsys.readouterr().err
    assert cli.main(["discard", *ids, "--dry-run"]) == 0
    assert all(one.exists() for one in steps)
    assert cli.main(["discard", *ids, "--yes"]) == 0
    assert not any(one.exists() for one in steps)


def test_retry_computes_only_what_failed(
    huldra_store: Path, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a run's members those without a result run again, here or on an engine."""
    good = Step(name="good", notes=str(notes))
    bad = Step(name="bad", does="fail once", notes=str(notes))
    sweep = huldra.load_or_create({"good": good, "bad": bad}, "threads:1")
    assert sweep.wait(60)
    assert list(sweep.failed()) == ["bad"]
    (run_id,) = (path.name for path in (huldra_store / "runs").iterdir())
    assert cli.main(["retry", run_id, "--executor", "threads:1", "--json"]) == 0
    (again,) = json.loads(capsys.readouterr().out)
    assert (again["name"], again["status"]) == ("bad", "success")
    assert count_notes(notes, "good", "began") == 1
