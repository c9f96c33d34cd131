"""Carrying an artifact's files over to another artifact: copies, never hard links.

What an artifact holds is the user's. Later code may append to a file or write into it, and through
a hard link that would change the other artifact, too; nobody can promise that it never happens. So
files are copied. Where the file system can share blocks (XFS, Btrfs, NFS 4.2) the kernel does so,
and a copy costs next to nothing; a write to one of them leaves the other as it was.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator

from huldra.errors import HuldraStoreError
from huldra.store import claim, files, success
from huldra.store.layout import PRIVATE, ArtifactPaths

_PIECE = 1 << 30  # bytes that one call copies
# What the kernel says where it cannot copy between these two files by itself.
_NOT_BY_THE_KERNEL = frozenset(
    {errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY}
)


def contents(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    """The user's files, folders and links below an artifact's directory: path in it, and stat."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(os.path.join(directory, folder)) as entries:
            for entry in sorted(entries, key=lambda found: found.name):
                if not folder and entry.name == PRIVATE:
                    continue
                path = os.path.join(folder, entry.name)
                yield path, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)


def size_of(directory: str) -> tuple[int, int]:
    """How many files an artifact holds, and their bytes."""
    sizes = [found.st_size for _, found in contents(directory) if not stat.S_ISDIR(found.st_mode)]
    return len(sizes), sum(sizes)


def copy_contents(source: ArtifactPaths, target: ArtifactPaths) -> None:
    """Copy the user's files of a complete artifact into the empty directory of another one.

    Each file is checked: the source did not change meanwhile, and the copy has its size. Links are
    copied as links; one that leads into the source's directory leads into the target's.

    Raises `HuldraStoreError` if the source is not complete, changes, or holds something that is
    neither file, folder nor link, and when the disk refuses. The caller removes what was copied.
    """
    before = _version(source)
    folders: list[tuple[str, str]] = []
    try:
        for path, found in contents(source.directory):
            one, other = os.path.join(source.directory, path), os.path.join(target.directory, path)
            if stat.S_ISDIR(found.st_mode):
                os.mkdir(other)
                folders.append((one, other))
            elif stat.S_ISLNK(found.st_mode):
                os.symlink(_moved_link(os.readlink(one), source, target), other)
            elif stat.S_ISREG(found.st_mode):
                _copy_file(one, other)
            else:
                raise HuldraStoreError(f"{one} is neither a file, a folder nor a link")
        for one, other in reversed(folders):  # their times, after what was put into them
            shutil.copystat(one, other)
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else source.directory
        raise files.store_error(error, "copy", where) from error
    if _version(source) != before:
        raise HuldraStoreError(f"{source.directory} was computed again while it was copied")


def _version(source: ArtifactPaths) -> tuple[object, int]:
    """What changes when the artifact is computed again."""
    record, last = success.read_success(source), claim.last_attempt(source)
    if record is None or (last is not None and last.end is None):
        raise HuldraStoreError(
            f"{source.directory} is not complete, or an attempt is at work in it"
        )
    return record, last.number if last else 0


def _moved_link(link: str, source: ArtifactPaths, target: ArtifactPaths) -> str:
    inside = f"{source.directory}/"
    return f"{target.directory}/{link[len(inside) :]}" if link.startswith(inside) else link


def _copy_file(source: str, target: str) -> None:
    with open(source, "rb") as one, open(target, "xb") as other:
        before = os.fstat(one.fileno())
        _copy_bytes(one.fileno(), other.fileno())
        after, copied = os.fstat(one.fileno()), os.fstat(other.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise HuldraStoreError(f"{source} changed while it was copied")
    if copied.st_size != before.st_size:
        raise HuldraStoreError(
            f"{target} has {copied.st_size} bytes after it was copied, expected {before.st_size}"
        )
    shutil.copystat(source, target)


def _copy_bytes(source: int, target: int) -> None:
    if hasattr(os, "copy_file_range"):
        try:
            while os.copy_file_range(source, target, _PIECE):
                pass
        except OSError as error:
            if error.errno not in _NOT_BY_THE_KERNEL:
                raise
    # What is left: all of it where the kernel could not, nothing where it did.
    with os.fdopen(os.dup(source), "rb") as one, os.fdopen(os.dup(target), "wb") as other:
        one.seek(os.lseek(source, 0, os.SEEK_CUR))
        shutil.copyfileobj(one, other, 1 << 20)
