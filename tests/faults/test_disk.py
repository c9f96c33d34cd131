"""Full disks, read-only roots and roots in odd places: clear errors, and nothing lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import huldra
from tests.support.odd import Note, lines


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 pages, mounted for one test."""
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "huldra-test", str(folder)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    try:
        with huldra.huldra_root(folder / "store"):
            yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write until there is no space left."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(handle, b"x" * 4096):
            pass
    except OSError:
        os.close(handle)


def test_full_disk_is_a_clear_error_and_nothing_is_stuck(small_disk: Path) -> None:
    """A miss on a full disk says so; with space again the next call makes the artifact."""
    Note(name="before").load_or_create()
    filler = small_disk / "filler"
    fill(filler)
    with pytest.raises(huldra.HuldraStoreError, match="free some space"):
        Note(name="a").load_or_create()
    assert Note(name="before").load_or_create() == "before"
    filler.unlink()
    assert Note(name="a").load_or_create() == "a"


class FillsTheDisk(Note):
    """Uses up all space, so that its own end cannot be written any more."""

    def _create(self) -> str:
        if self.ledger:
            fill(Path(self.ledger))
        return self.name

    def _load(self) -> str:
        return self.name


def test_disk_that_fills_up_in_create_leaves_nothing_stuck(small_disk: Path) -> None:
    """When not even the end of the attempt can be written the claim does not outlive the call."""
    filler = small_disk / "filler"
    note = FillsTheDisk(name="a", ledger=str(filler))
    with pytest.raises(huldra.HuldraStoreError, match="No space"):
        note.load_or_create()
    assert huldra.StateManager.read(note.huldra_dir).result == "incomplete"
    filler.unlink()
    assert FillsTheDisk(name="a").load_or_create() == "a"


def test_read_only_root_serves_hits_and_refuses_misses(small_disk: Path) -> None:
    """What exists is loaded from a read-only disk; a miss is an error that says why."""
    ledger = str(small_disk.parent / "ledger")
    Note(name="a", ledger=ledger).load_or_create()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert Note(name="a").exists()
    assert Note(name="a").plan()
    assert str(Note(name="b").explain())
    with pytest.raises(huldra.HuldraStoreError, match="read-only"):
        Note(name="b").load_or_create()
    assert len(lines(ledger, "begin")) == 1


def test_root_that_is_a_file_is_told(tmp_path: Path) -> None:
    """A root whose path is a file is an error that names it."""
    (tmp_path / "store").write_text("mine")
    with (
        huldra.huldra_root(tmp_path / "store"),
        pytest.raises(huldra.HuldraStoreError, match="store"),
    ):
        Note(name="a").load_or_create()
