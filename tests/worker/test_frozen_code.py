"""Nodes run the code as it was at submission, however the project lies on the disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from huldra import cli
from huldra.errors import NodeFailed
from huldra.provenance import frozen as frozen_trees
from huldra.provenance.project_tree import ProjectTree, trees_of
from huldra.provenance.sources import Source
from huldra.worker import frozen_code
from tests.support import children

MODULE = """
import huldra
from pathlib import Path
from {helper} import WORD
HERE = Path(__file__).parent


class Model(huldra.Huldra[str]):
    x: int = 0

    def _create(self) -> str:
        import {package}.late
        words = [WORD, {package}.late.WORD, *((HERE / name).read_text() for name in {data!r})]
        return " ".join(words)
"""
DRIVER = """
import json, pathlib, sys
{before}
import {package}.model as model
from huldra.engines.protocol import Capabilities
from huldra.testing import FakeExecutor
engine = FakeExecutor(capabilities=Capabilities(native_dependencies=True, isolates=True))
model.Model(x=1).load_or_create(executor=engine)
(task,) = engine.graphs[-1].tasks.values()
pathlib.Path({payload!r}).write_text(task.payload)
print(task.directory)
"""


class Frozen:
    """A project below a folder, a driver that submits a node of it, and a worker that runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "store"
        self.payload = folder / "payload.json"
        self.env = children.environment(
            self.root,
            HULDRA_FREEZE="on",
            TMPDIR=str(folder / "tmp"),
            PYTHONDONTWRITEBYTECODE="1",
        )
        (folder / "tmp").mkdir()

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        path = self.folder / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def submit(self, package: str, path: str, before: str = "") -> Path:
        """Submit one node with this folder of the project on the import path."""
        code = DRIVER.format(package=package, payload=str(self.payload), before=before)
        return Path(self._run([sys.executable, "-c", code], path).strip())

    def work(self, path: str) -> None:
        """Run the node in a process of its own."""
        self._run([sys.executable, "-P", "-m", "huldra.worker", str(self.payload)], path)

    def _run(self, command: list[str], path: str) -> str:
        paths = [str(self.folder / "project" / path)] if path else []
        env = {**self.env, "PYTHONPATH": os.pathsep.join([*paths, self.env["PYTHONPATH"]])}
        return children.run_command(command, self.folder, env)

    def git(self, *arguments: str) -> None:
        """Run git in the project."""
        subprocess.run(["git", *arguments], cwd=self.folder / "project", check=True)


@pytest.fixture
def frozen(tmp_path: Path) -> Frozen:
    """An empty project."""
    return Frozen(tmp_path)


def result(directory: Path) -> str:
    value: str = json.loads((directory / "result.json").read_text())["value"]
    return value


def said(capsys: pytest.CaptureFixture[str], root: Path, *arguments: str) -> str:
    assert cli.main([*arguments, "--root", str(root)]) == 0
    return capsys.readouterr().out


def test_a_work_tree_with_src_layout(frozen: Frozen, capsys: pytest.CaptureFixture[str]) -> None:
    """Modules, a namespace package and data come from the copy; ignored data from where it is."""
    frozen.write("src/pkg/__init__.py", "")
    frozen.write(
        "src/pkg/model.py",
        MODULE.format(helper="space.words", package="pkg", data=["tracked.txt", "ignored.txt"]),
    )
    frozen.write("src/pkg/late.py", "WORD = 'late'")
    frozen.write("src/space/words.py", "WORD = 'sent'")
    frozen.write("src/pkg/tracked.txt", "tracked")
    frozen.write("src/pkg/ignored.txt", "ignored")
    frozen.write(".gitignore", "ignored.txt\n")
    frozen.git("init", "-q")
    frozen.git("add", ".gitignore", "src/pkg/model.py")
    made = frozen.submit("pkg", "src")
    frozen.write("src/pkg/late.py", "WORD = 'edited'")
    frozen.write("src/space/words.py", "WORD = 'edited'")
    frozen.write("src/pkg/tracked.txt", "edited")
    frozen.write("src/pkg/ignored.txt", "live")
    frozen.work("src")
    assert result(made) == "sent late tracked live"
    log = (made / ".huldra" / "huldra.log").read_text()
    assert "runs the code as it was frozen at submission; edited since, and not run:" in log
    assert "space.words" in log
    metadata = json.loads((made / ".huldra" / "metadata.json").read_text())
    assert list(metadata["code_frozen"]) == [str(frozen.folder / "project")]
    record = json.loads((frozen.root / "code" / f"{metadata['code']}.json").read_text())
    file = record["sources"]["pkg.model"]["file"]
    assert file == str(frozen.folder / "project" / "src" / "pkg" / "model.py")
    assert "as at submission" in said(capsys, frozen.root, "show", made.name)
    restored = frozen.folder / "restored"
    said(capsys, frozen.root, "checkout", made.name, str(restored))
    assert (restored / "src" / "space" / "words.py").read_text() == "WORD = 'sent'"
    assert cli.main(["checkout", made.name, str(restored), "--root", str(frozen.root)]) == 1


