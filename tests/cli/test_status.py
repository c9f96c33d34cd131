"""`huldra status`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from huldra import cli
from huldra.cli import output, status
from huldra.store.layout import ArtifactPaths
from tests.dashboard.store import StoreWriter

Answer = Callable[..., Any]
Command = Callable[..., str]


def reports(store: StoreWriter, *steps: float, of: float) -> dict[str, str]:
    """The file of reports: one a minute, the last one now."""
    moments = [store.now - timedelta(minutes=len(steps) - 1 - n) for n in range(len(steps))]
    lines = [
        json.dumps({"step": step, "of": of, "at": at.isoformat()})
        for step, at in zip(steps, moments, strict=True)
    ]
    return {"progress.jsonl": "\n".join(lines) + "\n"}


def add_sweep(store: StoreWriter) -> tuple[str, dict[str, str]]:
    """A run with one member complete, one running with reports, one failed, one queued."""
    run_id = "20260101T000000-abc"
    add = partial(store.add, "p/A", run_id=run_id)
    files = reports(store, 100, 200, of=500)
    keys = {
        "done": add({"n": 1}),
        "half": add({"n": 2}, status="running", ago_s=90, files=files),
        "lost": add({"n": 3}, status="failed"),
        "next": add({"n": 4}, status="queued"),
    }
    store.add_run("Grid", keys, dict.fromkeys(keys.values(), ()), run_id=run_id)
    return run_id, keys


def finish(store: StoreWriter, *numbers: int) -> None:
    """Let these members of the run be complete."""
    for n in numbers:
        store.add("p/A", {"n": n})


def tables(text: str) -> list[list[list[str]]]:
    """The cells of tab-separated tables that blank lines part."""
    return [
        [line.split("\t") for line in part.splitlines()] for part in text.strip("\n").split("\n\n")
    ]


def test_the_runs_and_what_runs_now(store: StoreWriter, command: Command) -> None:
    """Counts by status for each run; for what runs, how far it is and how long still."""
    run_id, _ = add_sweep(store)
    store.add("p/B", {}, status="running", ago_s=30)  # in process: of no run
    runs, running = tables(command("status"))
    assert runs[0] == ["run", "name", "state", "complete", "running", "queued", "failed", "left"]
    assert runs[1][:7] == [run_id, "Grid", "running", "1/4", "1", "1", "1"]
    assert [line[:2] for line in running[1:]] == [
        ["B " + running[1][0][2:], "running"],
        ["half", "running"],
    ]
    assert running[2][3:] == ["200/500 (40%)", "3 min", store.host, run_id]


def test_a_run_that_moves_is_shown_beyond_the_limit(store: StoreWriter, answer: Answer) -> None:
    """The newest `--limit` runs, and each older one that is not over."""
    moving, _ = add_sweep(store)
    key = store.add("p/C", {})
    for name in ("20260102T000000-old", "20260103T000000-new"):
        store.add_run("Done", {"a": key}, {key: ()}, run_id=name)
    shown = [run["run_id"] for run in answer("status", "--limit", "1")["runs"]]
    assert shown == ["20260103T000000-new", moving]


def test_a_run_has_its_members_with_what_moves_first(store: StoreWriter, answer: Answer) -> None:
    """By its id, its beginning or its name, with what each has reported."""
    run_id, keys = add_sweep(store)
    found = answer("status", "Grid")
    assert [run["run_id"] for run in found["runs"]] == [run_id]
    assert found["runs"][0]["counts"] == {"success": 1, "running": 1, "failed": 1, "queued": 1}
    assert [(one["name"], one["status"]) for one in found["members"]] == [
        ("half", "running"),
        ("lost", "failed"),
        ("next", "queued"),
        ("done", "success"),
    ]
    assert found["members"][0]["progress"] == {"step": 200, "of": 500, "remaining_s": 180}
    assert answer("status", keys["half"])["members"][0]["status"] == "running"


def test_a_class_with_its_fields_is_a_target(answer: Answer) -> None:
    """It needs no run, and none of it has to be on disk."""
    found = answer("status", "tests.cli.test_targets:Train", "lr=0.25")
    assert [(run["run_id"], run["state"]) for run in found["runs"]] == [("", "never made")]
    assert [member["status"] for member in found["members"]] == ["absent"]


def test_following_writes_a_line_for_each_change(
    store: StoreWriter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until nothing moves; what is not complete then is exit code 1, where a target is named."""
    run_id, _ = add_sweep(store)
    later = iter([(), (2,), (4,)])
    monkeypatch.setattr(status, "_pause", lambda: finish(store, *next(later)))
    assert cli.main(["status", run_id, "-f", "--root", str(store.root)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{run_id} Grid: 1 of 4 complete, 1 running, 1 queued, 1 failed",
        f"{run_id} Grid: 2 of 4 complete, 1 queued, 1 failed",
        f"{run_id} Grid: 3 of 4 complete, 1 failed",
    ]
    finish(store, 3)
    assert cli.main(["status", run_id, "-f", "--root", str(store.root)]) == 0


def test_following_on_a_terminal_ends_with_the_last_look(
    store: StoreWriter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tables are refreshed in place."""
    add_sweep(store)
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setattr(status, "_pause", lambda: finish(store, 2, 4))
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.main(["status", "-f", "--root", str(store.root)]) == 0
    shown = capsys.readouterr().out
    assert "finished, 1 failed" in shown
    assert "3/4" in shown


def test_looking_writes_nothing(store: StoreWriter, command: Command) -> None:
    """Neither a file nor a folder of the store changes."""
    run_id, keys = add_sweep(store)

    def marks() -> dict[str, int]:
        paths = [at for at, _, _ in os.walk(store.root)]
        files = [f"{at}/{name}" for at, _, names in os.walk(store.root) for name in names]
        return {path: os.stat(path).st_mtime_ns for path in [*paths, *files]}

    before = marks()
    command("status")
    command("status", run_id)
    command("status", ArtifactPaths(str(store.directory(keys["half"]))).directory)
    assert marks() == before


def test_a_target_that_means_nothing_is_an_error(
    store: StoreWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is near it."""
    add_sweep(store)
    assert cli.main(["status", "Gird", "--root", str(store.root)]) == 1
    assert "near it: Grid" in capsys.readouterr().err
