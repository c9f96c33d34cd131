"""What is printed on workers: a node's output to its artifact, the rest to files of the run.

While `_create` runs in a process that exists for nodes, the process's stdout and stderr *are* the
artifact's `output.log`: so what the programs that it starts print is in there, too, and a kill
loses nothing that was written. What such a process prints outside of nodes (while it starts, while
it imports) goes to a file in the folder of the run, one for each process.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import socket
import stat
import sys
import threading
from collections.abc import Collection, Iterator
from typing import Any, TextIO

from huldra.store.job_ref import JobRef


def print_file(folder: str, engine: str, pid: int | None = None) -> str:
    """The file for what a process of this host, by default this one, prints outside of nodes."""
    return f"{folder}/{engine}-{socket.gethostname()}-{pid or os.getpid()}.log"


def startup_log_path(folder: str, engine: str) -> str:
    """The file for what the workers of this host print before they have a node."""
    return f"{folder}/{engine}-{socket.gethostname()}.log"


def output_files(folder: str, engine: str) -> list[str]:
    """The files of all processes of `engine` that printed anything for the run of `folder`."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []
    return [entry.path for entry in entries if _has_prints(entry, engine)]


def output_files_of(refs: Collection[JobRef], engine: str) -> dict[JobRef, list[str]]:
    """The same of each job, whose ref says in `logs` which run it belongs to."""
    folder_of = {ref: str(ref.meta.get("logs", "")) for ref in refs}
    found = {folder: output_files(folder, engine) for folder in set(folder_of.values())}
    return {ref: found[folder] for ref, folder in folder_of.items()}


def _has_prints(entry: os.DirEntry[str], engine: str) -> bool:
    if not (entry.name.startswith(f"{engine}-") and entry.name.endswith(".log")):
        return False
    try:
        return entry.stat().st_size > 0
    except OSError:
        return False


def redirect_output(path: str) -> None:
    """Let what this process prints go to the end of the file `path` from now on."""
    try:
        log, _ = _open(path)
    except OSError:  # the run's folder is gone: printing on where it went before is good enough
        return
    _point_at(log)


@contextlib.contextmanager
def printing_to(path: str) -> Iterator[None]:
    """Let what this process prints go to `path`, and afterwards where it went before.

    Streams of an engine's own give way to plain ones meanwhile: it may do more with what they get.
    """
    flush()
    before, streams = _duplicates(), (sys.stdout, sys.stderr)
    redirect_output(path)
    try:
        sys.stdout, sys.stderr = _plain(1), _plain(2)
        yield
    finally:
        flush()
        sys.stdout, sys.stderr = streams
        _point_back(before)


@contextlib.contextmanager
def keeping_output(path: str, headline: str) -> Iterator[None]:
    """Keep what this process and its children print inside in the file `path`.

    The file is there once something was printed; `headline` stands before what follows on earlier
    output. Nothing here fails what runs inside: where the file cannot be opened, output goes where
    it went before, and what a full disk does not take is lost. Off the main thread nothing
    changes, since the streams are those of the whole process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    flush()
    try:
        before = _duplicates()
    except OSError:
        yield
        return
    try:
        log, found = _open(path)
    except OSError:
        _close(before)
        yield
        return
    pid, streams = os.getpid(), (sys.stdout, sys.stderr)
    if found.st_size:
        with contextlib.suppress(OSError):
            os.write(log, f"\n--- {headline} ---\n".encode())
    try:
        _point_at(log)
        sys.stdout, sys.stderr = _unfailing(streams[0], 1), _unfailing(streams[1], 2)
        yield
    finally:
        flush()
        sys.stdout, sys.stderr = streams
        if os.getpid() == pid:  # a forked child that comes out of `_create`, too, leaves all as is
            if not found.st_size:
                _remove_if_empty(path, found)
            _point_back(before)


def _open(path: str) -> tuple[int, os.stat_result]:
    """Open a log for writing at its end: no link is followed, no pipe or device waited for."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    log = os.open(path, flags, 0o666)
    found = os.fstat(log)
    if stat.S_ISREG(found.st_mode):
        return log, found
    os.close(log)
    raise OSError(f"{path} is not a regular file")


def _duplicates() -> tuple[int, int]:
    first = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)  # not at 2, where nothing may be open
    try:
        return first, fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 3)
    except OSError:
        os.close(first)
        raise


def _close(descriptors: tuple[int, int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _point_at(log: int) -> None:
    """Make stdout and stderr the file `log`, which is closed."""
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _point_back(before: tuple[int, int]) -> None:
    """Make stdout and stderr what they were before."""
    for descriptor, kept in zip((1, 2), before, strict=True):
        with contextlib.suppress(OSError):  # `_create` may have closed what it does not know
            os.dup2(kept, descriptor)
            os.close(kept)


def _remove_if_empty(path: str, found: os.stat_result) -> None:
    """Remove the file, which was `found` when it was opened, if nothing was printed."""
    with contextlib.suppress(OSError):
        now = os.fstat(1)  # costs nothing, where a look by name asks the file server
        if not os.path.samestat(now, found):  # `_create` has put another file there
            now = os.stat(path)
        if not now.st_size:
            os.unlink(path)


class _Unfailing(io.FileIO):
    """A descriptor to print to; what a full disk does not take is lost; no node fails for it."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


class _KeptOutput(io.TextIOWrapper):
    """What `print` writes to meanwhile; the console leaves out what the log has anyway."""

    is_kept_output = True


def _unfailing(stream: TextIO, descriptor: int) -> TextIO:
    """A stream on `descriptor` that writes each line at once; `stream` if it is not on that."""
    if type(stream) is not io.TextIOWrapper or _descriptor_of(stream) != descriptor:
        return stream  # the user's module has put its own there
    known = _streams.get(descriptor)
    with contextlib.suppress(ValueError, OSError, AttributeError):  # closed, detached: another one
        if known is not None and known.encoding == stream.encoding:
            known.reconfigure(errors="backslashreplace", line_buffering=True, write_through=False)
            return known
    raw = _Unfailing(descriptor, "w", closefd=False)
    _streams[descriptor] = _KeptOutput(
        io.BufferedWriter(raw), stream.encoding, "backslashreplace", line_buffering=True
    )
    return _streams[descriptor]


_streams: dict[int, _KeptOutput] = {}  # to make two again costs as much as the file itself


def _plain(descriptor: int) -> TextIO:
    """A stream as Python itself makes it for a descriptor, which it does not own."""
    return open(
        descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def _descriptor_of(stream: TextIO) -> int:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return -1


def flush() -> None:
    """Write out what Python still holds of what was printed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, replaced, or None
            stream.flush()
