"""The file operations of one process on one store: counted, and made to fail, wait or kill.

Installed in a child process. A call of `os`, or of `open`, that names a path below the root, or the
descriptor of a file there, is one operation. A fault looks at each of them first: it may return a
`Failure`, stop the process for a while, or kill it. So a test goes through an attempt operation by
operation, without any knowledge of the protocol, and goes on doing so when the protocol changes.

Writes through an object of `open` are not seen one by one; the opening is.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

_ON_ONE_PATH = (
    *("access", "chmod", "listdir", "lstat", "mkdir", "open", "readlink", "rmdir", "scandir"),
    *("stat", "truncate", "unlink", "remove", "utime"),
)
_ON_TWO_PATHS = ("link", "rename", "replace", "symlink")
_ON_DESCRIPTORS = ("close", "fdatasync", "fstat", "fsync", "ftruncate", "pwrite", "read", "write")
_FOLDER_KEYWORDS = ("dir_fd", "src_dir_fd", "dst_dir_fd")

# What changes the disk, and can therefore be done although its answer is lost.
CHANGES = frozenset(
    {"link", "mkdir", "open", "remove", "rename", "replace", "rmdir", "unlink", "utime", "write"}
)
GO_ON_WITHIN_S = 60.0
_own = threading.local()


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """Let this thread's operations through uncounted: those of a test's own bookkeeping."""
    _own.is_unseen = True
    try:
        yield
    finally:
        _own.is_unseen = False


@dataclass(frozen=True)
class Operation:
    """The `number`-th operation of the process: a function's name, and the path or descriptor."""

    number: int
    name: str
    path: str

    def __str__(self) -> str:
        """As a line of a report."""
        return f"{self.number} {self.name} {self.path}"


@dataclass(frozen=True)
class Failure:
    """An operation raises this error; with `is_done` it took effect, and its answer was lost."""

    errno: int
    is_done: bool = False


class Fault(Protocol):
    """What happens to the operations of a process."""

    def __call__(self, operation: Operation) -> Failure | None:
        """Let the operation through (None) or make it fail; may also wait, or never return."""


class Disk:
    """The operations of this process below `root`; those of the main thread are counted."""

    def __init__(self, root: Path, fault: Fault) -> None:
        """`fault` is asked before each operation, in the thread that is about to do it."""
        self._root = str(root)
        self._fault = fault
        self._descriptors: set[int] = set()
        self._count = 0

    def install(self) -> None:
        """Put this between the process and its files, for the rest of the process's life."""
        for name in (*_ON_ONE_PATH, *_ON_TWO_PATHS):
            setattr(os, name, self._wrapped(getattr(os, name), name, self._place_of_paths))
        for name in _ON_DESCRIPTORS:
            setattr(os, name, self._wrapped(getattr(os, name), name, self._place_of_descriptor))
        opens = self._wrapped(builtins.open, "open", self._place_of_paths)
        builtins.open = io.open = opens  # type: ignore[assignment]

    def _wrapped(
        self, original: Callable[..., Any], name: str, place: Callable[..., str | None]
    ) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            path = None if getattr(_own, "is_unseen", False) else place(arguments, keywords)
            failure = self._meet(name, path) if path is not None else None
            # Linux gives the descriptor back even where `close` reports an error.
            if failure is None or failure.is_done or name == "close":
                value = original(*arguments, **keywords)
                self._follow(name, path, value, arguments)
            if failure is None:
                return value
            if name == "access":
                return False
            raise OSError(failure.errno, os.strerror(failure.errno), path)

        return call

    def _meet(self, name: str, path: str) -> Failure | None:
        if threading.current_thread() is threading.main_thread():
            self._count += 1
            return self._fault(Operation(self._count, name, path))
        return self._fault(Operation(0, name, path))

    def _follow(self, name: str, path: str | None, value: Any, arguments: tuple[Any, ...]) -> None:
        """Know which descriptors are files below the root."""
        if path is None:
            return
        if name == "open" and isinstance(value, int):
            self._descriptors.add(value)
        elif name == "close":
            self._descriptors.discard(arguments[0])

    def _place_of_paths(self, paths: tuple[Any, ...], keywords: dict[str, Any]) -> str | None:
        is_in_folder = any(keywords.get(word) in self._descriptors for word in _FOLDER_KEYWORDS)
        for path in reversed(paths[:2]):  # links and renames name their target last
            if isinstance(path, int) and path in self._descriptors:
                return f"descriptor {path}"
            if isinstance(path, str | Path):
                text = str(path)
                is_below = text == self._root or text.startswith(f"{self._root}/")
                if is_below or (is_in_folder and not text.startswith("/")):
                    return text
        return None

    def _place_of_descriptor(self, values: tuple[Any, ...], _: dict[str, Any]) -> str | None:
        if values and isinstance(values[0], int) and values[0] in self._descriptors:
            return f"descriptor {values[0]}"
        return None


# ---- faults ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Count:
    """No fault: each operation of the main thread is one line of `file`."""

    file: Path

    def __call__(self, operation: Operation) -> Failure | None:
        """Write it down."""
        if operation.number:
            leave_line(self.file, str(operation))
        return None


@dataclass(frozen=True)
class At:
    """A fault at the `number`-th operation, where the process stops first until it may go on.

    `kills` sends SIGKILL; else the operation fails with `errno`, as do the `count - 1` after it,
    those of other threads too. `errno` 0 only stops it.
    """

    number: int
    folder: Path
    errno: int = 0
    is_done: bool = False
    count: int = 1
    kills: bool = False

    def __call__(self, operation: Operation) -> Failure | None:
        """Let through what comes before, and after the last of them."""
        if operation.number < self.number and not self._is_reached():
            return None
        if operation.number == self.number:
            self._stop(operation)
            if self.kills:
                os.kill(os.getpid(), signal.SIGKILL)
        is_elsewhere = not operation.number and self.count == 1
        if not self.errno or is_elsewhere or (self.folder / "mended").exists():
            return None
        if operation.number >= self.number + self.count:
            (self.folder / "mended").touch()
            return None
        return Failure(self.errno, self.is_done and operation.name in CHANGES)

    def _is_reached(self) -> bool:
        return (self.folder / "go").exists()

    def _stop(self, operation: Operation) -> None:
        (self.folder / "reached").write_text(str(operation))
        await_path(self.folder / "go")


@dataclass(frozen=True)
class Looked:
    """No fault: touches `file` at the `number`-th operation, a sign that the process is at it."""

    file: Path
    number: int = 4

    def __call__(self, operation: Operation) -> Failure | None:
        """Give the sign."""
        if operation.number == self.number:
            self.file.touch()
        return None


def leave_line(file: Path, line: str) -> None:
    """Append one line in one write."""
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        os.write(handle, f"{line}\n".encode())
    finally:
        os.close(handle)


def await_path(path: Path) -> None:
    """Return once the path exists, or after a minute, when whoever should make it has died."""
    deadline = time.monotonic() + GO_ON_WITHIN_S
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.002)


ERRORS = (errno.EIO, errno.ENOSPC, errno.ESTALE, errno.EACCES)
