"""Which files are the project, how large it may be, and that each is kept once."""

from __future__ import annotations

import subprocess
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import huldra
from huldra.errors import HuldraRefused
from huldra.provenance import frozen
from huldra.provenance.project_tree import ProjectTree, trees_of
from huldra.provenance.sources import Source


def write(path: Path, text: str = "x = 1\n") -> Source:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
    return Source(str(path), "", 0)


def test_a_work_tree_is_what_git_does_not_ignore(tmp_path: Path) -> None:
    """With ignored files that are loaded, and compiled modules beside the others."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    module = write(tmp_path / "pkg/a.py")
    version = write(tmp_path / "pkg/_version.py")
    compiled = f"pkg/fast{EXTENSION_SUFFIXES[0]}"
    for name in ("data.txt", compiled, "out/big.bin", f"out/other{EXTENSION_SUFFIXES[0]}"):
        write(tmp_path / name)
    write(tmp_path / "store/data/x")
    write(tmp_path / ".gitignore", f"_version.py\n*{EXTENSION_SUFFIXES[0]}\nout/\n")
    modules = {"pkg.a": module, "pkg._version": version}
    (tree,) = trees_of(modules, str(tmp_path / "store"))
    assert tree.top == str(tmp_path)
    assert tree.import_roots == (str(tmp_path),)
    expected = {".gitignore", "data.txt", "pkg/a.py", "pkg/_version.py", compiled}
    assert set(tree.names) == expected


def test_without_git_it_is_the_packages_of_the_modules(tmp_path: Path) -> None:
    """Whole packages with their data; caches, hidden folders and environments are left out."""
    module = write(tmp_path / "pkg/sub/a.py")
    single = write(tmp_path / "single.py")
    for name in ("pkg/data.txt", "pkg/__pycache__/a.pyc", "pkg/.hidden/x", "other.py"):
        write(tmp_path / name)
    write(tmp_path / "pkg/env/pyvenv.cfg")
    trees = trees_of({"pkg.sub.a": module, "single": single}, str(tmp_path / "store"))
    assert [set(tree.names) for tree in trees] == [{"pkg/sub/a.py", "pkg/data.txt", "single.py"}]


def test_of_private_files_modules_alone_are_frozen(tmp_path: Path) -> None:
    """A secret need not lie in the store, and with a umask of 077 every module is private."""
    for top in (tmp_path / "plain", tmp_path / "tree"):
        module = write(top / "pkg/a.py")
        for name in ("pkg/a.py", "pkg/.env", "pkg/other.py"):
            write(top / name)
            (top / name).chmod(0o600)
        write(top / "pkg/data.txt")
        if top.name == "tree":
            subprocess.run(["git", "init", "-q", str(top)], check=True)
        (tree,) = trees_of({"pkg.a": module}, str(tmp_path / "store"))
        assert set(tree.names) == {"pkg/a.py", "pkg/other.py", "pkg/data.txt"}


@pytest.mark.parametrize("home", ["home", "link"])
def test_a_home_that_is_a_work_tree_is_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    """Of a module directly in it, that file alone is frozen; of a package, its folder."""
    folder = tmp_path / "home"
    single, inner = write(folder / "train.py"), write(folder / "pkg/a.py")
    for name in (".ssh/id_rsa", "notes.txt", "train/out.bin", "pkg/data.txt"):
        write(folder / name)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (tmp_path / "link").symlink_to("home")
    monkeypatch.setenv("HOME", str(tmp_path / home))
    (tree,) = trees_of({"train": single, "pkg.a": inner}, str(tmp_path / "store"))
    assert tree.top == str(folder)
    assert set(tree.names) == {"train.py", "pkg/a.py", "pkg/data.txt"}


def test_a_project_over_the_limit_names_its_largest_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what to do about them; nothing is sent."""
    monkeypatch.setattr(huldra.HULDRA_CONFIG, "freeze_max_mb", 1)
    for number in range(12):
        write(tmp_path / f"file{number:02d}", "x" * (100_000 + number))
    names = tuple(f"file{number:02d}" for number in range(12))
    with pytest.raises(HuldraRefused, match="HULDRA_FREEZE_MAX_MB allows 1") as caught:
        frozen.refuse_too_large([ProjectTree(str(tmp_path), names, ())])
    assert "file11" in str(caught.value)
    assert "file01" not in str(caught.value)
    assert ".gitignore" in str(caught.value)


def test_equal_files_are_kept_once(tmp_path: Path, huldra_root: Path) -> None:
    """A second tree adds what changed; an equal tree adds nothing."""
    write(tmp_path / "p/a.py")
    write(tmp_path / "p/b.py", "b = 1\n")
    (tmp_path / "p/link").symlink_to("a.py")
    tree = ProjectTree(str(tmp_path / "p"), ("a.py", "b.py", "gone.py", "link"), ())
    first = frozen.keep(frozen.read_tree(tree))
    assert frozen.keep(frozen.read_tree(tree)) == first
    write(tmp_path / "p/b.py", "b = 2\n")
    second = frozen.keep(frozen.read_tree(tree))
    assert second != first
    kept = [path for path in (huldra_root / "code/files").rglob("*") if path.is_file()]
    assert len(kept) == 3
    frozen.restore(str(huldra_root), frozen.load(str(huldra_root), first), str(tmp_path / "out"))
    assert (tmp_path / "out/b.py").read_text() == "b = 1\n"
    assert (tmp_path / "out/link").readlink() == Path("a.py")
