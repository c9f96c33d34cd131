"""Which files are the project of a graph: what a frozen copy of its code has to hold.

In a git work tree: the tracked and the untracked files that are not ignored, and what of the
ignored ones this process has loaded, or is a compiled module beside the others. Else: the packages
that the loaded modules belong to. Of the files that only their owner may read, modules alone: the
store may be open to others, and a secret need not lie there. (With a umask of 077 all files are
such; a copy is readable for no more than its file.)
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES

from huldra.provenance import git, sources
from huldra.provenance.sources import Source

_SKIPPED = ("__pycache__", "node_modules")
_CODE = (".py", ".pyi", *EXTENSION_SUFFIXES)
_COMPILED = tuple(f"*{suffix}" for suffix in EXTENSION_SUFFIXES)


@dataclass(frozen=True)
class ProjectTree:
    """The folder `top` of the driver, and the names in it that count, sorted.

    `import_roots` are the folders in it that its modules are imported from.
    """

    top: str
    names: tuple[str, ...]
    import_roots: tuple[str, ...]


def trees_of(modules: Mapping[str, Source], store: str) -> list[ProjectTree]:
    """Return the trees that these loaded modules are in; nothing below `store` is of them.

    A module of an installed package is in no tree, nor is one that no folder of its name leads to.
    """
    tops: dict[str, list[tuple[str, str]]] = {}
    for name, source in modules.items():
        root = _import_root(name, source.file)
        if root is not None and not sources.is_interpreters(root):
            tops.setdefault(_top_of(root, source.file), []).append((name, source.file))
    return [_tree(top, tops[top], store) for top in sorted(tops)]


def _import_root(name: str, file: str) -> str | None:
    """Return the folder that `name` is imported from, where its file lies as its name says."""
    folder, base = os.path.split(file)
    parts = name.split(".")
    if base.startswith("__init__."):
        parts = [*parts, ""]
    elif base.partition(".")[0] != parts[-1]:
        return None
    for part in reversed(parts[:-1]):
        folder, last = os.path.split(folder)
        if last != part:
            return None
    return folder


def _top_of(root: str, file: str) -> str:
    """Return the work tree around a file; where there is none, the folder it is imported from."""
    found = git.work_tree_of(os.path.dirname(file))
    return found if found is not None and _may_be_project(found) else root


def _may_be_project(top: str) -> bool:
    """Return False for the home folder and for `/`, also where one is a work tree (dotfiles)."""
    return os.path.realpath(top) not in ("/", os.path.realpath(os.path.expanduser("~")))


def _tree(top: str, modules: list[tuple[str, str]], store: str) -> ProjectTree:
    loaded = {os.path.relpath(file, top) for _, file in modules}
    asks_git = _may_be_project(top) and os.path.lexists(f"{top}/.git")
    listed = _in_work_tree(top) if asks_git else None
    if listed is None:
        packages = {n.partition(".")[0] for n, file in modules if os.path.dirname(file) != top}
        listed = _in_packages(top, packages)
    outside = f"{os.path.relpath(store, top)}/"
    listed = {name for name in listed if not name.startswith(outside)}
    names = {one for one in listed if one.endswith(_CODE) or not _is_private(f"{top}/{one}")}
    roots = {root for name, file in modules if (root := _import_root(name, file))}
    return ProjectTree(top, tuple(sorted(names | loaded)), tuple(sorted(roots)))


def _is_private(path: str) -> bool:
    """Return True for a file that neither its group nor others may read."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False  # tracked, and deleted
    return stat.S_ISREG(mode) and not mode & (stat.S_IRGRP | stat.S_IROTH)


def _in_work_tree(top: str) -> set[str] | None:
    """Return the names of a work tree, those of its submodules too; None where git says nothing."""
    listed = git.files_of(top)
    if listed is None:
        return None
    found: set[str] = set()
    for name in listed:
        path = f"{top}/{name}"
        if os.path.isdir(path) and not os.path.islink(path):  # a submodule
            inner = _in_work_tree(path) if os.path.lexists(f"{path}/.git") else None
            found |= {f"{name.rstrip('/')}/{one}" for one in inner or ()}
        else:
            found.add(name)
    folders = {os.path.dirname(name) for name in found}
    compiled = git.files_of(top, ignored=_COMPILED) or []
    return found | {name for name in compiled if os.path.dirname(name) in folders}


def _in_packages(top: str, packages: Iterable[str]) -> set[str]:
    """Return the names below the folders of these packages, without hidden and cached ones."""
    found: set[str] = set()
    for package in packages:
        for folder, folders, files in os.walk(f"{top}/{package}"):
            folders[:] = [one for one in folders if _counts(folder, one)]
            inside = os.path.relpath(folder, top)
            found |= {f"{inside}/{name}" for name in files}
            found |= {
                f"{inside}/{one}" for one in folders if os.path.islink(os.path.join(folder, one))
            }
    return found


def _counts(folder: str, name: str) -> bool:
    if name.startswith(".") or name in _SKIPPED:
        return False
    return not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
