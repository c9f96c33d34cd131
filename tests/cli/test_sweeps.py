"""`huldra sweeps`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from huldra import cli
from tests.dashboard.store import StoreWriter

Answer = Callable[..., Any]


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        (("success", "success"), "finished"),
        (("success", "failed"), "finished, 1 failed"),
        (("success", "running"), "running"),
        (("success", "crashed"), "stopped"),
    ],
)
def test_the_state_of_a_run_is_a_word(
    store: StoreWriter, answer: Answer, statuses: tuple[str, ...], state: str
) -> None:
    """It tells a run that goes on from one that is over, and from one that nobody continues."""
    keys = {f"m{i}": store.add("p/A", {"n": i}, status=s) for i, s in enumerate(statuses)}
    run_id = store.add_run("Sweep", keys, dict.fromkeys(keys.values(), ()))
    (run,) = answer("sweeps")
    assert (run["run_id"], run["name"], run["state"]) == (run_id, "Sweep", state)
    assert {name: m["status"] for name, m in run["members"].items()} == dict(
        zip(keys, statuses, strict=True)
    )


def test_a_listing_has_one_line_a_run(store: StoreWriter, command: Callable[..., str]) -> None:
    """The newest comes first; `--limit` cuts."""
    key = store.add("p/A", {"n": 1})
    for name, ago_s in (("old", 9000.0), ("new", 10.0)):
        store.add_run(name, {"a": key}, {key: ()}, ago_s=ago_s)
    lines = [line.split("\t") for line in command("sweeps").splitlines()]
    assert [line[1] for line in lines] == ["name", "new", "old"]
    assert len(command("sweeps", "--limit", "1").splitlines()) == 2


def test_the_members_of_a_run_have_names_and_errors(
    store: StoreWriter, command: Callable[..., str], answer: Answer
) -> None:
    """By its id, its beginning or its name; what members need comes last, without a name."""
    need = store.add("p/B", {})
    keys = {
        "small": store.add("p/A", {"n": 1}),
        "large": store.add("p/A", {"n": 2}, status="failed", error=("builtins.OSError", "full")),
    }
    run_id = store.add_run("Grid", keys, {key: [need] for key in keys.values()})
    listed = command("sweeps", "Grid")
    assert [line.split("\t") for line in listed.splitlines()] == [
        ["name", "status", "artifact", "error"],
        ["small", "success", keys["small"], ""],
        ["large", "failed", keys["large"], "OSError: full"],
        ["", "success", need, ""],
    ]
    assert command("sweeps", run_id[:-2]) == listed
    assert answer("sweeps", run_id)["members"]["large"]["status"] == "failed"


def test_a_run_that_is_not_there_is_an_error(
    store: StoreWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    """So is a beginning of two ids."""
    key = store.add("p/A", {})
    for run_id in ("20260101T0000-a", "20260101T0000-b"):
        store.add_run("Grid", {"a": key}, {key: []}, run_id=run_id)
    root = ("--root", str(store.root))
    assert cli.main(["sweeps", "nowhere", *root]) == 1
    assert "no run 'nowhere' in" in capsys.readouterr().err
    assert cli.main(["sweeps", "2026", *root]) == 1
    assert "may mean 20260101T0000-b, 20260101T0000-a" in capsys.readouterr().err
