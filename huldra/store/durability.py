"""Getting what an artifact holds onto the disk, before anything says that it is complete.

A system call that wrote a file has put it into memory; the disk gets it up to half a minute later.
A power cut in between leaves names whose files are empty. So files are synced first, then the
folders that hold their names, and then the folders above, up to the store.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from huldra.settings import HULDRA_CONFIG
from huldra.store import files
from huldra.store.layout import PRIVATE, ArtifactPaths

# Syncing file by file costs a commit of the file system's journal each, about a millisecond on a
# good disk; syncing the whole file system costs two or three, and what others have written since.
_FEW = 8

_synced_above: set[str] = set()


def sync_contents(paths: ArtifactPaths) -> None:
    """Put the user's files of an artifact on the disk, and every name that leads to them.

    Links are synced as links: what they lead to, outside of the directory, is not. Raises
    `HuldraStoreError` when the disk refuses: then nothing may say that the artifact is complete.
    """
    try:
        found = _contents(paths.directory)
        if found is None:
            _sync_file_system(paths.directory)
        else:
            for path in found:
                _sync(path)
        _sync_above(paths.directory)
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else paths.directory
        raise files.store_error(error, "put on the disk", where) from error


def _contents(directory: str) -> list[str] | None:
    """The files below, then the folders, each after what it holds; None when they are many."""
    found: list[str] = []
    folders = [directory]
    for folder in folders:  # grows as it is read
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False):
                if folder != directory or entry.name != PRIVATE:
                    folders.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                found.append(entry.path)
            if len(found) + len(folders) > _FEW and sys.platform == "linux":
                return None
    return [*found, *reversed(folders)]


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except FileNotFoundError:
        return  # a temporary one, by now


def _sync_above(directory: str) -> None:
    """Put the names of the folders above on the disk; those of all artifacts once a process."""
    folder, root = os.path.dirname(directory), HULDRA_CONFIG.root
    _sync(folder)
    while len(folder) >= len(root) and folder != "/":
        folder = os.path.dirname(folder)
        if folder not in _synced_above:
            _sync(folder)
            _synced_above.add(folder)


def _sync(path: str) -> None:
    flags = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    try:
        handle = os.open(path, os.O_RDONLY | flags)
    except FileNotFoundError:
        return  # a temporary one, by now
    except PermissionError:
        if not os.path.isdir(path):  # such a folder is above the store, and was not made by us
            _sync_file_system(os.path.dirname(path))
        return
    _sync_open(handle)


def _sync_open(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in files.CANNOT_SYNC:
            raise
    finally:
        os.close(handle)


def _sync_file_system(directory: str) -> None:
    import ctypes  # here: only artifacts of many files pay for it

    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.syncfs(handle):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), directory)
    finally:
        os.close(handle)
