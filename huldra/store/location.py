"""Where the artifact of an object is, under the root of the moment."""

from __future__ import annotations

import logging
import os

from huldra.config.config_object import ConfigObject
from huldra.config.hashing import digest_of, namespace_of
from huldra.settings import HULDRA_CONFIG
from huldra.store import files
from huldra.store.layout import GIT, ArtifactPaths, StorePaths

_IGNORED = (
    "# made by huldra: artifacts are data, not source\n/data/\n/raw/\n/runs/\n/code/\n/trash/\n"
)
_IGNORED_CODE = b"# made by huldra: the code that artifacts were computed by\n*\n"
_IGNORED_IN_GIT = (
    "# made by huldra: these speak of processes of one machine\n"
    "claims/\nstate.json\nhuldra.log\noutput.log\n.*.tmp\n"
)

_prepared_roots: set[str] = set()


def paths_of(obj: ConfigObject) -> ArtifactPaths:
    """The files of the artifact of `obj`. Nothing is made on disk."""
    cls = type(obj)
    return ArtifactPaths(
        StorePaths(HULDRA_CONFIG.root).artifact(
            namespace_of(cls),
            digest_of(obj),
            cls.__huldra_version_controlled__,
        )
    )


def prepare_root() -> None:
    """Make the root if there is none, and keep its data out of the user's git."""
    root = HULDRA_CONFIG.root
    if root in _prepared_roots:
        return
    if not os.path.isdir(root):
        files.make_directories(root)
        files.write_atomic(f"{root}/.gitignore", _IGNORED.encode())
        if HULDRA_CONFIG.is_default("root"):
            # A notebook and a script in two folders have two such stores, and compute all twice.
            logging.getLogger("huldra").info(
                "new store %s, in the working directory; set HULDRA_PATH to use one store from"
                " everywhere",
                root,
            )
    _prepared_roots.add(root)


def prepare_directory(obj: ConfigObject, paths: ArtifactPaths) -> bool:
    """Make the directory of an artifact that is about to be claimed; return True if it is new.

    It alone: `.huldra` appears in it with the first claim.
    """
    _prepare_top(obj)
    return files.make_directories(paths.directory)


def _prepare_top(obj: ConfigObject) -> None:
    prepare_root()
    if type(obj).__huldra_version_controlled__:
        folder = f"{HULDRA_CONFIG.root}/{GIT}"
        if not os.path.isdir(folder):
            files.make_directories(folder)
            files.write_atomic(f"{folder}/.gitignore", _IGNORED_IN_GIT.encode())


def prepare_artifact(obj: ConfigObject, paths: ArtifactPaths) -> bool:
    """Make the folders of an artifact that is about to be claimed; return True if it is new."""
    _prepare_top(obj)
    # From the top: the first one is most often all that has a parent. A copy of an artifact may
    # have come without its claims, and is not new.
    files.make_directories(paths.directory)
    is_new = files.make_directories(paths.private)
    files.make_directories(paths.claims)
    return is_new


def prepare_code() -> None:
    """Make `code/` if there is none, and keep it out of the user's git.

    Raises `HuldraStoreError`.
    """
    ignored = f"{StorePaths(HULDRA_CONFIG.root).code}/.gitignore"
    if not files.path_exists(ignored):  # also where a version before made the folder alone
        files.write_atomic(ignored, _IGNORED_CODE)


def raw_directory() -> str:
    """The folder that all artifacts share for large files; made when it is asked for."""
    prepare_root()
    folder = StorePaths(HULDRA_CONFIG.root).raw
    files.make_directories(folder)
    return folder