def test_an_editable_install_outside_of_git(frozen: Frozen) -> None:
    """A package that only an import hook leads to is found in its copy, without the hook."""
    frozen.write("lib/hooked/__init__.py", "")
    frozen.write(
        "lib/hooked/model.py",
        MODULE.format(helper="hooked.words", package="hooked", data=["data.txt"]),
    )
    frozen.write("lib/hooked/words.py", "WORD = 'sent'")
    frozen.write("lib/hooked/late.py", "WORD = 'late'")
    frozen.write("lib/hooked/data.txt", "data")
    hook = f"""
import importlib.util
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "hooked":
            folder = {str(frozen.folder / "project/lib/hooked")!r}
            return importlib.util.spec_from_file_location(
                name, folder + "/__init__.py", submodule_search_locations=[folder]
            )
sys.meta_path.append(Finder)
"""
    made = frozen.submit("hooked", "", before=hook)
    for name in ("words.py", "late.py", "data.txt"):
        frozen.write(f"lib/hooked/{name}", "WORD = 'edited'")
    frozen.work("")
    assert result(made) == "sent late data"


def test_the_copy_is_extracted_once_a_host(
    tmp_path: Path, huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second worker uses the folder of the first, and makes another where parts are gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    top = tmp_path / "project"
    top.mkdir()
    (top / "one.py").write_text("WORD = 'sent'")
    tree = ProjectTree(str(top), ("one.py",), (str(top),))
    digest = frozen_trees.keep(frozen_trees.read_tree(tree))

    def extract() -> str:
        monkeypatch.setattr(frozen_code, "_copies", {})
        entry = {"top": str(top), "tree": digest}
        copies = frozen_code.copies_of({"root": str(huldra_root), "frozen": [entry]})
        return copies[str(top)]

    first = extract()
    assert extract() == first
    os.unlink(f"{first}/one.py")
    healed = extract()
    assert healed != first
    assert Path(healed, "one.py").read_text() == "WORD = 'sent'"


def test_a_private_file_is_linked_and_not_copied(
    tmp_path: Path, huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node finds it beside its code; the store does not have it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(frozen_code, "_copies", {})
    secret, module = tmp_path / "project/pkg/.env", tmp_path / "project/pkg/one.py"
    secret.parent.mkdir(parents=True)
    secret.write_text("TOKEN=1")
    secret.chmod(0o600)
    module.write_text("WORD = 'sent'")
    subprocess.run(["git", "init", "-q", str(tmp_path / "project")], check=True)
    (tree,) = trees_of({"pkg.one": Source(str(module), "", 0)}, str(huldra_root))
    entry = {"top": tree.top, "tree": frozen_trees.keep(frozen_trees.read_tree(tree))}
    copies = frozen_code.copies_of({"root": str(huldra_root), "frozen": [entry]})
    assert Path(copies[tree.top], "pkg/.env").readlink() == secret
    kept = [path for path in (huldra_root / "code/files").rglob("*") if path.is_file()]
    assert [path.read_text() for path in kept] == ["WORD = 'sent'"]


def test_a_path_of_the_driver_is_moved_into_its_copy() -> None:
    """Also where the project is at `/`."""
    assert frozen_code.moved("/opt/lib", {"/": "/c/code"}) == "/c/code/opt/lib"
    assert frozen_code.moved("/", {"/": "/c/code"}) == "/c/code"
    assert frozen_code.moved("/p/lib", {"/p": "/c/p"}) == "/c/p/lib"
    assert frozen_code.moved("/p", {"/p": "/c/p"}) == "/c/p"
    assert frozen_code.moved("/pp", {"/p": "/c/p"}) == "/pp"


def test_a_copy_that_cannot_be_restored_fails_the_node(tmp_path: Path) -> None:
    """No other code runs in its place."""
    entry = {"top": str(tmp_path), "tree": "0" * 32}
    with pytest.raises(NodeFailed, match="cannot be restored"):
        frozen_code.copies_of({"root": str(tmp_path), "frozen": [entry]})
