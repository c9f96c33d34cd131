"""The one door to an artifact's files."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from huldra.catalog.safe_open import OutsideError, open_inside, read_inside


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A folder with good and bad things in it, beside others that it must not reach."""
    base = tmp_path / "art"
    (base / "sub").mkdir(parents=True)
    (base / "ok.txt").write_text("fine")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "art2").mkdir()
    (tmp_path / "art2" / "f.txt").write_text("secret")
    os.symlink(tmp_path / "secret.txt", base / "out")
    os.symlink(tmp_path, base / "up")
    os.symlink("ok.txt", base / "in")
    os.symlink("loop", base / "loop")
    os.symlink("/dev/zero", base / "zero")
    os.mkfifo(base / "pipe")
    return base


@pytest.mark.parametrize("path", ["ok.txt", "in", "sub/../ok.txt", "./ok.txt"])
def test_files_inside_are_opened(artifact: Path, path: str) -> None:
    """A file, a link that stays inside and a path that comes back are fine."""
    with open_inside(artifact, path) as file:
        assert file.read() == b"fine"
    assert read_inside(artifact, path, 2) == b"fi"


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "sub",
        "../secret.txt",
        "../art2/f.txt",
        "sub/../../secret.txt",
        "/etc/passwd",
        "out",
        "up/secret.txt",
        "up/art2/f.txt",
        "loop",
        "zero",
        "pipe",
        "ok.txt\0.png",
    ],
)
def test_everything_else_is_refused(artifact: Path, path: str) -> None:
    """Nothing outside is opened, and no pipe or device is waited for."""
    with pytest.raises(OutsideError):
        open_inside(artifact, path)


def test_a_socket_is_refused(artifact: Path) -> None:
    """A socket in the folder cannot be opened, and is told as such."""
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(artifact)  # the path of a socket is short
        try:
            server.bind("sock")
        finally:
            os.chdir(before)
        with pytest.raises(OutsideError):
            open_inside(artifact, "sock")


def test_a_missing_file_is_missing(artifact: Path) -> None:
    """What is not there is FileNotFoundError, as everywhere."""
    with pytest.raises(FileNotFoundError):
        open_inside(artifact, "none.txt")
    with pytest.raises(FileNotFoundError):
        open_inside(artifact / "none", "x")
