"""Code in a store that nothing refers to: found, moved by `huldra gc`, and put back."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from huldra import cli
from huldra.catalog import code_leftovers
from huldra.provenance import code_store, frozen
from huldra.provenance.frozen import FrozenTree
from huldra.provenance.kept_files import KeptFiles
from huldra.provenance.project_tree import ProjectTree
from huldra.store import trash
from tests.dashboard.store import StoreWriter
from tests.support.projects import Project, project

__all__ = ["project"]  # pytest finds the fixture here


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test relies on what another one has kept."""
    monkeypatch.setattr(code_store, "_kept", KeptFiles())
    monkeypatch.setattr(frozen, "_kept", KeptFiles())


def code_of(root: Path) -> set[str]:
    """The files of `code/`, by their names below it."""
    found = (path for path in (root / "code").rglob("*") if path.is_file())
    return {str(path.relative_to(root / "code")) for path in found} - {".gitignore"}


def make_old(root: Path) -> None:
    """All files of `code/` are two hours old."""
    at_s = time.time() - 7200
    for name in code_of(root):
        os.utime(root / "code" / name, (at_s, at_s))


def leftovers(root: Path) -> set[str]:
    """What of `code/` may go, by the names below it."""
    return {
        item.path.removeprefix(f"{root}/code/") for item in code_leftovers.unreferenced(str(root))
    }


def freeze(root: Path, folder: Path, **texts: str) -> tuple[FrozenTree, str]:
    """Keep a tree of such files."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
    tree = frozen.read_tree(ProjectTree(str(folder), tuple(texts), ()))
    return tree, frozen.keep(tree)


def write_run(root: Path, **facts: Any) -> Path:
    """Write a run's record with such facts; return its path."""
    writer = StoreWriter(root)
    run_id = writer.add_run("Sweep", {}, {})
    path = root / "runs" / run_id / "graph.json"
    writer.dump(path, json.loads(path.read_text()) | facts)
    return path


def test_code_that_an_artifact_names_stays_until_it_goes(
    huldra_root: Path, project: Project
) -> None:
    """An artifact's metadata keeps its record and the sources; without it they are leftovers."""
    obj = project.load()()
    obj.load_or_create()
    make_old(huldra_root)
    assert len(code_of(huldra_root)) > 2
    assert leftovers(huldra_root) == set()
    obj.discard()
    assert leftovers(huldra_root) == code_of(huldra_root)


def test_young_code_stays(huldra_root: Path, project: Project) -> None:
    """What a process is about to name is younger than an hour."""
    obj = project.load()()
    obj.load_or_create()
    obj.discard()
    assert leftovers(huldra_root) == set()


def test_a_run_keeps_its_frozen_tree(huldra_root: Path, tmp_path: Path) -> None:
    """The tree and its files stay as long as the run's record names them; others go."""
    _, needed = freeze(huldra_root, tmp_path / "p", a="a = 1\n", b="b = 1\n")
    before = code_of(huldra_root)
    freeze(huldra_root, tmp_path / "p", a="a = 1\n", b="b = 2\n")
    path = write_run(huldra_root, frozen=[{"top": "/p", "tree": needed, "import_roots": [""]}])
    make_old(huldra_root)
    assert leftovers(huldra_root) == code_of(huldra_root) - before
    shutil.rmtree(path.parent)
    assert leftovers(huldra_root) == code_of(huldra_root)


def test_a_run_keeps_the_code_of_its_classes(huldra_root: Path, project: Project) -> None:
    """Its nodes will name the records that the driver made."""
    digest = code_store.keep(project.load())
    make_old(huldra_root)
    write_run(huldra_root, class_code={"digests": {"p/Train": digest}})
    assert leftovers(huldra_root) == set()


def test_where_something_cannot_be_read_nothing_goes(huldra_root: Path, project: Project) -> None:
    """A damaged record of a run may name anything."""
    code_store.keep(project.load())
    make_old(huldra_root)
    path = write_run(huldra_root)
    assert leftovers(huldra_root)
    path.write_text("{")
    assert leftovers(huldra_root) == set()


def test_gc_moves_it_and_puts_it_back(
    huldra_root: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the trash, as artifacts; what is in the trash keeps its code."""
    obj = project.load()()
    obj.load_or_create()
    make_old(huldra_root)
    before = code_of(huldra_root)
    gc = ["gc", "--root", str(huldra_root)]
    assert cli.main([*gc, "--older-than", "0s", "--yes"]) == 0
    assert not obj.exists()
    assert cli.main([*gc, "--failed", "--yes"]) == 0
    assert code_of(huldra_root) == before
    assert cli.main([*gc, "--empty", "--yes"]) == 0
    assert cli.main([*gc, "--failed", "--yes"]) == 0
    assert "code that nothing refers to" in capsys.readouterr().out
    assert code_of(huldra_root) == set()
    assert cli.main([*gc, "--undo"]) == 0
    assert code_of(huldra_root) == before


def test_what_comes_into_use_while_it_is_moved_is_put_back(
    huldra_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that relies on an old tree right before the move finds it, and so do its nodes."""
    tree, digest = freeze(huldra_root, tmp_path / "p", a="a = 1\n")
    make_old(huldra_root)
    new = trash.new

    def keep_again(root: str, paths: Any) -> str:
        monkeypatch.setattr(frozen, "_kept", KeptFiles())  # as another process
        assert frozen.keep(tree) == digest
        return new(root, paths)

    monkeypatch.setattr(trash, "new", keep_again)
    assert cli.main(["gc", "--failed", "--yes", "--root", str(huldra_root)]) == 1
    frozen.restore(str(huldra_root), frozen.load(str(huldra_root), digest), str(tmp_path / "out"))


def test_a_process_of_long_standing_writes_again_what_went(
    huldra_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After half an hour it asks the store again for what it kept."""
    tree, digest = freeze(huldra_root, tmp_path / "p", a="a = 1\n")
    shutil.rmtree(huldra_root / "code")
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + 1801)
    assert frozen.keep(tree) == digest
    assert frozen.load(str(huldra_root), digest).files == tree.files


def test_relying_on_a_file_makes_it_young(huldra_root: Path, project: Project) -> None:
    """Another process that has the same code renews the record and its sources."""
    cls = project.load()
    code_store.keep(cls)
    make_old(huldra_root)
    assert leftovers(huldra_root)
    code_store._kept = KeptFiles()
    code_store.keep(cls)
    assert leftovers(huldra_root) == set()
