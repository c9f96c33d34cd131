"""`huldra export` and `huldra import`, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import huldra
from huldra import cli
from huldra.testing.pipelines import Step, count_notes


def test_export_import_hit(
    huldra_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was exported is a hit in another store, with what it needs, and computes nothing."""
    notes = tmp_path / "notes"
    notes.mkdir()
    inner = Step(name="inner", notes=str(notes))
    outer = Step(name="outer", needs=(inner,), notes=str(notes))
    outer.load_or_create()
    out, other = tmp_path / "out.tar", tmp_path / "elsewhere" / "store"
    assert cli.main(["export", outer.huldra_hash[:12], str(out)]) == 0
    other.parent.mkdir()
    assert cli.main(["import", str(out), "--root", str(other)]) == 0
    assert "2 artifacts" in capsys.readouterr().out
    with huldra.huldra_root(other):
        assert outer.exists()
        assert inner.exists()
        assert outer.load_or_create()["from"] == "_load"
        assert outer.get_metadata().huldra_hash == outer.huldra_hash
    assert count_notes(notes, "inner", "began") == 1
    assert cli.main(["import", str(out), "--root", str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["imported"] == []


def test_export_of_what_is_not_complete_is_refused(
    huldra_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An export is whole or is not made."""
    with pytest.raises(huldra.HuldraComputeError):
        Step(name="bad", does="fail").load_or_create()
    out = tmp_path / "out.tar"
    words = ["huldra.testing.pipelines:Step", "name=bad"]
    assert cli.main(["export", *words, str(out)]) == 1
    assert "is not complete" in capsys.readouterr().err
    assert not out.exists()


def test_export_without_readable_needs_is_refused(
    huldra_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An artifact whose needs nothing tells would come without them."""
    step = Step(name="outer", needs=(Step(name="inner"),))
    step.load_or_create()
    (step.huldra_dir / ".huldra" / "metadata.json").write_bytes(b"{")
    out = tmp_path / "out.tar"
    assert cli.main(["export", f"Step/{step.huldra_hash}", str(out)]) == 1
    assert "cannot tell what" in capsys.readouterr().err
    assert not out.exists()


def test_import_of_no_archive_makes_no_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An import that fails leaves nothing behind."""
    root = tmp_path / "store"
    assert cli.main(["import", str(tmp_path / "nope.tar"), "--root", str(root)]) == 1
    assert "nope.tar" in capsys.readouterr().err
    assert not root.exists()
