"""The checks of a root's file system."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from huldra.cli import file_system
from huldra.cli.file_system import Check


def checked(root: Path, *, read_only: bool = False) -> dict[str, Check]:
    """The checks by name."""
    return {check.name: check for check in file_system.checks(str(root), read_only=read_only)}


def refuse(number: int) -> Any:
    """A call that the system refuses."""

    def call(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


def test_the_probes_leave_nothing(tmp_path: Path) -> None:
    """Their folder is removed again; each call has been timed."""
    latency = checked(tmp_path)["latency"]
    assert set(latency.numbers) == {
        f"{call}_s" for call in ("hit", "claim", "renewal", "record", "sync", "listing")
    }
    assert list(tmp_path.iterdir()) == []


def test_read_only_writes_nothing(tmp_path: Path) -> None:
    """Not even for a moment: the time of the root stays."""
    before = os.stat(tmp_path).st_mtime_ns
    assert set(checked(tmp_path, read_only=True)) == {"root", "permissions", "space"}
    assert os.stat(tmp_path).st_mtime_ns == before


def test_a_root_that_refuses_writes_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hits work there, and the check says so."""
    monkeypatch.setattr(os, "mkdir", refuse(errno.EROFS))
    found = checked(tmp_path)["writable"]
    assert found.verdict == "problem"
    assert "Read-only file system" in found.found
    assert "hits work" in found.remedy


def test_a_root_that_is_no_folder_is_a_problem(tmp_path: Path) -> None:
    """A file of that name, or a link to nowhere."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        (found,) = file_system.checks(str(tmp_path / name))
        assert (found.verdict, found.found) == ("problem", f"{tmp_path / name} is not a folder")


def test_an_error_of_the_disk_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other checks go on."""
    monkeypatch.setattr(os, "statvfs", refuse(errno.ESTALE))
    found = checked(tmp_path)
    assert found["space"].verdict == "problem"
    assert "Stale file handle" in found["space"].found
    assert found["rename"].verdict == "ok"


def test_a_file_system_without_hard_links_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other checks go on, and nothing is left."""
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    found = checked(tmp_path)
    assert found["hard links"].verdict == "problem"
    assert "HULDRA_PATH" in found["hard links"].remedy
    assert found["rename"].verdict == "ok"
    assert found["latency"].verdict == "problem"  # a claim cannot be timed
    assert list(tmp_path.iterdir()) == []


def test_a_host_whose_clock_is_off_is_warned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of the server is the time of a new file."""
    odd = SimpleNamespace(time=lambda: time.time() + 600, perf_counter=time.perf_counter)
    monkeypatch.setattr(file_system, "time", odd)
    found = checked(tmp_path)["clock"]
    assert found.verdict == "warning"
    assert found.numbers["ahead_s"] < -500
    assert "behind this host" in found.found
    assert "NTP" in found.remedy


@pytest.mark.parametrize(
    ("free_bytes", "inodes", "verdict"),
    [
        (10**12, 10**7, "ok"),
        (10**9, 10**7, "warning"),
        (10**7, 10**7, "problem"),
        (10**12, 9, "problem"),
    ],
)
def test_little_space_is_a_warning_and_none_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, inodes: int, verdict: str
) -> None:
    """Bytes and inodes alike."""
    found = SimpleNamespace(f_bavail=free_bytes, f_frsize=1, f_files=10**8, f_favail=inodes)
    monkeypatch.setattr(os, "statvfs", lambda _: found)
    assert checked(tmp_path, read_only=True)["space"].verdict == verdict


@pytest.mark.parametrize(
    ("mode", "umask", "verdict", "remedy"),
    [
        (0o700, 0o077, "ok", ""),
        (0o2775, 0o002, "ok", ""),
        (0o775, 0o002, "warning", "chmod g+s"),
        (0o2775, 0o022, "warning", "umask 002"),
        (0o777, 0o002, "warning", "chmod o-w"),
    ],
)
def test_a_shared_root_needs_setgid_and_an_open_umask(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    umask: int,
    verdict: str,
    remedy: str,
) -> None:
    """Each gap has its remedy."""
    monkeypatch.setattr(file_system, "_umask", lambda: umask)
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(mode)
    found = checked(root, read_only=True)["permissions"]
    assert found.verdict == verdict
    assert remedy in found.remedy


def test_a_folder_that_the_group_cannot_write_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was made with another umask."""
    monkeypatch.setattr(file_system, "_umask", lambda: 0o002)
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    tmp_path.chmod(0o2775)
    assert checked(tmp_path, read_only=True)["permissions"].remedy.endswith(": data")
