"""Metadata: what was computed, from what, where and by whom; it never fails a computation.

`docs/format.md` owns the format of `metadata.json`. The git patch is a file of its own beside it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from huldra.errors import HuldraArtifactMissing
from huldra.settings import HULDRA_CONFIG
from huldra.store.layout import ArtifactPaths
from huldra.store.process import user_name

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Metadata:
    """The metadata of one artifact, as recorded by its last attempt.

    Names and meanings are those of `metadata.json`. What was not recorded has its default;
    keys that this version does not know are in `unknown`. `directory` is where it was read from.
    """

    namespace: str = ""
    huldra_hash: str = ""
    huldra_path: str = ""
    huldra_python_def: str = ""
    huldra_obj: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    dependencies: Sequence[Mapping[str, Any]] = ()
    cache_version: str | None = None
    version_controlled: bool = False
    git_commit: str | None = None
    git_branch: str | None = None
    git_remote: str | None = None
    git_dirty: bool | None = None
    git_untracked: Sequence[str] = ()
    git_submodules: Mapping[str, str] = field(default_factory=dict)
    git_error: str | None = None
    timestamp: str = ""
    command: str = ""
    python_version: str = ""
    executable: str = ""
    platform: str = ""
    hostname: str = ""
    user: str = ""
    pid: int | None = None
    cwd: str = ""
    packages: Mapping[str, str] | None = None
    code: str | None = None
    code_edited: Sequence[str] = ()
    code_frozen: Mapping[str, str] = field(default_factory=dict)
    adopted_from: Mapping[str, Any] | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)
    directory: str = ""

    @property
    def git_patch(self) -> str | None:
        """The uncommitted changes at that time, read from disk now; None if there were none.

        Bytes that are not UTF-8 appear replaced; the file `git.patch` has them as they were.
        """
        try:
            with open(ArtifactPaths(self.directory).git_patch, "rb") as file:
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return None

    def to_json(self) -> dict[str, Any]:
        """The content of `metadata.json`, ready to be written; unknown keys go along."""
        values = {name: self.__dict__[name] for name in _KEYS}
        return {**self.unknown, "huldra": FORMAT_VERSION, **values}

    @staticmethod
    def from_json(data: Mapping[str, Any], directory: str = "") -> Metadata:
        """Read `metadata.json` of the artifact in `directory`, of any version of huldra."""
        known = {name: data[name] for name in _KEYS if _is_given(name, data)}
        unknown = {k: v for k, v in data.items() if k not in _DEFAULTS and k != "huldra"}
        return Metadata(**known, unknown=unknown, directory=directory)


_DEFAULTS = {
    f.name: f.default_factory() if f.default_factory is not MISSING else f.default
    for f in fields(Metadata)
}
_KEYS = tuple(name for name in _DEFAULTS if name not in ("unknown", "directory"))


def _is_given(name: str, data: Mapping[str, Any]) -> bool:
    """Return True if `data` has a usable value: null counts only for fields of this version."""
    return name in data and (data[name] is not None or _DEFAULTS[name] is None)


def collect(
    *,
    namespace: str,
    huldra_hash: str,
    directory: str,
    python_def: str,
    document: Mapping[str, Any],
    config: Mapping[str, Any],
    dependencies: Sequence[Mapping[str, Any]] = (),
    cache_version: str | None = None,
    version_controlled: bool = False,
    command: str = "",
    module: str = "",
    code: str | None = None,
    code_edited: Sequence[str] = (),
    code_frozen: Mapping[str, str] | None = None,
) -> tuple[Metadata, bytes | None]:
    """Metadata of an attempt that starts now in this process, and the git patch for its file.

    Args:
        namespace: `<module>/<Class>`.
        huldra_hash: The artifact's digest.
        directory: The artifact's directory, absolute.
        python_def: The config as Python source.
        document: The config document, as `from_dict` reads it.
        config: The plain view of the config, one JSON value a field.
        dependencies: `{"field", "namespace", "hash"}` of each.
        cache_version: The class keyword.
        version_controlled: The class keyword.
        command: The command line to tell, where it is not this process's own.
        module: The module of the class, whose imports are looked up for `packages`.
        code: The digest of what the class can reach, as it is kept in the store.
        code_edited: Modules of it that were edited after the run was submitted.
        code_frozen: Folder → digest of the frozen copy that the attempt runs.

    Returns:
        The metadata, and the content of `git.patch`: None if there are no uncommitted changes,
        outside a repository, or when `ignore_git_diff` is set.

    Does not raise for anything that it finds or does not find; what git could not say is recorded
    in `git_error`. Cheap from the second call on: git and the system are asked once.
    """
    from huldra.provenance.git import git_state  # on a miss: importing huldra should not pay for it

    cwd = working_directory()
    git = git_state(cwd, not HULDRA_CONFIG.ignore_git_diff)
    metadata = Metadata(
        namespace=namespace,
        huldra_hash=huldra_hash,
        huldra_path=directory,
        huldra_python_def=python_def,
        huldra_obj=document,
        config=config,
        dependencies=dependencies,
        cache_version=cache_version,
        version_controlled=version_controlled,
        git_commit=git.commit,
        git_branch=git.branch,
        git_remote=git.remote,
        git_dirty=git.dirty,
        git_untracked=git.untracked,
        git_submodules=git.submodules,
        git_error=git.error,
        timestamp=datetime.now(UTC).isoformat(timespec="microseconds"),
        pid=os.getpid(),
        cwd=cwd,
        directory=directory,
        command=command or _own_command(),
        packages=_packages(module),
        code=code,
        code_edited=code_edited,
        code_frozen=code_frozen or {},
        **_environment(),
    )
    return metadata, git.patch


def working_directory() -> str:
    """The working directory; empty if it was removed."""
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _packages(module: str) -> Mapping[str, str] | None:
    """The versions of what the module imports; None where that cannot be found out."""
    from huldra.provenance.packages import packages_of  # as above

    try:
        return packages_of(module) if module else None
    except Exception:  # noqa: BLE001  of whatever objects the user's modules hold
        return None


@lru_cache(maxsize=1)
def _own_command() -> str:
    from huldra.provenance.command import command_line  # as above

    return command_line(sys.orig_argv)


@lru_cache(maxsize=1)
def _environment() -> dict[str, Any]:
    """What stays the same for the life of a process, and of those that it forks."""
    import platform  # here and below: importing huldra should not pay for what a hit never needs
    import socket

    return {
        "python_version": platform.python_version(),
        "executable": sys.executable or "",
        "platform": platform.platform(),
        "hostname": socket.gethostname(),
        "user": user_name(),
    }


# ---- reading -----------------------------------------------------------------------------------


class MetadataManager:
    """Reads the metadata of artifacts; writing is the artifact's own."""

    @staticmethod
    def read(directory: str | os.PathLike[str]) -> Metadata:
        """The metadata of the artifact in `directory`.

        Raises `HuldraArtifactMissing` when there is none or it cannot be read; it names the file.
        """
        where = os.fspath(directory)
        path = ArtifactPaths(where).metadata
        try:
            with open(path, "rb") as file:
                data = json.load(file)
        except FileNotFoundError as error:
            raise _missing("no attempt is recorded", path, where) from error
        except (OSError, ValueError, RecursionError) as error:
            raise _missing(f"it cannot be read ({error})", path, where) from error
        if not isinstance(data, dict):
            raise _missing("it is not a JSON object", path, where)
        return Metadata.from_json(data, where)


def _missing(why: str, path: str, directory: str) -> HuldraArtifactMissing:
    """The error for metadata that is not there."""
    return HuldraArtifactMissing(
        f"no metadata at {path}: {why}; load_or_create() computes the artifact and writes its"
        " metadata",
        directory=directory,
    )
