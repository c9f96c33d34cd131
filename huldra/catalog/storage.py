"""What lies on the disk: sizes, files, and what no artifact needs."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from huldra.catalog.reading import as_moment
from huldra.catalog.records import FileEntry, Litter, Row, Usage
from huldra.catalog.runs import read_run
from huldra.catalog.walk import folder_names, is_digest
from huldra.store.files import is_temporary
from huldra.store.layout import DATA, GIT, PRIVATE, RUNS, StorePaths

MIN_AGE_S = 3600.0  # a younger temporary file may be a write under way
_NEVER = datetime.fromtimestamp(0, UTC)


def usage(rows: Iterable[Row]) -> tuple[Usage, ...]:
    """Sizes of whole artifacts, biggest first."""
    measured = [Usage(row, *size_of(row.directory)) for row in rows]
    return tuple(sorted(measured, key=lambda u: (-u.size_bytes, u.row.key)))


def size_of(path: str) -> tuple[int, int]:
    """Bytes and files below `path` (or of the file itself); links are not followed."""
    try:
        found = os.lstat(path)
    except OSError:
        return 0, 0
    if not stat.S_ISDIR(found.st_mode):
        return found.st_size, 1
    size = files = 0
    for _, info in walk(path):
        if not stat.S_ISDIR(info.st_mode):
            size += info.st_size
            files += 1
    return size, files


def walk(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every entry below `directory`, folders before what is in them; unreadable ones are not."""
    folders = [directory]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in found:
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(info.st_mode):
                folders.append(entry.path)
            yield entry.path, info


def user_files(directory: str, max_files: int) -> tuple[FileEntry, ...]:
    """The files below `directory` that are not huldra's own, sorted by path."""
    found: list[FileEntry] = []
    private = f"{directory}/{PRIVATE}"
    for path, info in walk(directory):
        if stat.S_ISDIR(info.st_mode) or path.startswith((f"{private}/", f"{private}.")):
            continue
        relative = os.path.relpath(path, directory).encode("utf-8", "replace").decode()
        found.append(
            FileEntry(relative, info.st_size, as_moment(info.st_mtime) or _NEVER, _kind(info))
        )
        if len(found) >= max_files:
            break
    return tuple(sorted(found, key=lambda entry: entry.path))


def _kind(info: os.stat_result) -> str:
    if stat.S_ISREG(info.st_mode):
        return "file"
    return "link" if stat.S_ISLNK(info.st_mode) else "other"


def litter(root: str) -> Iterator[Litter]:
    """What no artifact below `root` needs."""
    now = time.time()
    for top in (DATA, GIT):
        for module in folder_names(f"{root}/{top}"):
            for name in folder_names(f"{root}/{top}/{module}"):
                yield from _class_litter(f"{root}/{top}/{module}/{name}", now)
    for run in folder_names(f"{root}/{RUNS}"):
        yield from _run_litter(root, run, now)


def _run_litter(root: str, run_id: str, now: float) -> Iterator[Litter]:
    """A run none of whose nodes is in the store any more, else the leftovers in its folder."""
    folder = StorePaths(root).run_directory(run_id)
    item = _item(folder, "run", now)
    planned = read_run(root, run_id).planned if item.age_s > MIN_AGE_S else ()
    if planned and not any(_is_in_store(root, key) for key in planned):
        yield item
    else:
        yield from _temporaries(folder, now)


def _is_in_store(root: str, key: str) -> bool:
    return any(os.path.lexists(f"{root}/{top}/{key}") for top in (DATA, GIT))


def _class_litter(folder: str, now: float) -> Iterator[Litter]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        path = f"{folder}/{name}"
        if is_temporary(name):
            yield _item(path, "trash" if os.path.isdir(path) else "temporary", now)
        elif not is_digest(name):
            yield _item(path, "foreign", now)
        else:
            yield from _artifact_litter(path, now)


def _artifact_litter(path: str, now: float) -> Iterator[Litter]:
    # `.huldra` itself has a temporary name until the first claim is whole. All else in here is the
    # user's, whatever its name.
    yield from _temporaries(path, now, f"{PRIVATE}.")
    if os.path.lexists(f"{path}/{PRIVATE}"):
        yield from _temporaries(f"{path}/{PRIVATE}", now)
        yield from _temporaries(f"{path}/{PRIVATE}/claims", now)
        return
    names = _names_in(path)
    if not names:
        yield _item(path, "foreign" if names is None else "empty", now)
    elif not all(is_temporary(name) and name.startswith(f"{PRIVATE}.") for name in names):
        yield _item(path, "foreign", now)


def _names_in(path: str) -> list[str] | None:
    try:
        return os.listdir(path)
    except OSError:
        return None


def _temporaries(folder: str, now: float, prefix: str = "") -> Iterator[Litter]:
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in sorted(names):
        if is_temporary(name) and name.startswith(prefix):
            item = _item(f"{folder}/{name}", "temporary", now)
            if item.age_s > MIN_AGE_S:
                yield item


def _item(path: str, kind: str, now: float) -> Litter:
    try:
        age_s = now - os.lstat(path).st_mtime
    except OSError:
        age_s = 0.0
    return Litter(path, kind, size_of(path)[0], age_s)
