"""Reading and writing whole files so that no reader ever sees half of one.

This is the only module that renames or links into place. A file is written under a
temporary name beside its target, complete, and then gets its name in one step: by rename
where the last writer wins, by `link(2)` where the first one does.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
from collections.abc import Iterable
from typing import Any, Self

from huldra.errors import HuldraStoreError

_NO_HARD_LINKS = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}
)
_ADVICE = {
    errno.ENOSPC: "free some space and call again; nothing was lost",
    errno.EDQUOT: "your disk quota is exhausted: free some space and call again; nothing was lost",
    errno.EROFS: "read-only file system: existing artifacts load, new ones cannot be created",
    errno.EACCES: "check the permissions, or point HULDRA_PATH at a folder of yours",
    errno.EPERM: "check the permissions, or point HULDRA_PATH at a folder of yours",
    errno.ENAMETOOLONG: "use a shorter root or shorter module and class names",
}

# A file system that cannot sync folders, or files of some kind, says so in one of these ways.
CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
_GONE = (errno.ENOENT, errno.ENOTDIR)

_process_tag = os.urandom(5).hex()
_counter = itertools.count()


def _renew_process_tag() -> None:
    global _process_tag  # noqa: PLW0603  a forked child must not share its parent's names
    _process_tag = os.urandom(5).hex()


os.register_at_fork(after_in_child=_renew_process_tag)


def unique_suffix() -> str:
    """A text that no other call, thread, process or host returns."""
    return f"{_process_tag}{next(_counter):x}"


def temporary_name(path: str) -> str:
    """A name beside `path` that no other write uses."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.{unique_suffix()}.tmp"


def is_temporary(name: str) -> bool:
    """Return True if a file of this name is an unfinished write, or its litter."""
    return name.startswith(".") and name.endswith(".tmp")


def store_error(error: OSError, wanted: str, path: str) -> HuldraStoreError:
    """Say what was wanted, where, what the system answered and what to do."""
    advice = _ADVICE.get(error.errno or 0, "check the disk and call again")
    reason = error.strerror or type(error).__name__
    return HuldraStoreError(f"cannot {wanted} {path}: {reason}; {advice}", directory=path)


class FolderGone(HuldraStoreError):
    """A folder that is needed is not there, or was removed while it was open."""


class Folder:
    """A folder held open: names given with it are of this very folder.

    A path may lead to another folder a moment later: one that was removed and made again. What is
    read and written through one `Folder` is of one, and once that is removed nothing can be made in
    it: `FolderGone`, also when there is none to begin with. Raises `HuldraStoreError` for the rest.
    """

    __slots__ = ("descriptor", "path")

    def __init__(self, path: str, within: Folder | None = None) -> None:
        """Open the folder `path`, which is a name in `within` where that is given."""
        self.path: str = f"{within.path}/{path}" if within else path
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            self.descriptor = os.open(path, flags, dir_fd=_at(within))
        except OSError as error:
            raise self.error(error, "open the folder", "") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # its files were closed, and checked, by themselves
            os.close(self.descriptor)

    def error(self, error: OSError, wanted: str, name: str) -> HuldraStoreError:
        """What an error means that the system gave for a name in this folder."""
        path = f"{self.path}/{name}" if name else self.path
        if error.errno not in _GONE:
            return store_error(error, wanted, path)
        return FolderGone(
            f"cannot {wanted} {path}: {self.path} does not exist, or was removed meanwhile; call"
            " again to compute the artifact",
            directory=self.path,
        )

    def has(self, name: str) -> bool:
        """Return True if a file of this folder has this name; False also where that is unknown."""
        return os.access(name, os.F_OK, dir_fd=self.descriptor)

    def read(self, name: str) -> bytes | None:
        """The content of a file of this folder, or None when there is none."""
        return read_bytes(name, folder=self)

    def sync(self) -> None:
        """Put the names of this folder on the disk, where the file system can."""
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            if error.errno not in CANNOT_SYNC:
                raise self.error(error, "put on the disk", "") from error


def _error_of(error: OSError, wanted: str, path: str, folder: Folder | None) -> HuldraStoreError:
    return folder.error(error, wanted, path) if folder else store_error(error, wanted, path)


def _at(folder: Folder | None) -> int | None:
    return folder.descriptor if folder else None


