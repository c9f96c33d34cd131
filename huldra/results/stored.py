"""A result as files: `result.json`, and beside it a folder with a file for each large value.

    result.json                  the value, readable; large values stand as {"$stored": {…}}
    result/0.npy                 one of them, numbered in the order of the value

Containers, dataclasses, pydantic models and configs are written as they are in the documents of
configs, so whatever a config may hold comes back equal. Nothing here is locked or synced: the
attempt that calls it holds the claim.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from huldra.config import documents
from huldra.config.import_paths import UnhashableValue
from huldra.errors import HuldraSerializationError
from huldra.results import formats
from huldra.store import files

RECORD = "result.json"
FOLDER = "result"
_VERSION = 1
_PATH = "path"
_PATHS = (Path, type(Path()))
_NEVER_ALONE = frozenset({int, float, list, tuple, set, frozenset})
_WAYS_OUT = (
    'write a _load for it, register a format (entry point group "huldra.formats"), or give the'
    ' class format="pickle"'
)


def write(value: Any, directory: str, *, name: str, format_name: str | None = None) -> None:
    """Store `value` in `directory`; `name` is the class's, for messages.

    With `format_name` the whole value goes into one file of that format. An earlier stored result
    there is replaced.

    Raises `HuldraSerializationError`, naming the place in the value and the ways out, for what
    cannot be stored or would not come back; `HuldraStoreError` where the file system refuses.
    """
    shutil.rmtree(f"{directory}/{FOLDER}", ignore_errors=True)
    writing = _Writing(directory, name)
    try:
        form, objects = writing.form_of(value, format_name)
        record = {"huldra": _VERSION, "value": form, "objects": objects}
        files.write_atomic(f"{directory}/{RECORD}", json.dumps(record, indent=1).encode())
    except OSError as error:
        raise files.store_error(error, "write the result to", directory) from error


def read(directory: str, *, name: str) -> Any:
    """Return the value that `write` stored in `directory`.

    Raises `HuldraSerializationError` where there is none, or where it cannot be read back.
    """
    path = f"{directory}/{RECORD}"
    record = files.read_object(path)
    if record is None or "value" not in record:
        raise HuldraSerializationError(
            f"{name} has no _load, and {path} holds no stored result: its artifact was computed"
            " while the class had a _load; write one, or compute it again"
        )
    try:
        return documents.value_from_json(
            record["value"], record.get("objects") or {}, lambda body: _read_file(directory, body)
        )
    except HuldraSerializationError as error:
        error.add_note(f"huldra: while reading {path}")
        raise


def _read_file(directory: str, body: Mapping[str, Any]) -> Any:
    path = os.path.normpath(f"{directory}/{body['path']}")
    if not path.startswith(f"{os.path.normpath(directory)}/"):
        raise HuldraSerializationError(f"{body['path']!r} leads out of {directory}")
    if body["format"] == _PATH:
        return Path(path)
    return formats.named(body["format"]).read(path)


class _Writing:
    """One result on its way to the disk, and the files that it has so far."""

    def __init__(self, directory: str, name: str) -> None:
        self.directory = directory
        self.name = name
        self.count = 0
        self.refused: Any = None  # the value that a format would not take, and why
        self.reason = ""

    def form_of(self, value: Any, format_name: str | None) -> tuple[Any, Mapping[str, Any]]:
        try:
            if format_name is not None:
                return {"$stored": self._file(value, formats.named(format_name))}, {}
            return documents.value_to_json(value, self._leaf, self._probe)
        except (HuldraSerializationError, UnhashableValue) as error:
            shutil.rmtree(f"{self.directory}/{FOLDER}", ignore_errors=True)
            place = (
                f"{error}" if isinstance(error, HuldraSerializationError) else " cannot be stored"
            )
            raise HuldraSerializationError(
                f"what {self.name}._create returned{place}{self.reason}; {_WAYS_OUT}"
            ) from error

    def _probe(self, value: Any) -> Mapping[str, Any] | None:
        """As `_leaf`, without writing: for the search of the part that was refused."""
        if value is self.refused:
            raise UnhashableValue("a format refused it")
        if type(value) in _NEVER_ALONE or isinstance(value, PurePath):
            return None
        return None if formats.format_for(value) is None else {}

    def _leaf(self, value: Any) -> Mapping[str, Any] | None:
        """What stands for a value that has a file of its own, None for another value."""
        if type(value) in _NEVER_ALONE:
            return None
        if isinstance(value, PurePath):
            return self._path(value)
        found = formats.format_for(value)
        return None if found is None else self._file(value, found)

    def _path(self, value: PurePath) -> Mapping[str, Any] | None:
        """A path inside of the artifact is relative to it, so that the artifact can move."""
        if type(value) not in _PATHS or not value.is_absolute():
            return None
        inside = os.path.relpath(value, self.directory)
        if inside in (os.curdir, os.pardir) or inside.startswith(f"{os.pardir}/"):
            return None
        return {"format": _PATH, "path": inside}

    def _file(self, value: Any, one: formats.Format) -> Mapping[str, Any]:
        os.makedirs(f"{self.directory}/{FOLDER}", exist_ok=True)
        inside = f"{FOLDER}/{self.count}{one.suffix}"
        self.count += 1
        try:
            one.write(value, f"{self.directory}/{inside}")
        except OSError:
            raise
        except Exception as error:
            self.refused = value
            self.reason = f" as {one.name} ({type(error).__name__}: {error})"
            raise UnhashableValue(self.reason) from error
        return {"format": one.name, "path": inside}
