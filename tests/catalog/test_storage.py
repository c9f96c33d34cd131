"""Sizes, files and litter."""

from __future__ import annotations

import os
import time
from pathlib import Path

from huldra.catalog import Catalog
from tests.dashboard.store import StoreWriter, ref


def test_usage_is_biggest_first_and_follows_no_link(
    writer: StoreWriter, catalog: Catalog, tmp_path: Path
) -> None:
    """The bytes of all files count, huldra's own too; what a link names does not."""
    big_file = tmp_path / "big.bin"
    big_file.write_bytes(b"x" * 1_000_000)
    small = writer.add("p/A", {"n": 1}, files={"a.bin": b"x" * 10})
    big = writer.add("p/A", {"n": 2}, files={"deep/er/b.bin": b"x" * 50_000})
    os.symlink(big_file, writer.directory(small) / "link")
    usage = catalog.usage(catalog.snapshot().rows)
    assert [u.row.key for u in usage] == [big, small]
    assert 50_000 < usage[0].size_bytes < 60_000
    assert usage[1].size_bytes < 10_000


def test_files_are_the_users_own(writer: StoreWriter, catalog: Catalog) -> None:
    """The list leaves out .huldra, says what is a link or a pipe, and is bounded."""
    key = writer.add("p/A", {}, files={"a.txt": "abc", "sub/b.txt": "d"})
    os.symlink("/etc/passwd", writer.directory(key) / "out")
    os.mkfifo(writer.directory(key) / "pipe")
    row = catalog.snapshot().get(key)
    assert row is not None
    files = catalog.files(row)
    assert [(f.path, f.kind) for f in files] == [
        ("a.txt", "file"),
        ("out", "link"),
        ("pipe", "other"),
        ("sub/b.txt", "file"),
    ]
    assert files[0].size_bytes == 3
    assert len(catalog.files(row, max_files=2)) == 2


def test_litter_is_what_crashes_leave(writer: StoreWriter, catalog: Catalog) -> None:
    """Old temporary files, half-removed folders, empty and foreign ones are litter."""
    key = writer.add("p/A", {})
    folder = writer.directory(key).parent
    private = writer.directory(key) / ".huldra"
    old, young = private / ".state.json.1.tmp", private / "claims" / ".2.9.tmp"
    trash, empty, foreign = folder / f".{'1' * 32}.ab.tmp", folder / ("2" * 32), folder / "notes"
    for path in (trash, empty, foreign):
        path.mkdir()
    for path in (old, young):
        path.write_text("x")
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    found = {(item.path, item.kind) for item in catalog.litter()}
    assert found == {
        (str(old), "temporary"),
        (str(trash), "trash"),
        (str(empty), "empty"),
        (str(foreign), "foreign"),
    }


def test_first_claim_that_never_appeared_is_litter_and_no_attempt(
    writer: StoreWriter, catalog: Catalog
) -> None:
    """`.huldra` under its temporary name: a process may be at it, and after an hour none is."""
    directory = writer.directory(writer.add("p/A", {})).parent / ("3" * 32)
    hidden = directory / ".huldra.ab12.tmp"
    (hidden / "claims").mkdir(parents=True)
    (hidden / "claims" / "1").write_text("{}")
    rows = [row for row in catalog.snapshot().rows if row.directory == str(directory)]
    assert [(row.result_status, row.attempt_number) for row in rows] == [("absent", 0)]
    assert list(catalog.litter()) == []
    two_hours_ago = time.time() - 7200
    os.utime(hidden, (two_hours_ago, two_hours_ago))
    assert [(item.path, item.kind) for item in catalog.litter()] == [(str(hidden), "temporary")]


def test_a_users_file_in_an_artifact_is_no_litter_whatever_its_name(
    writer: StoreWriter, catalog: Catalog
) -> None:
    """Only below `.huldra`, and of that folder's own temporary names, do leftovers lie."""
    own = writer.directory(writer.add("p/A", {})) / ".index.tmp"
    own.write_text("kept")
    two_hours_ago = time.time() - 7200
    os.utime(own, (two_hours_ago, two_hours_ago))
    assert list(catalog.litter()) == []


def test_unreferenced_is_what_nothing_names(writer: StoreWriter, catalog: Catalog) -> None:
    """Neither a dependency, nor of a run, nor at work."""
    data = writer.add("p/Data", {})
    lone = writer.add("p/Model", {"data": ref(data)})
    in_run = writer.add("p/Model", {"n": 1})
    writer.add("p/Model", {"n": 2}, status="running")
    writer.add_run("W", {"x": in_run}, {})
    assert [row.key for row in catalog.unreferenced()] == [lone]
