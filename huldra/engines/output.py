"""What nodes print: files in the folder of their run, one for each process that ran some.

What a node logs stands in its artifact; what it prints, and what the programs that it starts print,
goes where the process prints.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Collection, Iterator

from huldra.store.job_ref import JobRef


def print_file(folder: str, engine: str, pid: int | None = None) -> str:
    """The file for what a process of this host, by default this one, prints for a run."""
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
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    except OSError:  # the run's folder is gone: printing on where it went before is good enough
        return
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


@contextlib.contextmanager
def printing_to(path: str) -> Iterator[None]:
    """Let what this process prints go to `path`, and afterwards where it went before."""
    flush()
    before = os.dup(1), os.dup(2)
    redirect_output(path)
    try:
        yield
    finally:
        flush()
        for descriptor, kept in zip((1, 2), before, strict=True):
            os.dup2(kept, descriptor)
            os.close(kept)


def flush() -> None:
    """Write out what Python still holds of what was printed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or replaced by the user's code
            stream.flush()
