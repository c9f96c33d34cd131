"""Artifacts as one tar file, and back: for another machine, or for years on a shelf.

The first member, `manifest.json`, names each file below the root with its size and SHA-256 digest,
and the folders that hold nothing.
The claims stay behind: they speak of processes, and a `SUCCESS.json` without them counts. `take_in`
checks the whole archive before it writes anything; each artifact then comes into place by one
rename, so a crash leaves litter and no half artifact.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from huldra.errors import HuldraStoreError
from huldra.store import files, success
from huldra.store.layout import PRIVATE, ArtifactPaths

MANIFEST = "manifest.json"
_VERSION = 1
_MAX_MANIFEST_BYTES = 1 << 30
_ARTIFACT = re.compile(r"(?:data|git)/[^/\0]+/[^/\0]+/[0-9a-f]{32}")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an artifact: its path below the root, its size and its digest."""

    path: str
    size_bytes: int
    sha256: str

    @property
    def artifact(self) -> str:
        """The path of its artifact below the root."""
        return _artifact_of(self.path)


def _artifact_of(path: str) -> str:
    return "/".join(path.split("/")[:4])


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What an import came to, as paths of artifacts below the root."""

    imported: tuple[str, ...]
    present: tuple[str, ...]


# ---- out --------------------------------------------------------------------------------------


def write(root: str, artifacts: Iterable[str], out: str) -> list[Entry]:
    """Write complete artifacts (paths below the root) to the tar file `out`; return its files.

    `out` appears when it is whole, and replaces no other file.

    Raises `HuldraStoreError`: an artifact is not complete, holds something that is neither a file
    nor a folder, or changed meanwhile; `out` exists, or cannot be written.
    """
    if os.path.lexists(out):
        raise HuldraStoreError(f"{out} exists; name another file", directory=out)
    entries, empty = list[Entry](), list[str]()
    for path in artifacts:
        for found, is_folder in _contents(root, path):
            name = os.path.relpath(found, root)
            if is_folder:
                empty.append(name)
            else:
                entries.append(Entry(name, os.lstat(found).st_size, _digest_of(found)))
    temporary = files.temporary_name(os.path.abspath(out))
    try:
        with tarfile.open(temporary, "x", format=tarfile.PAX_FORMAT) as tar:
            _write_manifest(tar, entries, empty)
            for entry in entries:
                _write_file(tar, root, entry)
        os.link(temporary, out)
    except OSError as error:
        raise files.store_error(error, "write", out) from error
    finally:
        files.remove(temporary)
    return entries


def _contents(root: str, path: str) -> Iterator[tuple[str, bool]]:
    """The files of an artifact and its empty folders, without claims and unfinished writes.

    True stands with a folder.
    """
    directory = f"{root}/{path}"
    if not success.is_complete(ArtifactPaths(directory)):
        raise HuldraStoreError(
            f"{directory} is not complete, so it cannot be exported; compute it first",
            directory=directory,
        )
    folders = [directory]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        if not entries:
            yield folder, True
        for entry in entries:
            mode = entry.stat(follow_symlinks=False).st_mode
            is_ours = folder == f"{directory}/{PRIVATE}"
            if is_ours and (entry.name == "claims" or files.is_temporary(entry.name)):
                continue
            if stat.S_ISDIR(mode):
                folders.append(entry.path)
            elif stat.S_ISREG(mode):
                yield entry.path, False
            else:
                raise HuldraStoreError(
                    f"{entry.path} is neither a file nor a folder, and an export takes only these;"
                    " put the data itself there",
                    directory=directory,
                )


def _digest_of(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_manifest(tar: tarfile.TarFile, entries: Iterable[Entry], empty: list[str]) -> None:
    record = {
        "huldra_archive": _VERSION,
        "files": [
            {"path": one.path, "size": one.size_bytes, "sha256": one.sha256} for one in entries
        ],
        "folders": empty,
    }
    data = json.dumps(record, indent=1).encode()
    info = tarfile.TarInfo(MANIFEST)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _write_file(tar: tarfile.TarFile, root: str, entry: Entry) -> None:
    path = f"{root}/{entry.path}"
    info = tarfile.TarInfo(entry.path)
    info.size = entry.size_bytes
    status = os.stat(path)
    info.mode, info.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
    if status.st_size != entry.size_bytes:
        raise HuldraStoreError(f"{path} changed while it was exported", directory=path)
    with open(path, "rb") as file:
        digested = _Digested(file)
        tar.addfile(info, digested)
    if digested.sha256.hexdigest() != entry.sha256:
        raise HuldraStoreError(f"{path} changed while it was exported", directory=path)


class _Digested(io.RawIOBase):
    """A file that is read once, and the digest of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.sha256 = hashlib.sha256()
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self.sha256.update(data)
        return data


