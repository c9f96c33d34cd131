"""Questions to a store: they find, compare and describe, and they change nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.errors import HuldraArtifactMissing, HuldraQueryError, HuldraSerializationError


class Part(huldra.Huldra[int]):
    size: int = 1

    def _create(self) -> int:
        (self.huldra_dir / "size").write_text(str(self.size))
        return self.size

    def _load(self) -> int:
        return int((self.huldra_dir / "size").read_text())


class Whole(huldra.Huldra[dict[str, float]]):
    part: Part = huldra.field(default_factory=Part)
    lr: float = 0.1

    def _create(self) -> dict[str, float]:
        if self.lr > 1:
            raise ValueError("too large")
        result = {"loss": self.lr * self.part.load_or_create()}
        (self.huldra_dir / "metrics.json").write_text(json.dumps(result))
        return result

    def _load(self) -> dict[str, float]:
        found: dict[str, float] = json.loads((self.huldra_dir / "metrics.json").read_text())
        return found


class Wholes(huldra.HuldraList[Whole]):
    low = Whole(lr=0.1)
    high = Whole(lr=0.2, part=Part(size=3))
    bad = Whole(lr=2.0)
    never = Whole(lr=0.3)


@pytest.fixture
def store(huldra_root: Path) -> Path:
    """Two complete members, a failed one and one that nobody asked for."""
    for name in ("low", "high", "bad"):
        try:
            Wholes.by_name(name).load_or_create()
        except huldra.HuldraComputeError:
            assert name == "bad"
    return huldra_root


def bytes_of(root: Path) -> str:
    """A digest of every name, content and time below a root."""
    lines = [
        f"{path} {path.stat().st_mtime_ns} {path.read_bytes() if path.is_file() else b''!r}"
        for path in sorted(root.rglob("*"))
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_an_artifact_opens_by_the_first_digits_of_its_hash(store: Path) -> None:
    """The object that comes back is equal to the one that made the artifact."""
    assert huldra.open(Wholes.low.huldra_hash[:12]) == Wholes.low
    assert huldra.open(f"Whole/{Wholes.low.huldra_hash[:12]}") == Wholes.low


def test_an_unknown_id_says_what_is_wanted(store: Path) -> None:
    """Nothing of that name is an error that names the root and the forms of an ID."""
    with pytest.raises(HuldraArtifactMissing, match="expected a hash"):
        huldra.open("ffffffff")


def test_an_ambiguous_id_lists_what_it_may_mean(huldra_root: Path) -> None:
    """Two artifacts with equal first digits are both named."""
    for size in range(40):
        Part(size=size).load_or_create()
    hashes = [Part(size=size).huldra_hash for size in range(40)]
    folder = Part().huldra_dir.parent
    twin = hashes[0][:8] + ("0" if hashes[0][8] != "0" else "1") + hashes[0][9:]
    (folder / hashes[0]).rename(folder / twin)
    Part(size=0).load_or_create()
    with pytest.raises(HuldraQueryError, match="is ambiguous"):
        huldra.open(hashes[0][:8])


def test_a_class_that_is_gone_leaves_a_view_for_reading(store: Path) -> None:
    """Where the class cannot be imported the config, the files and the metrics can be read."""
    metadata = Wholes.low.huldra_dir / ".huldra" / "metadata.json"
    text = metadata.read_text()
    metadata.write_text(text.replace(f"{__name__}:Whole", "gone_module:Whole"))
    found = huldra.open(Wholes.low.huldra_hash)
    assert isinstance(found, huldra.Found)
    assert (found.config["lr"], found.status) == (0.1, "success")
    assert found.metrics == {"loss": pytest.approx(0.1)}
    with pytest.raises(HuldraSerializationError):
        found.object()


def test_find_gives_the_artifacts_of_a_class_that_meet_a_condition(store: Path) -> None:
    """A condition goes into nested configs; the result can be asked for, too."""
    assert {found.key for found in huldra.find(Whole, "lr<1 and part.size=3")} == {
        f"{__name__}/Whole/{Wholes.high.huldra_hash}"
    }
    (failed,) = huldra.find(Whole, status="failed")
    assert failed.error == "builtins.ValueError: too large"
    assert failed.object() == Wholes.bad
    assert len(huldra.find()) == 5


def test_a_condition_that_cannot_be_read_is_refused(store: Path) -> None:
    """The error is the query's own."""
    with pytest.raises(HuldraQueryError):
        huldra.find(Whole, "lr <")