def make_directories(path: str) -> bool:
    """Make `path` and its parents; False when it is there already, which is fine."""
    try:
        os.mkdir(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise HuldraStoreError(
                f"expected a directory at {path}, found a file; move the file away",
                directory=path,
            ) from None
        return False
    except FileNotFoundError:
        make_directories(os.path.dirname(path))
        return make_directories(path)
    except OSError as error:
        raise store_error(error, "make the directory", path) from error
    return True


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def _write_temporary(
    path: str,
    data: bytes,
    sync: bool = False,
    folder: Folder | None = None,
    makes_folders: bool = True,
    mode: int = 0o666,
) -> str:
    temporary, at = temporary_name(path), _at(folder)
    try:
        handle = os.open(temporary, _NEW, mode, dir_fd=at)
    except FileNotFoundError:
        if folder is not None or not makes_folders:
            raise
        make_directories(os.path.dirname(path))
        handle = os.open(temporary, _NEW, mode)
    try:
        _fill(handle, data, sync)
    except BaseException:
        remove(temporary, folder=folder)
        raise
    return temporary


def _fill(handle: int, data: bytes, sync: bool) -> None:
    """Write a new file and close it."""
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)


def write_hidden(path: str, data: bytes, *, sync: bool = False) -> None:
    """Write a file in a folder that has a temporary name, where no other process looks for it.

    So it needs no temporary name of its own. Raises `FolderGone` if the folder is not there any
    more, and `HuldraStoreError` for the rest; no half of it stays then.
    """
    try:
        handle = os.open(path, _NEW, 0o666)
        try:
            _fill(handle, data, sync)
        except BaseException:
            remove(path)
            raise
    except OSError as error:
        refused = store_error(error, "write", path)
        if error.errno in _GONE:
            raise FolderGone(str(refused), directory=path) from error
        raise refused from error


def write_atomic(
    path: str,
    data: bytes,
    *,
    sync: bool = False,
    folder: Folder | None = None,
    makes_folders: bool = True,
    mode: int = 0o666,
) -> None:
    """Give `path` this content in one step; readers see the old file or the new one.

    With `sync` the content is on disk before the name is. With a `folder` the path is a name in it;
    else folders that are missing are made, unless `makes_folders` is False. The file has `mode`,
    less the umask. Raises `HuldraStoreError`; the old file is untouched then.
    """
    at = _at(folder)
    try:
        temporary = _write_temporary(path, data, sync, folder, makes_folders, mode)
        try:
            os.replace(temporary, path, src_dir_fd=at, dst_dir_fd=at)
        except BaseException:
            remove(temporary, folder=folder)
            raise
    except OSError as error:
        raise _error_of(error, "write", path, folder) from error


def write_parts(path: str, parts: Iterable[bytes]) -> None:
    """Give `path` the content of all parts in one step; no more than one of them is in memory.

    Raises as `write_atomic`, and what `parts` raises; the old file is untouched then.
    """
    try:
        temporary = _write_temporary(path, b"")
        try:
            with open(temporary, "wb", buffering=1 << 20) as file:
                file.writelines(parts)
            os.replace(temporary, path)
        except BaseException:
            remove(temporary)
            raise
    except OSError as error:
        raise store_error(error, "write", path) from error


def link_new(
    path: str,
    data: bytes,
    *,
    sync: bool = False,
    also: str | None = None,
    folder: Folder | None = None,
) -> bool:
    """Give `path` this content if the name is free; False when another process was first.

    The file is complete when its name appears. With `also`, the winner's file gets that second
    name too, so that both names are one file; False when another file has that one. With a
    `folder` the paths are names in it; else folders that are missing are made. Raises
    `HuldraStoreError` when the file system refuses, also when it has no hard links: a fallback
    would not be exact, so there is none.
    """
    try:
        temporary = _write_temporary(path, data, sync, folder)
        try:
            won = _link(temporary, path, folder)
            won = won and (also is None or _link(temporary, also, folder))
        finally:
            remove(temporary, folder=folder)
    except OSError as error:
        place = folder.path if folder else os.path.dirname(path)
        if error.errno in _NO_HARD_LINKS and os.access(place, os.W_OK):
            raise HuldraStoreError(
                f"cannot link {path}: {error.strerror}; huldra needs a file system with hard links"
                " (ext4, xfs, NFS, Lustre and GPFS have them): set HULDRA_PATH to a folder on one",
                directory=place,
            ) from error
        raise _error_of(error, "write", path, folder) from error
    return won


