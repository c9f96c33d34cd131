"""`huldra gc`: what may go, and its way into the trash and back."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra import cli
from huldra.catalog import Catalog
from huldra.testing.pipelines import Step
from tests.dashboard.store import StoreWriter, ref

Answer = Callable[..., Any]


def read(root: Path) -> dict[str, bytes]:
    """All files below the root but the trash, with what they hold."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "trash" not in path.relative_to(root).parts
    }


def test_dry_run_by_default(store: StoreWriter, answer: Answer) -> None:
    """Without `--yes` the answer names sizes, reasons and times, and nothing changes."""
    key = store.add("p.m/Train", {"lr": 1}, status="failed")
    store.add("p.m/Train", {"lr": 2})
    before = read(store.root)
    (one,) = answer("gc", "--failed")
    assert (one["what"], one["reason"]) == (key, "no result")
    assert one["size_bytes"] > 0
    assert read(store.root) == before


def test_what_is_kept_reaches_stays(store: StoreWriter, answer: Answer) -> None:
    """`--unreachable` takes what no kept artifact needs, at any depth."""
    base = store.add("p.m/Base", {"x": 1})
    data = store.add("p.m/Data", {"base": ref(base)})
    model = store.add("p.m/Train", {"data": ref(data)})
    other = store.add("p.m/Train", {"data": ref(data), "lr": 2})
    moved = answer("gc", "--keep", model, "--unreachable", "--yes")
    assert [one["what"] for one in moved] == [other]
    assert {row.key for row in Catalog([str(store.root)]).snapshot().rows} == {base, data, model}


