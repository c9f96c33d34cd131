"""Copies of project trees in the store, and folders that are made of them again.

`<root>/code/trees/<digest>.json` lists the files of a tree, `<root>/code/files/` holds their
contents, each once. A file that did not change costs nothing when the next tree is kept.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from huldra.errors import HuldraArtifactMissing, HuldraRefused, HuldraStoreError
from huldra.provenance import sources
from huldra.provenance.kept_files import KeptFiles
from huldra.provenance.project_tree import ProjectTree
from huldra.settings import HULDRA_CONFIG
from huldra.store import files
from huldra.store.layout import StorePaths
from huldra.store.location import prepare_code

_WRITERS = 8
_NAMED_MAX = 10
_MIB = 1 << 20
# Of all restored files: a copy never changes, and what has just been written looks edited.
_RESTORED_AT_S = 946_684_800

_kept = KeptFiles()


@dataclass(frozen=True)
class TreeFile:
    """One file of a frozen tree: the digest of its bytes, its size, and if it may be run."""

    digest: str
    size: int
    is_executable: bool = False


@dataclass(frozen=True)
class FrozenTree:
    """The files and links of one tree, by their names below `top`, where they were."""

    top: str
    files: Mapping[str, TreeFile]
    links: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Equal for equal trees, wherever they were."""
        lines = [f"{n}\0{f.digest}\0{f.is_executable:d}" for n, f in sorted(self.files.items())]
        lines += [f"{name}\0link\0{target}" for name, target in sorted(self.links.items())]
        data = "\n".join(lines).encode("utf-8", "surrogateescape")
        return hashlib.blake2s(data, digest_size=16).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the record of the tree; where it was is no part of it."""
        listed = {n: [f.digest, f.size, int(f.is_executable)] for n, f in self.files.items()}
        return {"huldra": 1, "files": listed, "links": dict(self.links)}


# ---- keeping -----------------------------------------------------------------------------------


def read_tree(tree: ProjectTree) -> FrozenTree:
    """Read a project tree as it is on disk now; a file that has not changed since is not read."""
    found: dict[str, TreeFile] = {}
    links: dict[str, str] = {}
    for name in tree.names:
        path = f"{tree.top}/{name}"
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                links[name] = _target(tree.top, path)
                continue
        except OSError:
            continue  # tracked, and deleted
        if not stat.S_ISREG(status.st_mode):
            continue
        digest = _digest_of(path)
        if digest is not None:
            found[name] = TreeFile(digest, status.st_size, bool(status.st_mode & stat.S_IXUSR))
    return FrozenTree(tree.top, found, links)


def _digest_of(path: str) -> str | None:
    source = sources.read(path)
    return source.digest if source is not None else None


def _target(top: str, path: str) -> str:
    """Return where a link of the tree leads: inside of it as it stands, else to the very place."""
    target = os.readlink(path)
    place = os.path.normpath(os.path.join(os.path.dirname(path), target))
    is_inside = not os.path.isabs(target) and place.startswith(f"{top}/")
    return target if is_inside else place


def refuse_too_large(trees: Iterable[ProjectTree]) -> None:
    """Raise `HuldraRefused` for trees of more than the setting allows, with the largest files."""
    sizes: dict[str, int] = {}
    for tree in trees:
        for name in tree.names:
            path = f"{tree.top}/{name}"
            try:
                sizes[path] = os.lstat(path).st_size
            except OSError:
                continue
    total = sum(sizes.values())
    if total <= HULDRA_CONFIG.freeze_max_mb * _MIB:
        return
    largest = sorted(sizes, key=lambda path: -sizes[path])[:_NAMED_MAX]
    lines = "\n".join(f"  {sizes[path] / _MIB:9.1f} MiB  {path}" for path in largest)
    raise HuldraRefused(
        f"the code of this run is frozen at submission, and its project has {total / _MIB:.0f} MiB"
        f" in {len(sizes)} files; HULDRA_FREEZE_MAX_MB allows {HULDRA_CONFIG.freeze_max_mb}."
        f" Nothing was submitted. The largest files:\n{lines}\nAdd what is no code to .gitignore"
        " (it is then read where it is), raise HULDRA_FREEZE_MAX_MB, or set HULDRA_FREEZE=off to"
        " run the code as it is when a job starts"
    )


def keep(tree: FrozenTree) -> str:
    """Keep a tree in the store, and return its digest. Raises `HuldraStoreError`."""
    store, digest = StorePaths(HULDRA_CONFIG.root), tree.digest
    path = store.code_tree(digest)
    prepare_code()
    if not _kept.has(path) and not (_is_there(store, tree) and _kept.renew(path)):
        with ThreadPoolExecutor(_WRITERS) as writers:
            list(writers.map(lambda item: _keep_file(store, tree.top, *item), tree.files.items()))
        files.write_atomic(path, files.object_bytes(tree.to_json()))
        _kept.add(path)
    return digest


def _is_there(store: StorePaths, tree: FrozenTree) -> bool:
    """Return True if this user can read the copy of each file: another user may have kept them."""
    copies = {store.code_file(one.digest) for one in tree.files.values()}
    return all(os.access(path, os.R_OK) for path in (store.code_tree(tree.digest), *copies))


def _keep_file(store: StorePaths, top: str, name: str, one: TreeFile) -> None:
    path = store.code_file(one.digest)
    # An equal file of another user that only they may read is of no use to the jobs of this one.
    if _kept.has(path) or (os.access(path, os.R_OK) and _kept.renew(path)):
        return
    try:
        with open(f"{top}/{name}", "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read()
    except OSError as error:
        raise files.store_error(error, "copy", f"{top}/{name}") from error
    if sources.digest_of(content) != one.digest:
        raise HuldraStoreError(
            f"{top}/{name} was written to while the code of this run was copied; submit again",
            directory=top,
        )
    files.write_atomic(path, content, mode=_kept_mode(mode))
    _kept.add(path)


def _kept_mode(mode: int) -> int:
    """Return the mode, less the umask, of the copy of a file: nobody else may read it."""
    return 0o600 | (0o060 if mode & stat.S_IRGRP else 0) | (0o006 if mode & stat.S_IROTH else 0)


# ---- restoring ---------------------------------------------------------------------------------


def load(root: str, digest: str, top: str = "") -> FrozenTree:
    """Return a tree that the store keeps.

    Raises `HuldraArtifactMissing` where it does not, `HuldraStoreError` where its list is damaged.
    """
    path = StorePaths(root).code_tree(digest)
    record = files.read_object(path)
    if record is None:
        raise HuldraArtifactMissing(f"the frozen code {path} is missing or cannot be read")
    try:
        listed = {str(n): TreeFile(f[0], f[1], bool(f[2])) for n, f in record["files"].items()}
        return FrozenTree(top, listed, dict(record["links"]))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise HuldraStoreError(
            f"the frozen code {path} is damaged: expected its files and links, found"
            f" {sorted(record)}; remove this file and submit again, which writes it again",
            directory=root,
        ) from error


def restore(root: str, tree: FrozenTree, folder: str) -> None:
    """Write the files of a tree below `folder`, which is new or empty. Raises `HuldraStoreError`.

    A content that is not what its name says is refused.
    """
    made: set[str] = set()
    try:
        for name, one in tree.files.items():
            _make_parent(folder, name, made)
            kept = StorePaths(root).code_file(one.digest)
            content = files.read_bytes(kept)
            if content is None or sources.digest_of(content) != one.digest:
                raise HuldraStoreError(
                    f"the frozen copy of {name} is missing or damaged: {kept}", directory=root
                )
            readable = os.stat(kept).st_mode & 0o444
            executable = readable >> 2 if one.is_executable else 0
            _write(f"{folder}/{name}", content, 0o200 | readable | executable)
        for name, target in tree.links.items():
            _make_parent(folder, name, made)
            os.symlink(target, f"{folder}/{name}")
    except OSError as error:
        raise files.store_error(error, "restore frozen code in", folder) from error


def _make_parent(folder: str, name: str, made: set[str]) -> None:
    if ".." in name.split("/") or name.startswith("/"):
        raise HuldraStoreError(f"the frozen name {name!r} leads out of its tree")
    parent = os.path.dirname(f"{folder}/{name}")
    if parent not in made:
        os.makedirs(parent, exist_ok=True)
        made.add(parent)


def _write(path: str, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as stream:
        stream.write(content)
    os.utime(path, (_RESTORED_AT_S, _RESTORED_AT_S))


def link_the_rest(tree: FrozenTree, folder: str) -> None:
    """Link what `tree.top` has beside the frozen files into their copy: data, mostly.

    So what the code finds beside `__file__` is there, as it is at any time.
    """
    names = {*tree.files, *tree.links}
    for inside in {"", *(parent for name in names for parent in _parents(name))}:
        there, here = os.path.join(tree.top, inside), os.path.join(folder, inside)
        try:
            entries = os.listdir(there)
        except OSError:
            continue  # not on this host
        for entry in entries:
            path = os.path.join(here, entry)
            if entry != "__pycache__" and not os.path.lexists(path):
                os.symlink(os.path.join(there, entry), path)


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
