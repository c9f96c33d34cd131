"""What is on the disk before something says that an artifact is complete."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.settings import HULDRA_CONFIG
from huldra.store import durability
from huldra.store.files import Folder
from huldra.store.layout import ArtifactPaths
from tests.support.odd import Note, ValidByFile

Calls = list[tuple[str, str]]


class Writes(Note):
    """Writes files in a folder of its own."""

    count: int = 2

    def _create(self) -> str:
        folder = self.huldra_dir / "parts" / "deep"
        folder.mkdir(parents=True)
        for number in range(self.count):
            (folder / f"{number}.txt").write_text("x")
        return super()._create()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Every sync, link and rename, in order, with what it was about."""
    seen: Calls = []

    def watched(name: str, path_of: Callable[[tuple[Any, ...]], str]) -> None:
        original = getattr(os, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            seen.append((name, path_of(arguments)))
            return original(*arguments, **keywords)

        monkeypatch.setattr(os, name, call)

    watched("fsync", lambda arguments: os.readlink(f"/proc/self/fd/{arguments[0]}"))
    for name in ("link", "replace"):
        watched(name, lambda arguments: str(arguments[1]))
    monkeypatch.setattr(durability, "_synced_above", set())
    return seen


def test_everything_is_on_the_disk_before_the_end_and_the_end_before_success(
    huldra_root: Path, calls: Calls
) -> None:
    """Files, their folders, the folders above; then the end, the record and the record's folder."""
    note = Writes(name="a")
    note.load_or_create()
    directory = str(note.huldra_dir)
    end = calls.index(("link", "1.end"))
    synced = [path for name, path in calls[:end] if name == "fsync"]
    parts = f"{directory}/parts"
    order = [f"{parts}/deep", parts, directory, os.path.dirname(directory), str(huldra_root)]
    assert [path for path in synced if path in order] == order
    files = {f"{parts}/deep/0.txt", f"{parts}/deep/1.txt", f"{directory}/note.txt"}
    assert files <= set(synced[: synced.index(order[0])])
    assert str(huldra_root.parent) in synced
    record = calls.index(("replace", "../SUCCESS.json"))
    assert end < record < calls.index(("fsync", f"{directory}/.huldra"))


def test_folders_above_the_artifacts_are_synced_once_a_process(
    huldra_root: Path, calls: Calls
) -> None:
    """All artifacts of a class share them: only the folder that got a new name is synced again."""
    Note(name="a").load_or_create()
    calls.clear()
    note = Note(name="b")
    note.load_or_create()
    assert ("fsync", str(note.huldra_dir.parent)) in calls
    assert ("fsync", str(note.huldra_dir.parent.parent)) not in calls


def test_many_files_are_synced_with_their_file_system(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a few files on one call does for all; a thousand would take a second else."""
    asked: list[str] = []
    monkeypatch.setattr(
        durability, "_sync_file_system", lambda at: asked.append(os.readlink(f"/proc/self/fd/{at}"))
    )
    note = Writes(name="a", count=20)
    note.load_or_create()
    assert asked == [str(note.huldra_dir)]


def test_the_file_system_of_a_folder_can_be_synced(tmp_path: Path) -> None:
    """The call itself works here."""
    with Folder(str(tmp_path)) as folder:
        durability._sync_file_system(folder.descriptor)


def test_result_that_the_disk_does_not_take_is_not_complete(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be put on the disk ends the attempt, which says so and is no success."""
    original = os.fsync

    def refuse(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("note.txt"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        original(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    note = Note(name="a")
    with pytest.raises(huldra.HuldraStoreError, match=r"put on the disk .*Input/output error"):
        note.load_or_create()
    assert not note.exists()
    monkeypatch.undo()
    with huldra.huldra_root(huldra_root):
        assert huldra.StateManager.read(note.huldra_dir).result == "incomplete"


def test_claim_that_voids_a_result_is_on_the_disk_before_create_runs(
    huldra_root: Path, calls: Calls
) -> None:
    """Else a power cut could bring the record back over files that `_create` has overwritten."""
    note = ValidByFile(name="a")
    note.load_or_create()
    (note.huldra_dir / "note.txt").unlink()
    calls.clear()
    note.load_or_create()
    claims = ArtifactPaths(str(note.huldra_dir)).claims
    assert calls.index(("link", "2")) < calls.index(("fsync", claims))
    assert calls.index(("fsync", claims)) < calls.index(("link", "2.end"))


def test_who_knows_better_goes_without(huldra_root: Path, calls: Calls) -> None:
    """With `durable` off only what decides is synced: the claim, its end and the record."""
    HULDRA_CONFIG.durable = False
    try:
        Note(name="a").load_or_create()
    finally:
        HULDRA_CONFIG.durable = True
    assert sum(name == "fsync" for name, _ in calls) == 3


def test_files_that_cannot_be_synced_one_by_one(huldra_root: Path, tmp_path: Path) -> None:
    """Links, pipes and a file that comes and goes are no reason to fail."""
    folder = tmp_path / "data" / "m" / "C" / "0"
    (folder / ".huldra").mkdir(parents=True)
    (folder / "dead").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe")
    durability.sync_contents(ArtifactPaths(str(folder)))
    with Folder(str(folder)) as directory:
        assert durability._contents(directory) == []
    durability._sync(str(folder / "gone"))
