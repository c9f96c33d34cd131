"""The code that artifacts were computed by, kept in the store: each source once.

`<root>/code/<digest>.py` is a source, by the digest of its code, `<root>/code/<digest>.json` what
one class could reach. Both are labels: without them nothing is lost but the word for a difference.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huldra.errors import HuldraStoreError
from huldra.provenance import sources, watching
from huldra.provenance.kept_files import KeptFiles
from huldra.provenance.watching import UNKNOWN, WatchedFile
from huldra.settings import HULDRA_CONFIG
from huldra.store import files
from huldra.store.layout import ArtifactPaths, StorePaths
from huldra.store.location import prepare_code
from huldra.store.process import user_name
from huldra.store.records import now_text

_kept = KeptFiles()


def keep(cls: type) -> str | None:
    """Keep the code that `cls` can reach, in the store; return the digest of the record.

    None where `HULDRA_CODE` is off, and where the store takes no file. Once a class's code was kept
    by this process, this costs no call to the file system for half an hour.
    """
    if HULDRA_CONFIG.code == "off":
        return None
    watched, digest = watching.watch(cls)
    store = StorePaths(HULDRA_CONFIG.root)
    path = store.code_record(digest)
    if not _kept.has(path):
        try:
            prepare_code()
            for one in watched.modules.values():
                _keep_source(store, one)
            if not _kept.renew(path):
                files.write_atomic(path, files.object_bytes(watched.to_json()))
                _kept.add(path)
        except HuldraStoreError:
            return None
    return digest


def keep_of_run(classes: Mapping[str, type]) -> dict[str, Any]:
    """Keep the code of a run's classes, by namespace; return what workers may rely on.

    `digests` are the records in the store, `files` what they were made from: the digest of the
    bytes of each file. Empty where nothing was kept.
    """
    digests = {namespace: keep(cls) for namespace, cls in classes.items()}
    kept = {namespace: digest for namespace, digest in digests.items() if digest is not None}
    files_here = {
        one.place: one.content
        for namespace in kept
        for one in watching.watch(classes[namespace])[0].modules.values()
    }
    return {"digests": kept, "files": files_here} if kept else {}


def is_as_recorded(recorded: Mapping[str, str]) -> bool:
    """Return True if these files of a driver's, or the copies of them here, have these digests."""
    found = ((sources.read(sources.copied(file)), digest) for file, digest in recorded.items())
    return all(here is not None and here.digest == digest for here, digest in found)


def _keep_source(store: StorePaths, one: WatchedFile) -> None:
    path = store.code_source(one.digest)
    if not one.is_source or one.digest == UNKNOWN or _kept.has(path):
        return
    if not _kept.renew(path):
        content = watching.read_content(one.file)
        if content is None or sources.digest_of(content) != one.content:
            return  # edited this very moment: its text is gone
        files.write_atomic(path, content)
        _kept.add(path)


@dataclass(frozen=True)
class CodeRecord:
    """What one artifact was computed by: the modules that its class could reach, by name.

    `edited` are those that were edited after the run was submitted, and before a worker loaded
    them.
    """

    root: str
    digest: str
    modules: Mapping[str, WatchedFile]
    edited: tuple[str, ...] = ()

    def source(self, module: str) -> bytes | None:
        """Return the recorded source of a module, None where it was not kept."""
        one = self.modules.get(module)
        if one is None or not one.digest:
            return None
        return files.read_bytes(StorePaths(self.root).code_source(one.digest))


def read_metadata(paths: ArtifactPaths) -> Mapping[str, Any]:
    """Return the content of `metadata.json`, empty where it cannot be read."""
    return files.read_object(paths.metadata) or {}


def read(paths: ArtifactPaths, metadata: Mapping[str, Any] | None = None) -> CodeRecord | None:
    """Return what the artifact's last attempt recorded of its code, None where there is nothing.

    `metadata` is the content of `metadata.json`, where the caller has it.
    """
    found = metadata if metadata is not None else read_metadata(paths)
    digest = found.get("code")
    if not isinstance(digest, str):
        return None
    modules = _modules_of(paths.root, digest)
    if modules is None:
        return None
    edited = found.get("code_edited")
    names = tuple(str(name) for name in edited) if isinstance(edited, list) else ()
    return CodeRecord(paths.root, digest, modules, names)


_read: dict[tuple[str, str], Mapping[str, WatchedFile]] = {}


def _modules_of(root: str, digest: str) -> Mapping[str, WatchedFile] | None:
    known = _read.get((root, digest))
    if known is None:
        if os.path.basename(digest) != digest:
            return None
        record = files.read_object(StorePaths(root).code_record(digest))
        listed = record.get("sources") if record is not None else None
        if not isinstance(listed, Mapping):
            return None
        known = _read[root, digest] = {
            str(name): WatchedFile(str(one.get("file", "")), str(one.get("digest", "")))
            for name, one in listed.items()
            if isinstance(one, Mapping)
        }
    return known


def read_accepted(paths: ArtifactPaths, digest: str) -> Mapping[str, str]:
    """Return the digests by module that were accepted in place of the recorded code `digest`."""
    record = files.read_object(paths.accepted)
    if record is None or record.get("code") != digest:
        return {}
    listed = record.get("sources")
    return listed if isinstance(listed, Mapping) else {}


def write_accepted(paths: ArtifactPaths, digest: str, accepted: Mapping[str, str]) -> None:
    """Record that these digests by module are as good as the recorded code `digest`.

    Raises `HuldraStoreError`.
    """
    record = {
        "huldra": 1,
        "code": digest,
        "sources": dict(accepted),
        "accepted_at": now_text(),
        "accepted_by": user_name(),
    }
    files.write_atomic(paths.accepted, files.object_bytes(record), makes_folders=False)