# ---- in ---------------------------------------------------------------------------------------


def take_in(root: str, archive: str, prepare: Callable[[], object] = lambda: None) -> TakenIn:
    """Bring the artifacts of `archive` into the store, those that are complete there excepted.

    When it returns, each imported artifact is complete and on the disk. Nothing outside of `root`
    is written, and nothing at all before the whole archive is checked: then `prepare` is called.

    Raises `HuldraStoreError`: the archive is not one of huldra's, a file in it is missing, has
    another size or digest, is a link or a device, or leads out of the root; or an artifact is in
    the store and not complete. Nothing was written then. Also where the disk refuses.
    """
    try:
        with tarfile.open(archive, "r:") as tar:
            content = _checked(tar, archive)
            inside, folders = content.by_artifact()
            is_present = {path: _is_present(root, path) for path in inside}
            present = [path for path in inside if is_present[path]]
            wanted = [path for path in inside if not is_present[path]]
            _refuse_outside(root, wanted)
            prepare()
            for path in wanted:
                _place(tar, f"{root}/{path}", path, inside[path], folders[path], content.members)
    except (tarfile.TarError, EOFError) as error:
        raise HuldraStoreError(
            f"{archive} is no tar file, or is cut off: {error}", directory=archive
        ) from error
    except OSError as error:
        raise files.store_error(error, "import", archive) from error
    return TakenIn(tuple(wanted), tuple(present))


@dataclass(frozen=True, slots=True)
class _Content:
    """An archive that was checked: its files and members by their paths, its empty folders."""

    entries: Mapping[str, Entry]
    empty: list[str]
    members: Mapping[str, tarfile.TarInfo]

    def by_artifact(self) -> tuple[dict[str, list[Entry]], Mapping[str, list[str]]]:
        """Return the files and the empty folders of each artifact."""
        inside, folders = defaultdict[str, list[Entry]](list), defaultdict[str, list[str]](list)
        for entry in self.entries.values():
            inside[entry.artifact].append(entry)
        for folder in self.empty:
            folders[_artifact_of(folder)].append(folder)
        return inside, folders


def _checked(tar: tarfile.TarFile, archive: str) -> _Content:
    """Read all of the archive; return what is in it."""

    def refuse(what: str) -> HuldraStoreError:
        return HuldraStoreError(f"{archive}: {what}; nothing was written", directory=archive)

    entries, empty = _listed(tar, refuse)
    members = dict[str, tarfile.TarInfo]()
    while (member := tar.next()) is not None:
        entry = entries.get(member.name)
        if not member.isreg() or member.issparse():
            raise refuse(f"{member.name!r} is not a plain file")
        if entry is None or member.name in members:
            raise refuse(f"{member.name!r} is not in its {MANIFEST}, or is there twice")
        members[member.name] = member
        if member.size != entry.size_bytes or _digest(_opened(tar, member)) != entry.sha256:
            raise refuse(f"{member.name!r} is not what its {MANIFEST} says: damaged or changed")
    if missing := entries.keys() - members.keys():
        raise refuse(f"{min(missing)!r} is missing")
    _refuse_incomplete(tar, entries, members, refuse)
    return _Content(entries, empty, members)


Refuse = Callable[[str], HuldraStoreError]


def _listed(tar: tarfile.TarFile, refuse: Refuse) -> tuple[Mapping[str, Entry], list[str]]:
    """Read the manifest, which comes first; refuse a path that nothing of an artifact has."""
    first = tar.next()
    if first is None or first.name != MANIFEST or not first.isreg():
        raise refuse(f"no export of huldra: its first member is not {MANIFEST}")
    if first.size > _MAX_MANIFEST_BYTES:
        raise refuse(f"its {MANIFEST} has {first.size} bytes")
    listed = _manifest(_opened(tar, first).read())
    if listed is None:
        raise refuse(f"its {MANIFEST} cannot be read, or is of a newer version")
    entries, empty = listed
    for path in (*entries, *empty):
        if not _is_safe(path):
            raise refuse(f"{path!r} is no path of a file of an artifact")
    for folder in empty:
        parts = folder.split("/")
        if any("/".join(parts[:end]) in entries for end in range(5, len(parts) + 1)):
            raise refuse(f"{folder!r} is both a file and a folder")
    return entries, empty


