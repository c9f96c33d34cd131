"""The frozen copy of a run's code, extracted on this host, and an import path that leads there.

A copy is a folder of its own below the temporary folder, named by its tree, made once a host by a
rename; it is never changed. What a temporary folder's cleaning has taken parts of is left alone,
and made again elsewhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from huldra.errors import HuldraError, NodeFailed
from huldra.provenance import frozen
from huldra.provenance.frozen import FrozenTree
from huldra.store.files import unique_suffix

_copies: dict[tuple[str, str, str], str] = {}  # by root, tree and top: what this process uses


def copies_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Return top → folder of its copy on this host, for the frozen trees of a run; extracts them.

    Raises `NodeFailed` where that cannot be done: other code is never run in its place.
    """
    found = {}
    for entry in record.get("frozen") or ():
        key = (str(record["root"]), str(entry["tree"]), str(entry["top"]))
        if key not in _copies:
            try:
                _copies[key] = _extracted(*key)
            except (HuldraError, OSError) as error:
                raise NodeFailed(
                    f"the code that was frozen at submission cannot be restored below"
                    f" {tempfile.gettempdir()}: {error}; nothing was run. Make room there, or set"
                    " TMPDIR for the workers, and call again"
                ) from error
        found[key[2]] = _copies[key]
    return found


def import_path(record: Mapping[str, Any], copies: Mapping[str, str]) -> list[str]:
    """Return the driver's import path with the copies in the place of what they are copies of.

    Folders that the driver imports from by another way than its path (an editable install with
    import hooks) come first. The interpreter's own entries stay, wherever they are.
    """
    interpreters = set(record.get("interpreter_path") or ())
    path = [
        entry if entry in interpreters else moved(entry, copies) for entry in record["sys_path"]
    ]
    roots = [
        moved(root, copies)
        for entry in record.get("frozen") or ()
        for root in entry.get("import_roots") or ()
    ]
    return list(dict.fromkeys([*(root for root in roots if root not in path), *path]))


def moved(path: str, copies: Mapping[str, str]) -> str:
    """Return where a path of the driver is in the copies; itself where it is in none of them."""
    for top in sorted(copies, key=len, reverse=True):
        bare = top.rstrip("/")  # a project may be at `/`
        if path == top:
            return copies[top]
        if path.startswith(f"{bare}/"):
            return f"{copies[top]}{path[len(bare) :]}"
    return path


def _extracted(root: str, digest: str, top: str) -> str:
    tree = frozen.load(root, digest, top)
    base = _private_folder()
    mark = hashlib.blake2s(top.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
    # The last part is the project's own name: code may look at it.
    name = os.path.basename(top) or "code"
    place = f"{base}/{digest}-{mark}"
    with open(f"{base}/{digest}.lock", "ab") as lock:
        # A host starts many jobs of one run at once: the first extracts, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _extract(root, tree, base, place, name)


def _extract(root: str, tree: FrozenTree, base: str, place: str, name: str) -> str:
    if os.path.isdir(place):
        if _is_whole(tree, f"{place}/{name}"):
            return f"{place}/{name}"
        place = f"{place}-{unique_suffix()}"
    temporary = f"{base}/.{unique_suffix()}.tmp"
    try:
        os.makedirs(f"{temporary}/{name}")
        frozen.restore(root, tree, f"{temporary}/{name}")
        frozen.link_the_rest(tree, f"{temporary}/{name}")
        with contextlib.suppress(OSError):  # another process was first: its copy is as good
            os.rename(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if not _is_whole(tree, f"{place}/{name}"):
        raise OSError(f"{place} is not whole after it was written")
    return f"{place}/{name}"


def _private_folder() -> str:
    """Return a folder that nobody else can write to: what is in it is imported."""
    folder = f"{tempfile.gettempdir()}/huldra-code-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    status = os.lstat(folder)
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return folder if is_ours and not status.st_mode & 0o022 else tempfile.mkdtemp()


def _is_whole(tree: FrozenTree, folder: str) -> bool:
    """Return True if all files of a tree are there, with their sizes."""
    try:
        return all(os.stat(f"{folder}/{n}").st_size == f.size for n, f in tree.files.items())
    except OSError:
        return False


def named(record: Mapping[str, Any]) -> dict[str, str]:
    """Return top → digest of its frozen tree, as the metadata of a run's nodes says it."""
    entries: Sequence[Mapping[str, Any]] = record.get("frozen") or ()
    return {str(entry["top"]): str(entry["tree"]) for entry in entries}