def _link(temporary: str, path: str, folder: Folder | None = None) -> bool:
    # An NFS server may have made the link and lost its answer: the retry then says EEXIST (or
    # another error) although we won. The inode tells: only our own file has our inode.
    at = _at(folder)
    try:
        os.link(temporary, path, src_dir_fd=at, dst_dir_fd=at)
    except OSError as error:
        try:
            if os.path.samestat(os.stat(temporary, dir_fd=at), os.stat(path, dir_fd=at)):
                return True
        except OSError:
            pass  # then the first error is the one to tell
        if isinstance(error, FileExistsError):
            return False
        raise
    return True


def rename_new(folder: str, path: str) -> bool:
    """Give a whole folder the name `path` if no folder with something in it has that; else False.

    False also where the system refuses: then `folder` is still there, or an NFS server did it and
    lost its answer. What is in `path` tells.
    """
    try:
        os.rename(folder, path)
    except OSError:
        return False
    return True


class SharedFile:
    """One content under many names: written once, then linked, at a tenth of the price of a file.

    So it must never be written to in place: each of the names would change.
    """

    def __init__(self, path: str, data: bytes) -> None:
        """Write it to `path`, which stays one of its names. Raises `HuldraStoreError`."""
        self._path, self._data = path, data
        self._takes_names = True
        write_atomic(path, data)

    @property
    def takes_names(self) -> bool:
        """Return False once a name had to become a file of its own."""
        return self._takes_names

    def link(self, path: str) -> bool:
        """Give it the name `path` if that is free; False when another process was first.

        Where no link leads from here (another file system below the root, or a file with all the
        names that it can have), `path` is a file of its own. Raises `HuldraStoreError`.
        """
        if self._takes_names:
            try:
                return _link(self._path, path)
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise store_error(error, "link", path) from error
                self._takes_names = False
        return link_new(path, self._data)


def remove(path: str, *, folder: Folder | None = None) -> None:
    """Remove a file; one that is gone already, or cannot go, is left to be litter."""
    try:
        os.unlink(path, dir_fd=_at(folder))
    except OSError:
        pass  # the caller has a better error on its hands, or none


def remove_hidden(path: str) -> None:
    """Remove a folder that has a temporary name; what cannot go is left to be litter."""
    import shutil  # here: a hit removes nothing, and should not pay for it

    shutil.rmtree(path, ignore_errors=True)


def remove_tree(path: str) -> None:
    """Take a folder away: it loses its name in one step, then its files go.

    A crash in between leaves a folder with a temporary name, which is litter and no artifact.
    Raises `HuldraStoreError`; when the name could not be taken away, nothing has changed.
    """
    import shutil  # here: a hit removes nothing, and should not pay for it

    aside = temporary_name(path)
    try:
        os.rename(path, aside)
    except OSError as error:
        raise store_error(error, "remove", path) from error
    try:
        shutil.rmtree(aside)
    except OSError as error:
        raise store_error(error, "remove", aside) from error


def path_exists(path: str) -> bool:
    """Return True if a file has this name; False also where that cannot be found out.

    A third of the price of `os.path.exists`, which raises and catches an error for each file that
    is not there.
    """
    return os.access(path, os.F_OK)


def read_bytes(path: str, *, folder: Folder | None = None) -> bytes | None:
    """The content of a file, or None when there is none; with a `folder`, of that name in it."""
    try:
        # Not blocking: a named pipe in its place reads as empty, and hangs no process.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=_at(folder))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _error_of(error, "read", path, folder) from error
    try:
        data = os.read(handle, 65536)
        if len(data) < 65536:
            return data
        parts = [data]
        while data := os.read(handle, 1 << 20):
            parts.append(data)
        return b"".join(parts)
    except OSError as error:
        raise _error_of(error, "read", path, folder) from error
    finally:
        with contextlib.suppress(OSError):  # what was read is whole, whatever closing it reports
            os.close(handle)


def read_piece(path: str, offset: int, length: int) -> bytes:
    """Some bytes out of a file; fewer where it ends before."""
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            return file.read(length)
    except OSError as error:
        raise store_error(error, "read", path) from error


def parse_object(data: bytes) -> dict[str, Any] | None:
    """The JSON object in `data`, or None when it is empty, truncated or something else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_object(path: str) -> dict[str, Any] | None:
    """The JSON object in a file, or None when the file is absent or does not hold one."""
    data = read_bytes(path)
    return None if data is None else parse_object(data)


_encode = json.JSONEncoder(ensure_ascii=True, separators=(", ", ": "), default=str).encode


def object_bytes(value: dict[str, Any]) -> bytes:
    """A JSON object as one line of a file."""
    return _encode(value).encode("ascii") + b"\n"
