"""Whole files: atomic writes, links that one writer wins, and what the disk may answer."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from huldra.errors import HuldraStoreError
from huldra.store import files


def test_write_replaces_the_whole_file(tmp_path: Path) -> None:
    """A written file holds the new content and leaves no temporary file behind."""
    path = str(tmp_path / "state.json")
    files.write_atomic(path, b"old")
    files.write_atomic(path, b"new", sync=True)
    assert files.read_bytes(path) == b"new"
    assert os.listdir(tmp_path) == ["state.json"]


def test_write_makes_missing_folders(tmp_path: Path) -> None:
    """A file is written although its folder was not there."""
    path = str(tmp_path / "a" / "b" / "c.json")
    files.write_atomic(path, b"{}")
    assert files.read_object(path) == {}


def test_only_one_link_wins(tmp_path: Path) -> None:
    """Of sixteen threads that link one name exactly one is told that it won."""
    path = str(tmp_path / "1")
    wins: list[bool] = []
    barrier = threading.Barrier(16)

    def compete(number: int) -> None:
        barrier.wait()
        wins.append(files.link_new(path, f"{number}".encode()))

    threads = [threading.Thread(target=compete, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == [False] * 15 + [True]
    assert os.listdir(tmp_path) == ["1"]


def test_second_name_is_the_same_file(tmp_path: Path) -> None:
    """With `also` the winner's file has both names."""
    one, two = str(tmp_path / "1.end"), str(tmp_path / "2")
    assert files.link_new(one, b"{}", also=two)
    assert os.path.samefile(one, two)


def test_lost_answer_of_a_server_is_told_by_the_inode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that was made, and reported as EEXIST, counts as won."""
    real = os.link

    def link_and_lose_the_answer(source: str, target: str, **folders: int | None) -> None:
        real(source, target, **folders)
        raise FileExistsError(errno.EEXIST, "exists", target)

    monkeypatch.setattr(os, "link", link_and_lose_the_answer)
    assert files.link_new(str(tmp_path / "1"), b"{}")


def test_file_system_without_hard_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no hard links the error says so and what to do."""

    def refuse(source: str, target: str, **_: int | None) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported", source)

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(HuldraStoreError, match=r"hard links.*HULDRA_PATH"):
        files.link_new(str(tmp_path / "1"), b"{}")
    assert os.listdir(tmp_path) == []


def test_full_disk_is_told_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full the old content stays, and the error says what to do."""
    path = str(tmp_path / "state.json")
    files.write_atomic(path, b"old")

    def full(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(HuldraStoreError, match=r"No space left.*free some space"):
        files.write_atomic(path, b"new")
    monkeypatch.undo()
    assert files.read_bytes(path) == b"old"
    assert os.listdir(tmp_path) == ["state.json"]


def test_file_where_a_folder_is_wanted_is_told(tmp_path: Path) -> None:
    """A file in the place of a directory is an error that names it."""
    (tmp_path / "data").write_text("mine")
    with pytest.raises(HuldraStoreError, match=r"data"):
        files.make_directories(str(tmp_path / "data" / "x"))


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"[]", b"null", b"\xff\xfe", b"1"])
def test_what_is_no_object_reads_as_none(tmp_path: Path, content: bytes) -> None:
    """Empty, truncated and foreign content reads as nothing."""
    (tmp_path / "x.json").write_bytes(content)
    assert files.read_object(str(tmp_path / "x.json")) is None


def test_large_files_are_read_whole(tmp_path: Path) -> None:
    """A file larger than one read comes back complete."""
    data = os.urandom(3 << 20)
    (tmp_path / "x").write_bytes(data)
    assert files.read_bytes(str(tmp_path / "x")) == data


def test_what_was_read_is_kept_when_closing_reports_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that reports an error at `close` has given the content already."""
    path = tmp_path / "state.json"
    path.write_bytes(b"{}")
    monkeypatch.setattr(os, "close", _refusing(os.close))
    assert files.read_bytes(str(path)) == b"{}"


def test_folder_that_cannot_be_closed_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error at the `close` of a folder is no error of what was done in it."""
    with monkeypatch.context() as patched, files.Folder(str(tmp_path)) as folder:
        assert folder.path == str(tmp_path)
        patched.setattr(os, "close", _refusing(os.close))


def _refusing(close: Callable[[int], None]) -> Callable[[int], None]:
    def closing(handle: int) -> None:
        close(handle)
        raise OSError(errno.EIO, "input/output error")

    return closing
