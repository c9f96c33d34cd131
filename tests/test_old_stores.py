"""Stores that earlier versions left are read, shown, gone on with and tidied up."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra import cli
from huldra.catalog import Catalog
from huldra.store import claim
from huldra.store.layout import ArtifactPaths
from huldra.store.records import RUNNING
from huldra.worker.node import run_node
from tests.support.odd import lines
from tests.support.old_samples import SAMPLES, Outcome

STORE = Path(__file__).parent / "data" / "store-v1"
MANIFEST: dict[str, Any] = json.loads((STORE / "manifest.json").read_text(encoding="utf-8"))
ARTIFACTS: dict[str, dict[str, Any]] = MANIFEST["artifacts"]
# The catalog of the version before took a start that stopped between its two links for a crash. It
# is an open attempt of the job's owner, as the core of that version had it.
ARTIFACTS["started"] |= {"shown": "stale", "backend": "local"}
MADE = [name for name, told in ARTIFACTS.items() if told["is_there"]]
LONG_AGO = 1769860800.0
OPEN = ("queued", "running", "stale")


@pytest.fixture
def old_store(tmp_path: Path) -> Iterator[Path]:
    """A copy of the frozen store, with its root's path inside and its owners long silent."""
    root = tmp_path / "store"
    shutil.copytree(STORE / "store", root)
    for path in [path for path in root.rglob("*") if path.is_file()]:
        data = path.read_bytes()
        path.write_bytes(data.replace(MANIFEST["root"].encode(), str(root).encode()))
        os.utime(path, (LONG_AGO, LONG_AGO))
        if path.name == "_gitignore":
            path.rename(path.with_name(".gitignore"))
    with huldra.huldra_root(root):
        yield root


def files_of(root: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time."""
    stats = {str(path.relative_to(root)): path.stat() for path in root.rglob("*")}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


@pytest.mark.parametrize("name", ARTIFACTS)
def test_configs_hash_and_live_where_they_did(old_store: Path, name: str) -> None:
    """Hash and folder of a config are those of the version before."""
    told = ARTIFACTS[name]
    assert SAMPLES[name].huldra_hash == told["hash"]
    assert str(SAMPLES[name].huldra_dir.relative_to(old_store)) == told["directory"]


def test_what_was_made_is_a_hit_and_nothing_is_written(old_store: Path) -> None:
    """Old artifacts load without `_create`, and loading them changes no file."""
    before = files_of(old_store)
    assert {name: SAMPLES[name].load_or_create() for name in MADE} == {
        name: ARTIFACTS[name]["loads"] for name in MADE
    }
    assert files_of(old_store) == before


@pytest.mark.parametrize("name", ARTIFACTS)
def test_states_and_histories_are_what_they_were(old_store: Path, name: str) -> None:
    """Result, last status and the ends of the runs are read as the version before did."""
    told, directory = ARTIFACTS[name], SAMPLES[name].huldra_dir
    state = huldra.StateManager.read(directory)
    assert state.result == told["result"]
    assert (state.attempt.status if state.attempt else None) == told["status"]
    attempts = claim.read_history(ArtifactPaths(str(directory)))
    began = [attempt.status for attempt in attempts if attempt.claim.kind == RUNNING]
    assert began == told["turns"]


@pytest.mark.parametrize("name", ARTIFACTS)
def test_old_artifacts_are_explained(old_store: Path, name: str) -> None:
    """`explain` says hit or miss of every state, and writes nothing."""
    before = files_of(old_store)
    told = SAMPLES[name].explain()
    assert told.is_hit is ARTIFACTS[name]["is_there"]
    assert ARTIFACTS[name]["hash"] in str(told)
    assert files_of(old_store) == before


def test_catalog_lists_the_old_store(old_store: Path) -> None:
    """Each old artifact is one row without a problem, with the status that it had."""
    catalog = Catalog([str(old_store)])
    rows = {row.key.rpartition("/")[2]: row for row in catalog.snapshot().query().rows}
    shown = {name: told for name, told in ARTIFACTS.items() if told["shown"]}
    assert len(rows) == len(shown)
    for name, told in shown.items():
        row = rows[told["hash"]]
        assert row.backend == told["backend"], name
        assert row.status == told["shown"] or {row.status, told["shown"]} <= set(OPEN), name
        detail = catalog.detail(row)
        assert detail.problems == (), name
        assert bool(detail.attempts) or not told["turns"], name


def test_old_configs_are_rebuilt_from_their_metadata(old_store: Path) -> None:
    """The config document in old metadata gives the config back."""
    for name in MADE:
        record = huldra.MetadataManager.read(SAMPLES[name].huldra_dir)
        assert huldra.HuldraSerializer.from_dict(record.huldra_obj) == SAMPLES[name], name


def test_old_runs_are_shown_with_their_members(old_store: Path) -> None:
    """The run records of every engine are read, and the members carry their names."""
    sweeps = Catalog([str(old_store)]).sweeps()
    assert {sweep.engine for sweep in sweeps} == {"local", "slurm", "dask", "ray"}
    assert all(sweep.problem == "" for sweep in sweeps)
    [local] = [sweep for sweep in sweeps if sweep.engine == "local"]
    assert {m.name: m.status for m in local.members if m.name} == {
        "done": "success",
        "dependent": "failed",
    }


def test_unsaid_success_is_written_down_and_not_made_again(old_store: Path, tmp_path: Path) -> None:
    """An old end that says success without its record is finished, without `_create`."""
    ledger = tmp_path / "ledger"
    assert Outcome(name="unsaid", ledger=str(ledger)).load_or_create() == "unsaid"
    assert lines(ledger) == []
    assert (SAMPLES["unsaid"].huldra_dir / ".huldra" / "SUCCESS.json").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("failed", "cancelled", "preempted", "crashed", "abandoned", "running"),
        "local failed",
    ],
)
def test_what_was_not_made_is_made_by_the_next_call(
    old_store: Path, tmp_path: Path, name: str
) -> None:
    """Each old attempt that is over, or whose owner is gone, gives way to one new `_create`."""
    ledger = tmp_path / "ledger"
    assert Outcome(name=name, ledger=str(ledger)).load_or_create() == name
    assert lines(ledger) == [f"begin {name}"]


def test_job_of_an_old_run_starts_on_a_new_worker(old_store: Path) -> None:
    """A job that was queued before the upgrade runs after it: old run records are read."""
    sample = SAMPLES["slurm bound"]
    [run] = [
        path
        for path in old_store.glob("runs/*/graph.json")
        if sample.huldra_hash in json.loads(path.read_text())["objects"]
    ]
    key = ArtifactPaths(str(sample.huldra_dir)).key
    words = {"protocol": 1, "run": str(run), "key": key, "engine": "slurm"}
    with contextlib.chdir(Path.cwd()):
        run_node(json.dumps(words))
    assert sample.load_or_create() == "slurm bound"


def test_old_artifacts_are_removed(old_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`huldra rm` takes every artifact that is over, whatever its end was."""
    over = [name for name, told in ARTIFACTS.items() if told["shown"] not in (*OPEN, None)]
    hashes = [ARTIFACTS[name]["hash"] for name in over]
    assert cli.main(["rm", "--root", str(old_store), "--yes", *hashes]) == 0
    assert not any(SAMPLES[name].huldra_dir.exists() for name in over)
