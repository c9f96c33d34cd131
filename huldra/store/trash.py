"""The trash of a store: what was moved away, until it is put back or emptied.

`<root>/trash/<name>/` holds one move: `moved.json` lists the paths below the root, and each lies
there under its own path. A move is a rename within one file system: a folder is here or there, and
never half of it. The list is written first, so a crash in between leaves nothing that `put_back`
does not know of.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from huldra.store import files

TRASH = "trash"
_LIST = "moved.json"


def new(root: str, paths: Sequence[str]) -> str:
    """Make the folder for one move of `paths` (below `root`); return its name.

    Raises `HuldraStoreError` where the store takes no folder.
    """
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.urandom(4).hex()}"
    folder = f"{root}/{TRASH}"
    if not os.path.isdir(folder):
        files.make_directories(folder)
        files.write_atomic(f"{folder}/.gitignore", b"*\n")
    files.write_atomic(f"{folder}/{name}/{_LIST}", files.object_bytes({"paths": list(paths)}))
    return name


def move(root: str, name: str, path: str) -> bool:
    """Move one path below the root into the trash; False where it is not there any more.

    Raises `HuldraStoreError`; then it is where it was.
    """
    return _rename(f"{root}/{path}", f"{root}/{TRASH}/{name}/{path}")


def put_back(
    root: str, name: str, paths: Iterable[str] | None = None
) -> tuple[list[str], list[str]]:
    """Put back what was moved, or some of it; return what is back, and what could not be.

    What has come into being under the same path meanwhile stays; the old one then stays in the
    trash. An emptied folder of the trash is removed.
    """
    back, left = [], []
    for path in listed(root, name) if paths is None else paths:
        there, here = f"{root}/{TRASH}/{name}/{path}", f"{root}/{path}"
        if not os.path.lexists(there):
            continue
        if os.path.lexists(here):
            left.append(path)
        elif _rename(there, here):
            back.append(path)
    if not left and paths is None:
        files.remove_tree(f"{root}/{TRASH}/{name}")
    return back, left


def names(root: str) -> list[str]:
    """Return the moves that are in the trash, the oldest first."""
    try:
        found = sorted(os.listdir(f"{root}/{TRASH}"))
    except FileNotFoundError:
        return []
    return [name for name in found if os.path.isfile(f"{root}/{TRASH}/{name}/{_LIST}")]


def listed(root: str, name: str) -> list[str]:
    """Return the paths of one move, also of those that are back. Never one outside of the root."""
    record = files.read_object(f"{root}/{TRASH}/{name}/{_LIST}") or {}
    paths = record.get("paths")
    found = [path for path in paths if isinstance(path, str)] if isinstance(paths, list) else []
    return [path for path in found if not path.startswith("/") and ".." not in path.split("/")]


def empty(root: str, name: str) -> None:
    """Remove one move for good. Raises `HuldraStoreError` for what stays."""
    files.remove_tree(f"{root}/{TRASH}/{name}")


def _rename(source: str, target: str) -> bool:
    files.make_directories(os.path.dirname(target))
    try:
        os.rename(source, target)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise files.store_error(error, "move", source) from error
    return True
