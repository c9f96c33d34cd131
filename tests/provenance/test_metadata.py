"""Metadata: what is recorded, what git says and when it is asked, and that nothing of it fails."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from huldra.errors import HuldraArtifactMissing
from huldra.provenance import git
from huldra.provenance.git import GitState, git_state
from huldra.provenance.metadata import Metadata, MetadataManager, collect
from huldra.settings import HULDRA_CONFIG

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing known from other tests, no configuration of the person who runs this."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    git.forget()
    yield
    git.forget()


def run_git(folder: Path, *args: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    options = ("-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", *identity, *options, *args],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit of one file."""
    folder = tmp_path / "repository"
    folder.mkdir()
    run_git(folder, "init", "-q")
    (folder / "a.txt").write_text("one\n")
    run_git(folder, "add", "a.txt")
    run_git(folder, "commit", "-qm", "first")
    return folder


@pytest.fixture
def runs_of_git(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The subcommands that git was run with since, one entry a process."""
    runs: list[str] = []
    original: Callable[..., Any] = git._git  # counted where it starts a process

    def counted(repository: object, *args: str, **options: int) -> Any:
        runs.append(args[0])
        return original(repository, *args, **options)

    monkeypatch.setattr(git, "_git", counted)
    return runs


def look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the time pass after which git's files are looked at again."""
    monkeypatch.setattr(git, "_LOOK_AGAIN_S", -1.0)


def collect_one(**changes: Any) -> tuple[Metadata, bytes | None]:
    values: dict[str, Any] = {
        "namespace": "project.models/Train",
        "huldra_hash": "0" * 32,
        "directory": "/store/data/project.models/Train/" + "0" * 32,
        "python_def": "Train(lr=0.1)",
        "document": {"huldra": 1, "root": "0", "objects": {}},
        "config": {"lr": 0.1},
    }
    return collect(**{**values, **changes})


# ---- the record --------------------------------------------------------------------------------


def test_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record has the keys of the documented format, and says where and by whom."""
    monkeypatch.chdir(tmp_path)
    metadata, patch = collect_one(dependencies=[{"field": "data", "namespace": "n", "hash": "h"}])
    data = json.loads(json.dumps(metadata.to_json()))
    keys = (
        "huldra namespace huldra_hash huldra_path huldra_python_def huldra_obj config "
        "dependencies cache_version version_controlled git_commit git_branch git_remote git_dirty "
        "git_untracked git_submodules git_error timestamp command python_version executable "
        "platform hostname user pid cwd packages code code_edited "
        "code_frozen adopted_from"
    )
    assert " ".join(data) == keys
    assert (data["huldra"], data["pid"], data["cwd"]) == (1, os.getpid(), str(tmp_path))
    assert data["executable"] == sys.executable
    assert data["hostname"]
    assert data["user"]
    assert patch is None


def test_outside_a_repository(tmp_path: Path, runs_of_git: list[str]) -> None:
    """Outside a repository git's fields are empty, with the reason, and git is not run."""
    why = "the working directory is not in a git repository"
    assert git_state(str(tmp_path)) == GitState(error=why)
    assert runs_of_git == []


def test_round_trip(tmp_path: Path) -> None:
    """What is written is read back, from any place that the directory was moved to."""
    metadata, _ = collect_one()
    private = tmp_path / ".huldra"
    private.mkdir()
    (private / "metadata.json").write_text(json.dumps(metadata.to_json()))
    (private / "git.patch").write_bytes(b"-a\n+\xff\n")
    read = MetadataManager.read(tmp_path)
    assert read.to_json() == json.loads(json.dumps(metadata.to_json()))
    assert read.git_patch == "-a\n+\ufffd\n"
    assert read.directory == str(tmp_path)


def test_no_patch(tmp_path: Path) -> None:
    """Without a patch file the patch is None."""
    assert Metadata.from_json({}, str(tmp_path)).git_patch is None


def test_reads_other_versions(tmp_path: Path) -> None:
    """Unknown keys are kept, missing ones have their defaults, and so have nulls out of place."""
    data = {"huldra": 9, "huldra_hash": "h", "git_untracked": None, "of_tomorrow": [1]}
    metadata = Metadata.from_json(data, str(tmp_path))
    assert metadata.huldra_hash == "h"
    assert metadata.git_untracked == ()
    assert metadata.git_commit is None
    assert metadata.unknown == {"of_tomorrow": [1]}


@pytest.mark.parametrize("content", [None, b"", b'{"huldra": 1', b"[]", b"\xff\xfe"])
def test_absent_or_unreadable(tmp_path: Path, content: bytes | None) -> None:
    """Absent or unreadable metadata is an error that names the file and what to do."""
    (tmp_path / ".huldra").mkdir()
    file = tmp_path / ".huldra" / "metadata.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(HuldraArtifactMissing) as caught:
        MetadataManager.read(tmp_path)
    assert str(file) in str(caught.value)
    assert "load_or_create()" in str(caught.value)
    assert caught.value.directory == str(tmp_path)


def test_removed_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory that is gone is recorded as empty."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert collect_one()[0].cwd == ""


# ---- git ---------------------------------------------------------------------------------------


@needs_git
def test_clean_repository(repository: Path) -> None:
    """A clean repository gives its commit and branch, from a folder below it too."""
    below = repository / "deep" / "er"
    below.mkdir(parents=True)
    state = git_state(str(below))
    assert state == GitState(
        commit=run_git(repository, "rev-parse", "HEAD"), branch="main", dirty=False
    )


@needs_git
def test_uncommitted_changes(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes to tracked files, staged ones too, are the patch; untracked files are named only."""
    monkeypatch.chdir(repository)
    (repository / "a.txt").write_text("two\n")
    (repository / "b.txt").write_text("staged\n")
    run_git(repository, "add", "b.txt")
    (repository / "secret.key").write_text("hidden")
    metadata, patch = collect_one()
    assert metadata.git_dirty is True
    assert metadata.git_untracked == ("secret.key",)
    assert patch is not None
    assert b"-one\n+two\n" in patch
    assert b"+staged\n" in patch
    assert b"hidden" not in patch


@needs_git
def test_patch_applies(repository: Path, tmp_path: Path) -> None:
    """The patch, applied to a fresh checkout of the commit, gives the same tracked files."""
    (repository / "a.txt").write_bytes(b"two \xff\r\nthree")
    state = git_state(str(repository))
    assert state.patch is not None
    (tmp_path / "git.patch").write_bytes(state.patch)
    run_git(tmp_path, "clone", "-q", str(repository), "copy")
    run_git(tmp_path / "copy", "apply", str(tmp_path / "git.patch"))
    assert (tmp_path / "copy" / "a.txt").read_bytes() == b"two \xff\r\nthree"


@needs_git
def test_patch_left_out(
    repository: Path, monkeypatch: pytest.MonkeyPatch, runs_of_git: list[str]
) -> None:
    """With `ignore_git_diff` the patch is not asked for; that there are changes is still told."""
    monkeypatch.chdir(repository)
    (repository / "a.txt").write_text("two\n")
    HULDRA_CONFIG.ignore_git_diff = True
    try:
        metadata, patch = collect_one()
    finally:
        HULDRA_CONFIG.ignore_git_diff = False
    assert (metadata.git_dirty, patch) == (True, None)
    assert "diff" not in runs_of_git


@needs_git
def test_huge_diff(repository: Path) -> None:
    """A huge patch is cut at a line, and its whole size is told."""
    (repository / "a.txt").write_text("0123456789\n" * 300_000)
    state = git_state(str(repository))
    assert state.patch is not None
    assert git.MAX_PATCH_BYTES - 20 < len(state.patch) <= git.MAX_PATCH_BYTES
    assert state.patch.endswith(b"9\n")
    assert state.error is not None
    assert "the patch has 3600" in state.error


@needs_git
def test_many_untracked_files(repository: Path) -> None:
    """Of many untracked files the first are named and the others counted."""
    for number in range(git.MAX_UNTRACKED + 30):
        (repository / f"new{number:04}").touch()
    untracked = git_state(str(repository)).untracked
    assert len(untracked) == git.MAX_UNTRACKED + 1
    assert untracked[-1] == "… and 30 more"


@needs_git
def test_odd_names(repository: Path) -> None:
    """Names with spaces, line ends, quotes and bytes that are no text come as JSON holds them."""
    for name in (b"with space", b"li\nne", b'quo"te', b"\xff", "ü".encode()):
        Path(os.fsdecode(os.fsencode(repository) + b"/" + name)).touch()
    untracked = git_state(str(repository)).untracked
    assert set(untracked) == {"with space", "li\nne", 'quo"te', "\\xff", "ü"}
    json.dumps(untracked, ensure_ascii=False).encode()


@needs_git
def test_renamed_file(repository: Path) -> None:
    """The old name of a renamed file is not taken for another entry."""
    run_git(repository, "mv", "a.txt", "? b.txt")
    state = git_state(str(repository))
    assert (state.dirty, state.untracked) == (True, ())


@needs_git
def test_no_commit_yet(tmp_path: Path) -> None:
    """A repository without a commit is told as such."""
    run_git(tmp_path, "init", "-q")
    state = git_state(str(tmp_path))
    assert (state.commit, state.branch) == (None, "main")
    assert state.error == "the repository has no commit yet"


@needs_git
def test_detached_head(repository: Path) -> None:
    """A detached HEAD has a commit and no branch."""
    run_git(repository, "checkout", "-q", "--detach")
    state = git_state(str(repository))
    assert (state.commit is not None, state.branch, state.error) == (True, None, None)


@needs_git
@pytest.mark.parametrize(
    ("url", "recorded"),
    [
        ("https://me:secret@host.example/x.git", "https://host.example/x.git"),
        ("https://token@host.example/x.git", "https://host.example/x.git"),
        ("https://me:se@cret@host.example/x.git", "https://host.example/x.git"),
        ("git@host.example:me/x.git", "git@host.example:me/x.git"),
    ],
)
def test_remote_without_credentials(repository: Path, url: str, recorded: str) -> None:
    """The remote is recorded without user and password."""
    run_git(repository, "remote", "add", "zzz", "https://other.example/")
    run_git(repository, "remote", "add", "origin", url)
    assert git_state(str(repository)).remote == recorded


@needs_git
def test_submodules(repository: Path, tmp_path: Path) -> None:
    """Submodules are recorded with the commit that each has checked out."""
    run_git(tmp_path, "clone", "-q", str(repository), "other")
    run_git(repository, "submodule", "add", "-q", str(tmp_path / "other"), "parts/other one")
    commit = run_git(tmp_path / "other", "rev-parse", "HEAD")
    assert git_state(str(repository)).submodules == {"parts/other one": commit}


@needs_git
def test_worktree(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a second worktree its own branch is recorded, and a commit there is noticed."""
    look_again(monkeypatch)
    tree = tmp_path / "tree"
    run_git(repository, "worktree", "add", "-q", "-b", "side", str(tree))
    first = git_state(str(tree))
    assert first.branch == "side"
    run_git(tree, "commit", "-q", "--allow-empty", "-m", "second")
    assert git_state(str(tree)).commit == run_git(tree, "rev-parse", "HEAD") != first.commit


@needs_git
def test_refused_folder(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository that git refuses to read is recorded with git's own words."""
    fake_git(tmp_path, monkeypatch, "echo 'fatal: detected dubious ownership' >&2; exit 128")
    state = git_state(str(repository))
    assert state.commit is None
    assert state.error == "git status ended with code 128: fatal: detected dubious ownership"


def fake_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a shell script named `git` before the real one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program git, a repository is recorded as not readable."""
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    metadata, patch = collect_one()
    assert metadata.git_error is not None
    assert metadata.git_error.startswith("git cannot be run: ")
    assert (metadata.git_commit, patch) == (None, None)


@pytest.mark.parametrize("script", ["exec sleep 10", "sleep 10 & exit 0"])
def test_hanging_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A git that does not answer is given up, also where its child holds the pipe; once only."""
    (tmp_path / ".git").mkdir()
    fake_git(tmp_path, monkeypatch, f"echo $$ >> {tmp_path}/runs; {script}")
    monkeypatch.setattr(git, "_TIMEOUT_S", 0.3)
    started = time.monotonic()
    state = git_state(str(tmp_path))
    assert time.monotonic() - started < 8
    assert state.error == "git status gave no answer within 0.3 s"
    look_again(monkeypatch)
    assert git_state(str(tmp_path)) == state
    assert len((tmp_path / "runs").read_text().split()) == 1


# ---- how often git is asked --------------------------------------------------------------------


@needs_git
def test_asked_once(
    repository: Path, monkeypatch: pytest.MonkeyPatch, runs_of_git: list[str]
) -> None:
    """For one state of the repository git is asked once, whatever the number of artifacts."""
    monkeypatch.chdir(repository)
    (repository / "a.txt").write_text("two\n")
    look_again(monkeypatch)
    for _ in range(50):
        collect_one()
    assert sorted(runs_of_git) == ["config", "diff", "status"]


@needs_git
def test_asked_once_by_many_threads(repository: Path, runs_of_git: list[str]) -> None:
    """Threads that ask at one instant share one answer."""
    together = threading.Barrier(8, timeout=30)

    def ask(_: int) -> GitState:
        together.wait()
        return git_state(str(repository))

    with ThreadPoolExecutor(8) as pool:
        states = list(pool.map(ask, range(8)))
    assert len({state.commit for state in states}) == 1
    assert sorted(runs_of_git) == ["config", "status"]


@needs_git
def test_asked_again_after_a_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit, a checkout of another branch and a new remote are noticed."""
    look_again(monkeypatch)
    before = git_state(str(repository))
    run_git(repository, "commit", "-q", "--allow-empty", "-m", "second")
    assert git_state(str(repository)).commit != before.commit
    run_git(repository, "checkout", "-qb", "other")
    assert git_state(str(repository)).branch == "other"
    run_git(repository, "remote", "add", "origin", "https://host.example/x")
    assert git_state(str(repository)).remote == "https://host.example/x"


@needs_git
def test_asked_again_after_an_edit_of_imported_code(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit of a source file that this process has imported is noticed, without any commit."""
    look_again(monkeypatch)
    source = repository / "a_module_of_this_test.py"
    source.write_text("VALUE = 1\n")
    run_git(repository, "add", ".")
    run_git(repository, "commit", "-qm", "code")
    monkeypatch.syspath_prepend(str(repository))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    __import__(source.stem)
    try:
        assert git_state(str(repository)).dirty is False
        source.write_text("VALUE = 2\n")
        later = time.time() + 5
        os.utime(source, (later, later))
        state = git_state(str(repository))
    finally:
        del sys.modules[source.stem]
    assert state.patch is not None
    assert b"+VALUE = 2" in state.patch


@needs_git
def test_index_is_not_written(repository: Path) -> None:
    """Asking takes no lock and writes nothing into the repository."""
    (repository / "a.txt").touch()
    before = {p: p.stat().st_mtime_ns for p in (repository / ".git").rglob("*")}
    git_state(str(repository))
    assert {p: p.stat().st_mtime_ns for p in (repository / ".git").rglob("*")} == before
