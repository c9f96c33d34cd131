"""The one door to the files of an artifact: nothing outside of it can be opened."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


class OutsideError(ValueError):
    """The path leaves its directory, or does not name a regular file."""


def open_inside(directory: str | os.PathLike[str], relative: str) -> BinaryIO:
    """Open the regular file `relative` below `directory` for reading.

    Symbolic links are followed as long as their target is below `directory`, too. Devices, pipes
    and directories are refused without being waited for. The size is not limited here: read
    with a cap. Not promised: that no one exchanges a parent folder between the check and the
    opening; who may do that owns the files anyway.

    Raises:
        OutsideError: `relative` is absolute, leaves `directory`, or is no regular file.
        FileNotFoundError: there is no such file.
    """
    if not relative or "\0" in relative or os.path.isabs(relative):
        raise OutsideError(f"{relative!r} is not a relative path")
    base = Path(directory).resolve(strict=True)
    try:
        target = (base / relative).resolve(strict=True)
    except RuntimeError as error:  # before Python 3.13; since then an OSError says it
        raise OutsideError(f"{relative!r} is a loop of links") from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OutsideError(f"{relative!r} is a loop of links") from error
    if not target.is_relative_to(base):
        raise OutsideError(f"{relative!r} leaves {base}")
    try:
        fd = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise OutsideError(f"{relative!r} in {base} cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OutsideError(f"{relative!r} in {base} is not a regular file")
    return os.fdopen(fd, "rb")


def read_inside(directory: str | os.PathLike[str], relative: str, max_bytes: int) -> bytes:
    """The first `max_bytes` of a file below `directory`; errors as `open_inside`."""
    with open_inside(directory, relative) as file:
        return file.read(max_bytes)