@pytest.mark.parametrize("kind", ["object", "id", "found"])
def test_diff_takes_objects_ids_and_what_was_found(store: Path, kind: str) -> None:
    """Nested configs are taken apart, whatever names the two."""
    targets: dict[str, Any] = {
        "object": Wholes.high,
        "id": Wholes.high.huldra_hash,
        "found": next(found for found in huldra.find(Whole, "lr=0.2")),
    }
    found = huldra.diff(Wholes.low, targets[kind])
    assert list(found) == [("part.size", 1, 3), ("lr", 0.1, 0.2)]
    assert "part.size" in str(found)


def test_equal_configs_have_no_differences(huldra_root: Path) -> None:
    """Configs of which no artifact exists can be compared, too."""
    assert not huldra.diff(Whole(lr=0.5), Whole(lr=0.5))


def test_status_of_a_list_runs_nothing(store: Path) -> None:
    """A failed member stays failed, an absent one absent, and no byte of the store changes."""
    before = bytes_of(store)
    assert Wholes.status() == {
        "low": "success",
        "high": "success",
        "bad": "failed",
        "never": "absent",
    }
    assert huldra.status([Part(size=3)]) == {f"Part_{Part(size=3).huldra_hash[:9]}": "success"}
    Wholes.rows()
    huldra.find(Whole)
    huldra.open(Wholes.low.huldra_hash)
    huldra.diff(Wholes.low.huldra_hash, Wholes.high.huldra_hash)
    assert bytes_of(store) == before


def test_rows_have_hash_error_nested_fields_and_metrics(store: Path) -> None:
    """What varies inside a nested config has a column of its own, and so has each metric."""
    rows = {row["name"]: row for row in Wholes.rows()}
    assert rows["high"]["part.size"] == 3
    assert rows["high"]["hash"] == Wholes.high.huldra_hash
    assert rows["low"]["metrics.loss"] == pytest.approx(0.1)
    assert rows["bad"]["error"] == "builtins.ValueError: too large"
    assert rows["never"]["status"] == "absent"
    assert "lr" in rows["never"]


def test_no_rows_of_no_configs(huldra_root: Path) -> None:
    """An empty collection is an empty table."""
    assert huldra.rows([]) == []


def test_a_frame_has_the_rows(store: Path) -> None:
    """`frame` is the table for pandas."""
    pytest.importorskip("pandas")
    table = Wholes.frame()
    assert list(table["name"]) == Wholes.names()


def test_results_may_leave_out_what_failed(huldra_root: Path) -> None:
    """With `failed="skip"` the good results of a sweep are had without the bad ones."""
    sweep = Wholes.load_or_create(executor="inline")
    with pytest.raises(ExceptionGroup, match="1 of 4 jobs"):
        sweep.results()
    assert set(sweep.results(failed="skip")) == {"low", "high", "never"}
    assert set(sweep.failed()) == {"bad"}


def test_a_sweep_can_be_had_again_from_its_run(huldra_root: Path) -> None:
    """Another process finds the jobs of a run, members that were complete before among them."""
    Wholes.low.load_or_create()
    sweep = Wholes.load_or_create(executor="inline")
    sweep.wait(60)
    (run_id,) = [folder.name for folder in (huldra_root / "runs").iterdir()]
    again = huldra.run(run_id)
    assert list(again) == Wholes.names()
    assert again["high"].artifact == Wholes.high
    assert again.results(failed="skip") == sweep.results(failed="skip")
    assert set(again.failed()) == {"bad"}


def test_an_unknown_run_is_a_clear_error(huldra_root: Path) -> None:
    """It says where the runs are, and which command lists them."""
    with pytest.raises(HuldraArtifactMissing, match="huldra sweeps"):
        huldra.run("20260101T000000-0000000000")
