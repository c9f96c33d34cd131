"""The files of `code/` that no artifact, no run and no move in the trash refers to.

    metadata.json, graph.json  →  records and trees  →  sources and files

Where one of those that refer cannot be read, what it needs is unknown, and nothing is a leftover.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from typing import Any

from huldra.catalog import reading
from huldra.catalog.reading import as_mapping
from huldra.catalog.records import Litter
from huldra.catalog.runs import MAX_RECORD_BYTES
from huldra.catalog.storage import MIN_AGE_S, walk
from huldra.catalog.walk import artifact_places, folder_names
from huldra.store.layout import DATA, GIT, RUNS, ArtifactPaths, StorePaths
from huldra.store.trash import TRASH


class _Unknown(Exception):
    """Something that refers to code cannot be read."""


def unreferenced(root: str) -> list[Litter]:
    """Return the files of `code/` that are older than an hour, and that nothing refers to.

    Reads the metadata of each artifact, where there is any file so old.
    """
    old = [item for item in _files(root) if item.age_s > MIN_AGE_S]
    if not old:
        return []
    try:
        needed = _needed_files(root, root)
    except _Unknown:
        return []
    return [item for item in old if item.path not in needed]


def are_unreferenced(root: str, moved_to: str, paths: Iterable[str]) -> bool:
    """Return True if nothing refers to files (below the root) that lie below `moved_to` by now.

    One that was renewed before it was moved is about to be referred to.
    """
    moved = list(paths)
    if not moved:
        return True
    now = time.time()
    try:
        is_old = all(now - os.lstat(f"{moved_to}/{path}").st_mtime > MIN_AGE_S for path in moved)
        return is_old and _needed_files(root, moved_to).isdisjoint(f"{root}/{p}" for p in moved)
    except (_Unknown, OSError):
        return False


def _files(root: str) -> Iterator[Litter]:
    now = time.time()
    for path, info in walk(StorePaths(root).code):
        if stat.S_ISREG(info.st_mode) and os.path.basename(path) != ".gitignore":
            yield Litter(path, "code", info.st_size, now - info.st_mtime)


def _needed_files(root: str, moved_to: str) -> set[str]:
    """The paths of all that is referred to; a record or tree may lie below `moved_to`, too."""
    store = StorePaths(root)
    records, trees = _named(root)
    needed = set[str]()
    for digest in records:
        path = store.code_record(digest)
        sources = as_mapping(_content(root, moved_to, path).get("sources"))
        digests = [as_mapping(one).get("digest") for one in sources.values()]
        needed |= {path, *(store.code_source(str(each)) for each in digests)}
    for digest in trees:
        path = store.code_tree(digest)
        listed = as_mapping(_content(root, moved_to, path).get("files"))
        digests = [one[0] for one in listed.values() if isinstance(one, list) and one]
        needed |= {path, *(store.code_file(str(each)) for each in digests)}
    return needed


def _content(root: str, moved_to: str, path: str) -> dict[str, Any]:
    moved = f"{moved_to}{path.removeprefix(root)}"
    return _read(path) or (_read(moved) if moved != path else {})


def _named(root: str) -> tuple[set[str], set[str]]:
    """The digests of the records and of the trees that something names."""
    records, trees = set[str](), set[str]()
    for metadata in _metadata(root):
        records.add(str(metadata.get("code")))
        trees.update(map(str, as_mapping(metadata.get("code_frozen")).values()))
    for base in _bases(root):
        for run_id in _folders(f"{base}/{RUNS}"):
            run = _read(StorePaths(base).run_record(run_id), MAX_RECORD_BYTES)
            recorded = as_mapping(as_mapping(run.get("class_code")).get("digests"))
            records.update(map(str, recorded.values()))
            frozen = run.get("frozen")
            for entry in frozen if isinstance(frozen, list) else ():
                trees.add(str(as_mapping(entry).get("tree")))
    return records, trees


def _bases(root: str) -> list[str]:
    """The store, and each move in its trash: what is there may be put back."""
    trash = f"{root}/{TRASH}"
    return [root, *(f"{trash}/{name}" for name in _folders(trash))]


def _folders(path: str) -> list[str]:
    problems: list[str] = []
    names = folder_names(path, problems)
    if problems:
        raise _Unknown
    return names


def _metadata(root: str) -> Iterator[dict[str, Any]]:
    problems: list[str] = []
    for base in _bases(root):
        for place in artifact_places(base, problems):
            top = GIT if place.version_controlled else DATA
            directory = f"{base}/{top}/{place.namespace}/{place.digest}"
            yield _read(ArtifactPaths(directory).metadata)
    if problems:
        raise _Unknown


def _read(path: str, max_bytes: int = reading.MAX_BYTES) -> dict[str, Any]:
    """Return the object in a file, an empty one where there is none."""
    document = reading.read_document(path, max_bytes)
    if document.problem:
        raise _Unknown
    return dict(as_mapping(document.value))
