"""Configs of nodes that never began, from the record of their run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import huldra
from huldra.catalog import Catalog, Query
from huldra.catalog.run_configs import planned_of
from huldra.config.documents import plain_config
from tests.support.config_samples import DISTINCT
from tests.support.odd import Failing, Note, Wants


@pytest.fixture
def waiting(huldra_root: Path) -> Note:
    """An artifact whose dependency failed, so that nobody ever began it."""
    waiting = Note(name="waiting", needs=(Failing(name="bad", how="value"),))
    huldra.load_or_create({"it": waiting}, executor="inline").wait(30)
    return waiting


def test_what_never_began_has_its_config(waiting: Note, huldra_root: Path) -> None:
    """In lists, in filters, through its dependencies, and in detail."""
    catalog = Catalog([huldra_root])
    snapshot = catalog.snapshot()
    (row,) = snapshot.query(Query(config="name=waiting and needs[0].how=value")).rows
    assert row.key.endswith(waiting.huldra_hash)
    assert row.config == plain_config(waiting)
    assert [(d.field, d.digest) for d in row.dependencies] == [
        ("needs[0]", waiting.needs[0].huldra_hash)
    ]
    assert catalog.detail(row).row.config == row.config
    assert catalog.find(waiting.huldra_hash)[0].config == row.config
    assert catalog.snapshot(max_age_s=0).generation == snapshot.generation


def test_metadata_takes_over_when_it_begins(waiting: Note, huldra_root: Path) -> None:
    """What an attempt recorded counts, whatever the run says."""
    catalog = Catalog([huldra_root])
    assert catalog.snapshot().query(Query(config="name=waiting")).total == 1
    (waiting.needs[0].huldra_dir / "note.txt").write_text("x")
    again = Note(name="waiting", needs=(Failing(name="bad", how="value"),))
    with pytest.raises(huldra.HuldraComputeError):
        again.load_or_create()
    assert catalog.snapshot(max_age_s=0).query(Query(config="name=waiting")).total == 1


@pytest.mark.parametrize("text", [b"", b"{", b'{"ref": 3}\n', b'{"ref": "a", "node": 1}\n[]\n'])
def test_a_record_that_cannot_be_read_says_nothing(tmp_path: Path, text: bytes) -> None:
    """Nor does a link or a folder in its place."""
    run = tmp_path / "runs" / "r"
    run.mkdir(parents=True)
    (run / "nodes.jsonl").write_bytes(text)
    assert planned_of(str(tmp_path), "r") == {}
    os.rename(run / "nodes.jsonl", run / "other")
    (run / "nodes.jsonl").symlink_to(run / "other")
    assert planned_of(str(tmp_path), "r") == {}


@pytest.mark.parametrize(
    "name", ["list", "tuple", "dict int key", "path", "enum", "dataclass", "named tuple", "chz"]
)
def test_values_are_shown_as_metadata_shows_them(huldra_root: Path, name: str) -> None:
    """Forms of one key are opened, without the classes."""
    step = Wants(value=DISTINCT[name], need=Failing(name="bad", how="value"))
    huldra.load_or_create({"it": step}, executor="inline").wait(30)
    (row,) = Catalog([huldra_root]).find(step.huldra_hash)
    assert row.config == plain_config(step)