def _refuse_incomplete(
    tar: tarfile.TarFile,
    entries: Mapping[str, Entry],
    members: Mapping[str, tarfile.TarInfo],
    refuse: Refuse,
) -> None:
    """Refuse an artifact whose `SUCCESS.json` is missing, or another's."""
    for path in dict.fromkeys(entry.artifact for entry in entries.values()):
        name = f"{path}/{PRIVATE}/SUCCESS.json"
        data = _opened(tar, members[name]).read() if name in members else b""
        record = files.parse_object(data) or {}
        is_its = record.get("hash") == path.rpartition("/")[2]
        if not is_its or not isinstance(record.get("claim"), int):
            raise refuse(f"{path} is not complete in it")


def _manifest(data: bytes) -> tuple[dict[str, Entry], list[str]] | None:
    record = files.parse_object(data) or {}
    listed, folders = record.get("files"), record.get("folders", [])  # not in older archives
    if record.get("huldra_archive") != _VERSION or not isinstance(listed, list):
        return None
    if not isinstance(folders, list) or not all(isinstance(path, str) for path in folders):
        return None
    try:
        entries = [Entry(str(one["path"]), int(one["size"]), str(one["sha256"])) for one in listed]
    except (KeyError, TypeError, ValueError):
        return None
    return {entry.path: entry for entry in entries}, folders


def _is_safe(path: str) -> bool:
    """Return True for the path of a file of an artifact below a root, and of no claim."""
    parts = path.split("/")
    is_inside = _ARTIFACT.fullmatch("/".join(parts[:4])) is not None and len(parts) > 4
    is_claim = parts[4:6] == [PRIVATE, "claims"]
    return is_inside and not is_claim and not ({"", ".", ".."} & set(parts)) and "\0" not in path


def _is_present(root: str, path: str) -> bool:
    directory = f"{root}/{path}"
    if success.is_complete(ArtifactPaths(directory)):
        return True
    if os.path.lexists(directory):
        raise HuldraStoreError(
            f"{directory} is there and not complete; nothing was written. To remove it: huldra rm"
            f" {'/'.join(path.split('/')[1:])}",
            directory=directory,
        )
    return False


def _refuse_outside(root: str, artifacts: Iterable[str]) -> None:
    """Refuse where a folder of the store is a link that leads elsewhere."""
    for path in artifacts:
        top, module, name, _ = path.split("/")
        inside = os.path.realpath(f"{root}/{top}")
        if os.path.realpath(f"{root}/{top}/{module}/{name}") != f"{inside}/{module}/{name}":
            raise HuldraStoreError(
                f"{root}/{top}/{module}/{name} leads elsewhere by a link; nothing was written",
                directory=root,
            )


def _place(
    tar: tarfile.TarFile,
    directory: str,
    path: str,
    entries: Iterable[Entry],
    empty: Iterable[str],
    members: Mapping[str, tarfile.TarInfo],
) -> None:
    """Write one artifact beside its place, put it on the disk, and give it its name."""
    files.make_directories(os.path.dirname(directory))
    staging = files.temporary_name(directory)
    folders = {staging}
    os.mkdir(staging)
    try:
        for entry in entries:
            target = f"{staging}/{entry.path[len(path) + 1 :]}"
            files.make_directories(os.path.dirname(target))
            folders.add(os.path.dirname(target))
            _copy(tar, members[entry.path], entry, target)
        for folder in empty:
            target = f"{staging}/{folder[len(path) + 1 :]}"
            files.make_directories(target)
            folders.add(os.path.dirname(target))
        for folder in (*folders, os.path.dirname(directory)):
            _sync(folder)
        os.rename(staging, directory)
        _sync(os.path.dirname(directory))
    except BaseException:
        files.remove_tree(staging)
        raise


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, entry: Entry, target: str) -> None:
    digest = hashlib.sha256()
    mode = 0o777 if member.mode & stat.S_IXUSR else 0o666
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    source = _opened(tar, member)
    with open(handle, "wb") as file:
        while data := source.read(_CHUNK_BYTES):
            digest.update(data)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != entry.sha256:
        raise HuldraStoreError(f"{entry.path} changed while it was imported", directory=target)


def _sync(folder: str) -> None:
    with files.Folder(folder) as opened:
        opened.sync()


def _digest(file: IO[bytes]) -> str:
    found = hashlib.sha256()
    while data := file.read(_CHUNK_BYTES):
        found.update(data)
    return found.hexdigest()


def _opened(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    if file is None:
        raise HuldraStoreError(f"{member.name!r} is not a plain file", directory=member.name)
    return file
