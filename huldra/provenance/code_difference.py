"""How the code that computed an artifact differs from the code that is here now.

    read what was recorded → compare digests → for those that differ, parse both and say what does

Whose code is "here": that of this process where it has the class (`of_class`), else the files as
they are on disk (`of_disk`), for those who import nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from huldra.errors import HuldraArtifactMissing
from huldra.provenance import code_store, watching
from huldra.provenance.code_store import CodeRecord
from huldra.provenance.watching import UNKNOWN, WatchedFile
from huldra.store import success
from huldra.store.layout import ArtifactPaths

GONE = "gone"  # in place of a digest: there is no such module here
_SHOWN_MAX = 4


@dataclass(frozen=True)
class ModuleDifference:
    """One module that differs: what in it, its file here, its digest here, and both texts."""

    module: str
    what: tuple[str, ...]
    file: str
    digest: str
    before: bytes | None = field(default=None, repr=False)
    now: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        shown = ", ".join(self.what[:_SHOWN_MAX])
        more = len(self.what) - _SHOWN_MAX
        return f"{self.module}: {shown}" + (f" and {more} more" if more > 0 else "")

    def diff(self) -> Iterator[str]:
        """Give the lines of a unified diff, from the code that computed to the code here."""
        if self.before is None or self.now is None:
            yield f"# {self}; no text to compare\n"
            return
        yield from difflib.unified_diff(
            _lines(self.before),
            _lines(self.now),
            f"{self.module} (computed)",
            f"{self.module} ({self.file})",
        )


def _lines(content: bytes) -> list[str]:
    return [f"{line}\n" for line in content.decode("utf-8", "replace").splitlines()]


@dataclass(frozen=True)
class CodeDifference:
    """The modules in which the code that computed an artifact differs from the code here."""

    modules: tuple[ModuleDifference, ...]

    def __str__(self) -> str:
        shown = "; ".join(str(one) for one in self.modules[:_SHOWN_MAX])
        more = len(self.modules) - _SHOWN_MAX
        return f"computed by other code ({shown}" + (
            f"; and {more} more modules)" if more > 0 else ")"
        )

    def diff(self) -> str:
        """Return a unified diff of all that differs."""
        return "".join(line for one in self.modules for line in one.diff())


Present = Callable[[str, WatchedFile], WatchedFile | None]
_found: dict[tuple[str, str, str], tuple[ModuleDifference, ...]] = {}


def of_class(cls: type, paths: ArtifactPaths) -> CodeDifference | None:
    """Compare the artifact's code with what this process has; None where nothing differs.

    Also None for an artifact that recorded no code. Writes nothing.
    """
    metadata = code_store.read_metadata(paths)
    watched, digest = watching.watch(cls)
    recorded = metadata.get("code")
    if recorded is None or recorded == digest:
        return None
    record = code_store.read(paths, metadata)
    if record is None:
        return None
    known = (record.root, record.digest, digest)
    if known not in _found:
        _found[known] = tuple(_differences(record, lambda name, _: watched.modules.get(name)))
    return _without_accepted(_found[known], paths, record)


def of_disk(paths: ArtifactPaths, metadata: Mapping[str, Any] | None) -> CodeDifference | None:
    """Compare the artifact's code with the recorded files as they are on disk now.

    Imports nothing and writes nothing. None where nothing differs, where nothing is recorded, and
    where none of the files is on this machine.
    """
    record = code_store.read(paths, metadata) if metadata is not None else None
    if record is None:
        return None
    found = tuple(_differences(record, _on_disk))
    if all(one.digest == GONE for one in found) and len(found) == len(record.modules):
        return None
    return _without_accepted(found, paths, record)


def accept(paths: ArtifactPaths, difference: CodeDifference | None) -> bool:
    """Record that a difference does not matter; return False where there is none.

    Raises `HuldraArtifactMissing` for an artifact that is not complete, and `HuldraStoreError`.
    """
    if not success.is_complete(paths):
        raise HuldraArtifactMissing(
            f"{paths.key} is not complete, so there is no result to accept; looked in"
            f" {paths.success}",
            directory=paths.directory,
        )
    if difference is None:
        return False
    recorded = str(code_store.read_metadata(paths).get("code"))
    accepted = code_store.read_accepted(paths, recorded)
    new = {one.module: one.digest for one in difference.modules}
    code_store.write_accepted(paths, recorded, {**accepted, **new})
    return True


def _on_disk(_: str, recorded: WatchedFile) -> WatchedFile | None:
    digest = watching.present_digest(recorded.file)
    return WatchedFile(recorded.file, digest) if digest is not None else None


def _without_accepted(
    found: tuple[ModuleDifference, ...], paths: ArtifactPaths, record: CodeRecord
) -> CodeDifference | None:
    if found:
        accepted = code_store.read_accepted(paths, record.digest)
        found = tuple(one for one in found if accepted.get(one.module) != one.digest)
    return CodeDifference(found) if found else None


def _differences(record: CodeRecord, present: Present) -> Iterator[ModuleDifference]:
    for name, recorded in record.modules.items():
        here = present(name, recorded)
        if here is None:
            yield ModuleDifference(name, ("not here",), recorded.file, GONE, record.source(name))
        elif recorded.digest == UNKNOWN:
            unknown = ("was edited before it ran, and after it was loaded",)
            yield ModuleDifference(name, unknown, here.file, here.digest)
        elif here.digest != recorded.digest:
            before = record.source(name)
            now = watching.read_content(here.file)
            what = _what_differs(recorded, before, here, now)
            if what:
                yield ModuleDifference(name, what, here.file, here.digest, before, now)


def _what_differs(
    recorded: WatchedFile, before: bytes | None, here: WatchedFile, now: bytes | None
) -> tuple[str, ...]:
    """Name the definitions that differ; nothing where they do not, as this Python parses them."""
    if here.digest == UNKNOWN:
        return ("was edited after this process loaded it",)
    if before is None or now is None or not (recorded.is_source and here.is_source):
        return ("the file differs",)
    was, new = (watching.parse_file("x.py", text) for text in (before, now))
    if was.digest == new.digest:
        return ()
    old, present = was.definitions(), new.definitions()
    names = [name for name in present if old.get(name, present[name]) != present[name]]
    names += [f"{name} (new)" for name in present if name not in old]
    names += [f"{name} (gone)" for name in old if name not in present]
    return tuple(names) or ("the order of its definitions",)