def test_keeping_an_empty_word_is_refused(
    store: StoreWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names no run, not even one without a name: what it does not mean would go."""
    kept, other = (store.add("p.m/Train", {"n": n}) for n in range(2))
    store.add_run("", {"one": kept}, {kept: ()})
    before = read(store.root)
    arguments = ["gc", "--keep", "", "--unreachable", "--yes", "--root", str(store.root)]
    assert cli.main(arguments) == 1
    assert "'' is no run and no artifact" in capsys.readouterr().err
    assert read(store.root) == before
    assert Catalog([str(store.root)]).snapshot().get(other) is not None


def test_what_runs_keeps_what_it_needs(store: StoreWriter, answer: Answer) -> None:
    """An open attempt and what it needs stay, whatever is kept."""
    data = store.add("p.m/Data", {"x": 1}, ago_s=9e6)
    store.add("p.m/Train", {"data": ref(data)}, status="running")
    kept = store.add("p.m/Other", {"x": 1})
    assert answer("gc", "--keep", kept, "--unreachable", "--yes") == []
    assert answer("gc", "--older-than", "30d", "--yes") == []


def test_old_ones_that_newer_ones_need_stay(store: StoreWriter, answer: Answer) -> None:
    """Age takes nothing from under an artifact that stays."""
    data = store.add("p.m/Data", {"x": 1}, ago_s=9e6)
    store.add("p.m/Train", {"data": ref(data)}, ago_s=10)
    alone = store.add("p.m/Data", {"x": 2}, ago_s=9e6)
    assert [one["what"] for one in answer("gc", "--older-than", "30d")] == [alone]


def test_max_size_takes_the_oldest_first(store: StoreWriter, answer: Answer) -> None:
    """The oldest go until the rest fits, those that need others before these."""
    data = store.add("p.m/Data", {"x": 1}, ago_s=900)
    old = store.add("p.m/Train", {"data": ref(data)}, ago_s=800)
    new = store.add("p.m/Train", {"lr": 1}, ago_s=10)
    for key in (data, old, new):
        (store.directory(key) / "weights").write_bytes(bytes(1 << 20))
    assert [one["what"] for one in answer("gc", "--max-size", "2.5M")] == [old]
    assert {one["what"] for one in answer("gc", "--max-size", "1.5M")} == {old, data}


def test_undo_puts_everything_back(store: StoreWriter, answer: Answer) -> None:
    """After an undo the store has the same files as before, and the trash is empty."""
    for number in range(3):
        store.add("p.m/Train", {"lr": number}, status="failed")
    before = read(store.root)
    assert len(answer("gc", "--failed", "--yes")) == 3
    assert read(store.root) != before
    answer("gc", "--undo")
    assert read(store.root) == before
    assert answer("gc", "--empty", "--yes") == []


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"paths": ["../out"]}'])
def test_undo_without_a_readable_list_changes_nothing(
    store: StoreWriter, answer: Answer, capsys: pytest.CaptureFixture[str], damage: bytes
) -> None:
    """Where the list of a move is damaged, what was moved stays in the trash."""
    store.add("p.m/Train", {"lr": 1}, status="failed")
    answer("gc", "--failed", "--yes")
    (written,) = store.root.glob("trash/*/moved.json")
    written.write_bytes(damage)
    moved = {path for path in store.root.rglob("*") if path.is_file()}
    assert cli.main(["gc", "--undo", "--root", str(store.root)]) == 1
    assert str(written.parent) in capsys.readouterr().err
    assert {path for path in store.root.rglob("*") if path.is_file()} == moved


def test_undo_removes_no_file_that_its_list_lacks(store: StoreWriter, answer: Answer) -> None:
    """Of the trash only the list and empty folders go; what else lies there stays."""
    key = store.add("p.m/Train", {"lr": 1}, status="failed")
    answer("gc", "--failed", "--yes")
    (written,) = store.root.glob("trash/*/moved.json")
    other = written.parent / "data/p.m/Train/other"
    other.write_text("mine")
    answer("gc", "--undo")
    assert store.directory(key).is_dir()
    assert other.read_text() == "mine"


def test_undo_leaves_what_was_computed_again(
    huldra_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new artifact under the same name stays; the old one stays in the trash."""
    step, kept = Step(name="a"), Step(name="kept")
    huldra.load_or_create([step, kept])
    arguments = ["gc", "--keep", kept.huldra_hash, "--unreachable", "--yes"]
    assert cli.main(arguments) == 0
    assert not step.exists()
    step.load_or_create()
    assert cli.main(["gc", "--undo"]) == 1
    assert "was computed again" in capsys.readouterr().err
    assert step.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say what may go"),
        (("--unreachable",), "needs --keep"),
        (("--keep", "abcd", "--failed"), "is no run and no artifact"),
        (("--undo",), "is empty"),
    ],
)
def test_refusals(
    store: StoreWriter, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    """What is not said clearly takes nothing."""
    store.add("p.m/Train", {"lr": 1}, status="failed")
    before = read(store.root)
    assert cli.main(["gc", *arguments, "--yes", "--root", str(store.root)]) in (1, 2)
    assert said in capsys.readouterr().err
    assert read(store.root) == before


def test_kept_artifact_without_readable_needs_is_refused(
    store: StoreWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing says what a kept artifact needs, nothing goes."""
    kept = store.add("p.m/Train", {"lr": 1})
    store.add("p.m/Train", {"lr": 2})
    (store.directory(kept) / ".huldra" / "metadata.json").unlink()
    arguments = ["gc", "--keep", kept, "--unreachable", "--yes", "--root", str(store.root)]
    assert cli.main(arguments) == 1
    assert "cannot tell what" in capsys.readouterr().err


@pytest.mark.parametrize("status", ["running", "success", "failed"])
@pytest.mark.parametrize("what", [("--older-than", "30d"), ("--max-size", "1")])
def test_what_stays_without_readable_needs_is_refused(
    store: StoreWriter, capsys: pytest.CaptureFixture[str], status: str, what: tuple[str, str]
) -> None:
    """Where nothing says what something needs that stays or runs, nothing goes."""
    data = store.add("p.m/Data", {"x": 1}, ago_s=9e6)
    user = store.add("p.m/Train", {"data": ref(data)}, status=status, ago_s=10)
    (store.directory(user) / ".huldra" / "metadata.json").write_bytes(b"{")
    keep = [] if status == "running" else ["--keep", user]
    assert cli.main(["gc", *what, *keep, "--yes", "--root", str(store.root)]) == 1
    assert f"cannot tell what {user} needs" in capsys.readouterr().err
    assert store.directory(data).is_dir()


def test_what_never_began_needs_nothing(store: StoreWriter, answer: Answer) -> None:
    """A job that was cancelled in the queue has no metadata, and holds nothing up."""
    waited = store.add("p.m/Train", {"x": 1}, status="absent")
    store.queue_again(waited, end="cancelled")
    (store.directory(waited) / ".huldra" / "metadata.json").unlink()
    old = store.add("p.m/Data", {"x": 1}, ago_s=9e6)
    found = answer("gc", "--older-than", "30d", "--keep", waited, "--yes")
    assert [one["what"] for one in found] == [old]


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_kept_is_a_hit_with_all_below_it(
    huldra_store: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    """Property: in a random graph, kept members and all that they need are hits afterwards."""
    chance = random.Random(seed)
    steps: list[Step] = []
    for number in range(14):
        needs = tuple(chance.sample(steps, min(len(steps), chance.randrange(3))))
        steps.append(Step(name=f"{seed}.{number}", needs=needs))
    huldra.load_or_create(steps)
    kept = chance.sample(steps, 3)
    keeps = [word for step in kept for word in ("--keep", step.huldra_hash)]
    capsys.readouterr()
    assert cli.main(["gc", *keeps, "--unreachable", "--yes", "--json"]) == 0
    pending, below = [*kept], set[str]()
    while pending:
        step = pending.pop()
        assert step.exists()
        below.add(step.huldra_hash)
        pending += step.needs  # type: ignore[arg-type]  # all are steps
    gone = {one["what"].rpartition("/")[2] for one in json.loads(capsys.readouterr().out)}
    assert gone == {step.huldra_hash for step in steps} - below
