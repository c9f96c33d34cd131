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

from huldra.errors import HuldraStoreError
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
    record = files.object_bytes({"paths": list(paths)})
    files.write_atomic(f"{folder}/{name}/{_LIST}", record, sync=True)
    for made in (f"{folder}/{name}", folder, root):  # after a power cut the list names what moved
        with files.Folder(made) as opened:
            opened.sync()
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
    trash. Of the trash only the list and emptied folders are removed, never a file.

    Raises `HuldraStoreError` where the list of the move cannot be read; nothing is moved then.
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
        _remove_emptied(f"{root}/{TRASH}/{name}")
    return back, left


def _remove_emptied(folder: str) -> None:
    """Remove the folders of a move that hold nothing; where all do, its list and itself as well."""
    inside = [path for path, _, _ in os.walk(folder, topdown=False) if path != folder]
    try:
        for path in inside:
            if not os.listdir(path):
                os.rmdir(path)
        if os.listdir(folder) == [_LIST]:
            os.unlink(f"{folder}/{_LIST}")
            os.rmdir(folder)
    except OSError as error:
        raise files.store_error(error, "remove", folder) from error


def names(root: str) -> list[str]:
    """Return the moves that are in the trash, the oldest first."""
    try:
        found = sorted(os.listdir(f"{root}/{TRASH}"))
    except FileNotFoundError:
        return []
    return [name for name in found if os.path.isfile(f"{root}/{TRASH}/{name}/{_LIST}")]


def listed(root: str, name: str) -> list[str]:
    """Return the paths of one move, also of those that are back. Never one outside of the root.

    Raises `HuldraStoreError` where the list cannot be read, or names anything else.
    """
    folder = f"{root}/{TRASH}/{name}"
    paths = (files.read_object(f"{folder}/{_LIST}") or {}).get("paths")
    if not isinstance(paths, list) or not all(map(_is_inside, paths)):
        raise HuldraStoreError(
            f"{folder}/{_LIST} should list what was moved, and cannot be read; nothing was changed."
            f" What lies in {folder} has the path there that it had below {root}: move each"
            " artifact back by hand (`mv` its directory data/MODULE/CLASS/HASH), then remove the"
            " folder",
            directory=folder,
        )
    return paths


def _is_inside(path: object) -> bool:
    return isinstance(path, str) and not path.startswith("/") and ".." not in path.split("/")


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
