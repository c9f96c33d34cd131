"""Letting an existing result stand for another config, without computing it.

The new artifact is claimed as for a computation, and its attempt copies files where `_create` would
compute them. So all that holds of attempts holds here: one owner, a lease that is renewed, an end
that is recorded whatever happens, and nothing published that is not complete and on the disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huldra.attempts import liveness
from huldra.attempts.attempt import Request, is_valid, obtain
from huldra.attempts.liveness import Watch
from huldra.attempts.waiting import describe
from huldra.config import documents
from huldra.config.config_object import ConfigObject
from huldra.config.hashing import key_of, namespace_of
from huldra.errors import HuldraArtifactMissing, HuldraError, HuldraLockNotAcquired
from huldra.logs.capture import configure_logging, get_logger
from huldra.logs.console import for_terminal
from huldra.scheduling.explanation import document_differences, flat_document
from huldra.scheduling.in_process import metadata_record
from huldra.scheduling.remedies import complete_in
from huldra.settings import HULDRA_CONFIG
from huldra.store import carry, claim, files, success
from huldra.store.layout import DATA, GIT, ArtifactPaths
from huldra.store.location import paths_of, prepare_directory
from huldra.store.process import user_name
from huldra.store.records import now_text
from huldra.store.snapshot import Liveness

# Of the metadata: what says who computed the files, with which code. It stays the old artifact's.
_ORIGIN = (
    *("git_commit", "git_branch", "git_remote", "git_dirty", "git_untracked", "git_submodules"),
    *("git_error", "timestamp", "command", "python_version", "executable", "platform", "hostname"),
    *("user", "pid", "cwd", "packages", "code", "code_edited", "code_frozen"),
)


@dataclass(frozen=True, slots=True)
class Adoption:
    """One result that stands, or would stand, for another config.

    `status` is `ready` (a dry run), `adopted`, `complete` (there was nothing to do), or `refused`,
    with the `reason`. `size_bytes` and `file_count` are what is copied.
    """

    source: str
    target: str
    source_directory: str
    directory: str
    status: str
    differences: tuple[tuple[str, Any, Any], ...] = ()
    file_count: int = 0
    size_bytes: int = 0
    reason: str = ""

    def __str__(self) -> str:
        words = {"ready": "would adopt", "adopted": "adopted", "complete": "already complete"}
        head = f"{words.get(self.status, self.status)}: {self.source or '-'} → {self.target}"
        if self.status in ("ready", "adopted"):
            head += f" ({self.file_count} files, {self.size_bytes} bytes)"
        lines = [f"{head}: {self.reason}" if self.reason else head]
        lines += [f"  {path}: {old!r} → {new!r}" for path, old, new in self.differences]
        return for_terminal("\n".join(lines))

    __repr__ = __str__


def adopt(source: ArtifactPaths, obj: ConfigObject, *, dry_run: bool) -> Adoption:
    """Let the complete artifact `source` stand for `obj`; with `dry_run` say what that would be.

    Raises:
        HuldraArtifactMissing: `source` is not complete.
        HuldraLockNotAcquired: one of the two is queued or running.
        HuldraComputeError, HuldraValidationError, HuldraStoreError: the files could not be copied,
            or `_validate` does not accept them. Nothing was published.
    """
    key, paths = key_of(obj), paths_of(obj)
    _refuse_running(source)
    record = success.read_success(source)
    if record is None:
        raise HuldraArtifactMissing(
            f"{source.key} is not complete, so it cannot be adopted; looked in {source.directory}",
            directory=source.directory,
        )
    metadata = files.read_object(source.metadata) or {}
    differences = _differences(metadata, obj)
    count, size = carry.size_of(source.directory)
    said = (source.key, key, source.directory, paths.directory)
    if success.is_complete(paths) and is_valid(obj, key, paths):
        return Adoption(*said, "complete", differences)
    _refuse_running(paths)
    if dry_run:
        return Adoption(*said, "ready", differences, count, size)
    configure_logging()
    is_new = prepare_directory(obj, paths)
    copying = _Copying(obj, source, paths)
    request = Request(
        copying,
        key,
        paths,
        0.0,
        lambda: _metadata_record(obj, source, paths, metadata),
        is_new=is_new,
        begins_clean=True,  # what an attempt that failed has left there is no part of the result
    )
    made = obtain(request)
    return Adoption(*said, "adopted" if made else "complete", differences, count, size)


class _Copying:
    """What an attempt makes: the files of another artifact."""

    def __init__(self, obj: ConfigObject, source: ArtifactPaths, target: ArtifactPaths) -> None:
        self._obj, self._source, self._target = obj, source, target

    def _create(self) -> None:
        get_logger().info("%s is adopted from %s", self._target.key, self._source.directory)
        carry.copy_contents(self._source, self._target)

    def _huldra_keep(self, value: Any) -> None:
        """Store nothing: the files are there."""

    def _validate(self) -> bool:
        return self._obj._validate()  # noqa: SLF001  the protocol's own method


def _refuse_running(paths: ArtifactPaths) -> None:
    last = claim.last_attempt(paths)
    if last is None or last.end is not None:
        return
    if liveness.claim_liveness(paths, last, Watch()) is not Liveness.DEAD:
        raise HuldraLockNotAcquired(
            f"{paths.key} is {describe(paths, last)}; nothing was adopted: wait for it, or cancel"
            f" it first; {paths.directory}",
            directory=paths.directory,
        )


def _differences(
    metadata: Mapping[str, Any], obj: ConfigObject
) -> tuple[tuple[str, Any, Any], ...]:
    recorded = metadata.get("huldra_obj")
    ours = documents.to_document(obj)
    found = tuple(document_differences(recorded if isinstance(recorded, dict) else {}, ours))
    before, now = str(metadata.get("namespace")), namespace_of(type(obj))
    return found if before == now else (("class", before, now), *found)


def _metadata_record(
    obj: ConfigObject, source: ArtifactPaths, paths: ArtifactPaths, metadata: Mapping[str, Any]
) -> tuple[dict[str, Any], bytes | None]:
    """The config of `obj`, and of the source who computed it with what; and its git patch."""
    ours, _ = metadata_record(obj, paths)
    origin = {name: metadata[name] for name in _ORIGIN if name in metadata}
    adopted = {
        "namespace": metadata.get("namespace"),
        "huldra_hash": metadata.get("huldra_hash"),
        "directory": source.directory,
        "timestamp": now_text(),
        "user": user_name(),
        "adopted_from": metadata.get("adopted_from"),
    }
    patch = files.read_bytes(source.git_patch)
    return {**ours, **origin, "adopted_from": adopted}, patch


# --- a sweep at once -------------------------------------------------------------------------


def adopt_all(
    objs: Iterable[ConfigObject], fields: Sequence[str], *, of: str | None, dry_run: bool
) -> list[Adoption]:
    """Adopt for each config that is not complete the one artifact that differs in `fields` alone.

    `of` is the namespace of the artifacts; by default that of each config. A config for which there
    is none, or more than one, is refused, and the others are adopted.
    """
    known: dict[str, dict[str, list[ArtifactPaths]]] = {}
    adopted = []
    for obj in objs:
        namespace = of or namespace_of(type(obj))
        if namespace not in known:
            known[namespace] = _by_rest(namespace, fields)
        adopted.append(_adopt_one(obj, known[namespace], fields, dry_run))
    return adopted


def _adopt_one(
    obj: ConfigObject,
    known: Mapping[str, list[ArtifactPaths]],
    fields: Sequence[str],
    dry_run: bool,
) -> Adoption:
    paths = paths_of(obj)
    target = ("", key_of(obj), "", paths.directory)
    if success.is_complete(paths) and is_valid(obj, paths.key, paths):
        return Adoption(*target, "complete")
    found = known.get(_rest(documents.to_document(obj), fields), [])
    if len(found) != 1:
        names = ", ".join(other.key for other in found[:3])
        reason = (
            f"{len(found)} artifacts differ in {', '.join(fields)} alone: {names}; use"
            " huldra.adopt(old, new)"
            if found
            else f"no complete artifact differs in {', '.join(fields)} alone"
        )
        return Adoption(*target, "refused", reason=reason)
    try:
        return adopt(found[0], obj, dry_run=dry_run)
    except HuldraError as error:
        return Adoption(
            found[0].key, target[1], found[0].directory, target[3], "refused", reason=str(error)
        )


def _by_rest(namespace: str, fields: Sequence[str]) -> dict[str, list[ArtifactPaths]]:
    """The complete artifacts of a class, by all of their config but `fields`."""
    found: dict[str, list[ArtifactPaths]] = {}
    folders = [f"{HULDRA_CONFIG.root}/{base}/{namespace}" for base in (DATA, GIT)]
    for paths in (found_one for folder in folders for found_one in complete_in(folder)):
        record = files.read_object(paths.metadata)
        if record is not None:
            found.setdefault(_rest(record.get("huldra_obj"), fields), []).append(paths)
    return found


def _rest(document: Any, fields: Sequence[str]) -> str:
    """A config but for some of its fields, as one text to compare."""
    flat = flat_document(document, hashed_only=True)
    rest = {path: value for path, value in flat.items() if not _is_under(path, fields)}
    return json.dumps(rest, sort_keys=True)


def _is_under(path: str, fields: Sequence[str]) -> bool:
    bare = path.removeprefix("type(").removesuffix(")") if path.startswith("type(") else path
    return any(bare == name or bare.startswith((f"{name}.", f"{name}[")) for name in fields)
