"""What the store has of a frozen project: for whom it is readable, and kept out of git."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from huldra.errors import HuldraError
from huldra.provenance import frozen
from huldra.provenance.kept_files import KeptFiles
from huldra.provenance.project_tree import ProjectTree


def keep(top: Path, *names: str) -> str:
    """Keep a tree of these files, as a process does that keeps its first one."""
    return frozen.keep(frozen.read_tree(ProjectTree(str(top), names, ())))


def modes(folder: Path) -> dict[str, int]:
    """The permissions of the files below a folder, by their content."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.read_text(): path.stat().st_mode & 0o777 for path in files}


@pytest.fixture
def _usual_umask() -> Iterator[None]:
    umask = os.umask(0o022)
    yield
    os.umask(umask)


@pytest.mark.usefixtures("_usual_umask")
def test_a_copy_is_readable_for_no_more_than_its_file(tmp_path: Path, huldra_root: Path) -> None:
    """In the store, and where it is restored."""
    top = tmp_path / "project"
    top.mkdir()
    expected = {}
    for name, mode in {"a": 0o600, "b": 0o640, "c": 0o644, "d": 0o700, "e": 0o755}.items():
        (top / name).write_text(name)
        (top / name).chmod(mode)
        expected[name] = mode
    digest = keep(top, *expected)
    kept = modes(huldra_root / "code/files")
    assert {name: mode & 0o044 for name, mode in kept.items()} == {
        name: mode & 0o044 for name, mode in expected.items()
    }
    frozen.restore(str(huldra_root), frozen.load(str(huldra_root), digest), str(tmp_path / "out"))
    assert modes(tmp_path / "out") == expected


def test_a_tree_whose_files_are_gone_is_kept_again(
    tmp_path: Path, huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another process kept the tree, and its list is there."""
    (tmp_path / "a.py").write_text("a = 1\n")
    keep(tmp_path, "a.py")
    (copy,) = (path for path in (huldra_root / "code/files").rglob("*") if path.is_file())
    copy.unlink()
    monkeypatch.setattr(frozen, "_kept", KeptFiles())
    keep(tmp_path, "a.py")
    assert copy.read_text() == "a = 1\n"


def test_the_copies_are_kept_out_of_git(tmp_path: Path, huldra_root: Path) -> None:
    """Also where `code/` was there without its `.gitignore`."""
    (tmp_path / "a.py").write_text("a = 1\n")
    ignored = huldra_root / "code/.gitignore"
    keep(tmp_path, "a.py")
    assert "*" in ignored.read_text().splitlines()
    ignored.unlink()
    keep(tmp_path, "a.py")
    assert ignored.exists()


@pytest.mark.parametrize("record", ["{}", '{"files": {"a": []}, "links": {}}', '{"files": 1}'])
def test_a_damaged_list_is_named(huldra_root: Path, record: str) -> None:
    """And what to do about it."""
    path = huldra_root / "code/trees" / f"{'0' * 32}.json"
    path.parent.mkdir(parents=True)
    path.write_text(record)
    with pytest.raises(HuldraError, match=f"{path} is damaged.*submit again"):
        frozen.load(str(huldra_root), "0" * 32)
