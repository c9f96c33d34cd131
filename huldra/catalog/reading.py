"""Reading what others wrote, perhaps badly: every function here answers for any bytes on disk."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

MAX_BYTES = 8 << 20
MAX_DEPTH = 100
MAX_TEXT = 1000

_SURROGATE = re.compile("[\ud800-\udfff]")


class Mark(NamedTuple):
    """Tells one version of a file from the next: a replaced file has another inode."""

    mtime_ns: int
    inode: int
    size: int


class Document(NamedTuple):
    """A JSON object, or why there is none: both empty means that there is no file."""

    value: dict[str, Any] | None
    mark: Mark | None
    problem: str


def mark_of(path: str) -> Mark | None:
    """The mark of a file, None when it cannot be seen."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return Mark(found.st_mtime_ns, found.st_ino, found.st_size)


def read_document(path: str, max_bytes: int = MAX_BYTES) -> Document:
    """The JSON object in the file; a pipe or a device is not waited for, a link not followed.

    Huldra writes no links. One that was put there could name a file that is not to be shown.
    """
    handle, mark, problem = open_regular(path, max_bytes)
    if handle < 0:
        return Document(None, mark, problem)
    name = os.path.basename(path)
    try:
        data = _read_all(handle, mark.size if mark else 0)
    except OSError as error:
        return Document(None, None, f"{name}: {error.strerror}")
    finally:
        os.close(handle)
    value, problem = parse_object(data)
    return Document(value, mark, f"{name}: {problem}" if problem else "")


def open_regular(path: str, max_bytes: int) -> tuple[int, Mark | None, str]:
    """Open a regular file for reading: its descriptor and mark, or -1 and why not.

    A pipe or a device is not waited for, a link not followed. The reason is "" where there is no
    file. The caller closes the descriptor.
    """
    name = os.path.basename(path)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return -1, None, ""
    except OSError as error:
        is_link = error.errno == errno.ELOOP
        return -1, None, f"{name}: {'a link' if is_link else error.strerror}"
    try:
        found = os.fstat(handle)
    except OSError as error:
        os.close(handle)
        return -1, None, f"{name}: {error.strerror}"
    mark = Mark(found.st_mtime_ns, found.st_ino, found.st_size)
    problem = ""
    if not stat.S_ISREG(found.st_mode):
        problem = f"{name}: not a regular file"
    elif found.st_size > max_bytes:
        problem = f"{name}: {found.st_size} bytes are too many to read"
    if problem:
        os.close(handle)
        return -1, mark, problem
    return handle, mark, ""


def _read_all(handle: int, size: int) -> bytes:
    data = os.read(handle, size + 1)
    if len(data) >= size:
        return data
    parts = [data]
    while data := os.read(handle, 1 << 20):
        parts.append(data)
    return b"".join(parts)


def parse_object(data: bytes) -> tuple[dict[str, Any] | None, str]:
    """The JSON object in `data`, or None and the reason."""
    if not data.strip():
        return None, "empty"
    value, problem = parse_json(data)
    if problem:
        return None, problem
    return (value, "") if isinstance(value, dict) else (None, "not a JSON object")


def parse_json(data: bytes) -> tuple[Any, str]:
    """Any JSON value (NaN and infinities too) without lone surrogates, or None and the reason."""
    text = data.decode("utf-8", "replace")
    try:
        value = json.loads(text)
        if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
            return None, f"nested deeper than {MAX_DEPTH}"
    except (ValueError, RecursionError) as error:
        return None, f"not JSON ({str(error)[:80]})"
    if "\\ud" in text or "\\uD" in text:
        value = _scrub(value)
    return value, ""


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below
    return depth


def _scrub(value: Any) -> Any:
    # A lone surrogate is legal in JSON and cannot be written as UTF-8.
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_scrub(item) for item in value]
    if isinstance(value, dict):
        return {_scrub(key): _scrub(item) for key, item in value.items()}
    return value


def as_text(value: Any, limit: int = MAX_TEXT) -> str:
    """The value if it is text (cut at `limit`), else ""."""
    return value[:limit] if isinstance(value, str) else ""


def as_mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_count(value: Any) -> int:
    """The value if it is a small whole number that is not negative, else 0."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31:
        return value
    return 0


def as_seconds(value: Any) -> float | None:
    """The value if it is a finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def as_time(value: Any) -> datetime | None:
    """The moment that an ISO 8601 text names, in UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is UTC:
            return moment
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def as_moment(seconds: float) -> datetime | None:
    """The moment `seconds` after 1970, None where no calendar has it."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
