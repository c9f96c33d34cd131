"""The floor: the same file work as huldra's, in plain standard library, and nothing else.

`bench_counts` compares the calls of both, so that the floor stays the floor when huldra changes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def hit(directory: str) -> bool:
    """Read the record that an artifact is made, and look that no later attempt voids it."""
    handle = os.open(f"{directory}/.huldra/SUCCESS.json", os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(handle, 65536)
    finally:
        os.close(handle)
    record = json.loads(data)
    return not os.path.exists(f"{directory}/.huldra/claims/{record['claim'] + 1}")


@dataclass(frozen=True)
class Miss:
    """What one miss writes: the bytes of an artifact that huldra has made."""

    claim: bytes
    state: bytes
    metadata: bytes
    log: bytes
    end: bytes
    success: bytes

    @staticmethod
    def of(directory: str) -> Miss:
        """Take the bytes of the artifact in `directory`."""
        names = ("claims/1", "state.json", "metadata.json", "huldra.log")
        names += ("claims/1.end", "SUCCESS.json")
        found = []
        for name in names:
            with open(f"{directory}/.huldra/{name}", "rb") as file:
                found.append(file.read())
        return Miss(*found)

    def make(self, directory: str) -> None:
        """Make such an artifact in `directory`, whose parent exists."""
        private = f"{directory}/.huldra"
        hidden, claims = f"{private}.tmp", f"{private}/claims"
        for folder in (directory, hidden, f"{hidden}/claims"):
            os.mkdir(folder)
        _write(f"{hidden}/state.json", self.state)
        _write(f"{hidden}/metadata.json", self.metadata)
        _write(f"{hidden}/claims/1", self.claim, sync=True)
        os.rename(hidden, private)
        _write_log(f"{private}/huldra.log", self.log)
        for folder in (directory, os.path.dirname(directory)):
            _sync(folder)
        _link(f"{claims}/1.end", self.end)
        _replace(f"{private}/state.json", self.state)
        _replace(f"{private}/SUCCESS.json", self.success, sync=True)
        _sync(private)


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_log(path: str, lines: bytes) -> None:
    """The line that says when an attempt began, and later, still open, the one on its end."""
    handle = os.open(path, _NEW, 0o666)
    try:
        for line in lines.splitlines(keepends=True):
            os.write(handle, line)
    finally:
        os.close(handle)


def _write(path: str, data: bytes, sync: bool = False) -> None:
    handle = os.open(path, _NEW, 0o666)
    try:
        os.write(handle, data)
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)


def _link(path: str, data: bytes) -> None:
    temporary = f"{path}.tmp"
    _write(temporary, data, sync=True)
    os.link(temporary, path)
    os.unlink(temporary)


def _replace(path: str, data: bytes, sync: bool = False) -> None:
    temporary = f"{path}.tmp"
    _write(temporary, data, sync)
    os.replace(temporary, path)
