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
from huldra.store.files import Folder, FolderGone
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
        with Folder(paths.directory) as directory:
            found = _contents(directory)
            if found is None:
                _sync_file_system(directory.descriptor)
            else:
                for path in found:
                    _sync(path)
                directory.sync()
        _sync_above(paths.directory)
    except FolderGone:
        return  # it was removed: its owner finds out when it ends the attempt
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else paths.directory
        raise files.store_error(error, "put on the disk", where) from error


def _contents(directory: Folder) -> list[str] | None:
    """The files below, then the folders, each after what it holds; None when they are many."""
    found: list[str] = []
    folders: list[str] = []
    for names, above in _listings(directory, folders):
        for entry in names:
            path = f"{above}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if above != directory.path or entry.name != PRIVATE:
                    folders.append(path)
            elif entry.is_file(follow_symlinks=False):
                found.append(path)
            if len(found) + len(folders) >= _FEW and sys.platform == "linux":
                return None
    return [*found, *reversed(folders)]


def _listings(
    directory: Folder, folders: list[str]
) -> Iterator[tuple[Iterator[os.DirEntry[str]], str]]:
    """What is in `directory` and in each of `folders`, which may grow meanwhile; with its path."""
    with os.scandir(directory.descriptor) as entries:
        yield entries, directory.path
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                yield entries, folder
        except FileNotFoundError:
            continue  # a temporary one, by now


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
            with Folder(os.path.dirname(path)) as folder:
                _sync_file_system(folder.descriptor)
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


def _sync_file_system(descriptor: int) -> None:
    """Put on the disk all of the file system that a file, open as `descriptor`, is of."""
    import ctypes  # here: only artifacts of many files pay for it

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(descriptor):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
