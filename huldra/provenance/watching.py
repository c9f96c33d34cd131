"""Which of the project's own sources a class can reach, in this process and as they are in memory.

From the class's module through its imports, outside of the standard library and of installed
packages. Files are read and parsed once per process and file state; after that, a class whose
modules were not loaded again costs no call to the file system.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.machinery import ModuleSpec
from typing import Any

from huldra.config.import_paths import public_module
from huldra.provenance import parsing, sources

UNKNOWN = ""  # in place of a digest: the file was edited after it was loaded
_MAX_MODULES = 2000
_MAX_BYTES = 4 << 20  # a larger file is no source that a person wrote


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """One module of the project: its file, the digest of the code in it, and that of its bytes."""

    file: str
    digest: str
    content: str = field(default="", compare=False)

    @property
    def place(self) -> str:
        """Where the file is for people: of a frozen copy, where the original is."""
        return sources.original(self.file)

    @property
    def is_source(self) -> bool:
        """Return True for Python source, False for a compiled module."""
        return self.file.endswith(".py")


@dataclass(frozen=True)
class Watched:
    """What a class can reach: its own digest, and its modules by name, with their digests.

    `class_digest` is None where the class is not written as a `class` or `def` in its module.
    """

    name: str
    class_digest: str | None
    modules: Mapping[str, WatchedFile]

    @property
    def digest(self) -> str:
        """Equal for equal code in the same files, and for no other."""
        words = [self.name, self.class_digest or ""]
        words += [f"{name}\0{one.place}\0{one.digest}" for name, one in self.modules.items()]
        data = "\0".join(words).encode("utf-8", "surrogateescape")
        return hashlib.blake2s(data, digest_size=16).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the record that the store keeps of it."""
        return {
            "huldra": 1,
            "class": self.name,
            "class_digest": self.class_digest,
            "sources": {
                name: {"file": one.place, "digest": one.digest}
                for name, one in self.modules.items()
            },
        }


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found for a class, and what tells whether it still holds."""

    watched: Watched
    digest: str
    specs: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class _Module:
    """A module of the project, and what it says."""

    file: str
    digest: str
    content: str
    imports: frozenset[str]
    classes: Mapping[str, str]


_known: dict[type, _Known] = {}
_modules: dict[tuple[str, str, str], _Module] = {}  # by name, file and digest of its bytes


def watch(cls: type) -> tuple[Watched, str]:
    """Return what `cls` can reach, and the digest of that.

    Looked at again once one of its modules was loaded again (`importlib.reload`, autoreload). A
    file that was edited since its module was loaded counts as it was when it was loaded, where this
    process saw it then; else its digest is unknown.
    """
    known = _known.get(cls)
    if known is not None and all(_spec(name) is spec for name, spec in known.specs):
        return known.watched, known.digest
    watched = _look(cls)
    specs = tuple((name, _spec(name)) for name in (cls.__module__, *watched.modules))
    _known[cls] = _Known(watched, watched.digest, specs)
    return watched, _known[cls].digest


def _spec(name: str) -> object:
    return getattr(sys.modules.get(name), "__spec__", None)


def _look(cls: type) -> Watched:
    top = public_module(cls.__module__).partition(".")[0]
    start = public_module(cls.__module__)
    if top in sources.OURS:  # a class of `huldra.testing`: no code of a project's
        return Watched(f"{start}:{cls.__qualname__}", None, {})
    here = [name for name in list(sys.modules) if name.partition(".")[0] == top]
    sources.notice(here, doubts=False, by_bytecode=True)
    modules: dict[str, WatchedFile] = {}
    seen, waiting = {start}, [start]
    class_digest = None
    while waiting and len(modules) < _MAX_MODULES:
        name = waiting.pop()
        found = _module(name, top)
        if found is None:
            continue
        modules[name] = WatchedFile(found.file, found.digest, found.content)
        if name == start:
            class_digest = found.classes.get(cls.__qualname__)
        reached = _with_parents(found.imports | {name}) - seen
        seen |= reached
        waiting += sorted(reached)
    return Watched(f"{start}:{cls.__qualname__}", class_digest, dict(sorted(modules.items())))


def _with_parents(names: frozenset[str]) -> set[str]:
    """Return the names and their packages, whose code runs before theirs."""
    return {
        ".".join(parts[:count])
        for parts in (name.split(".") for name in names)
        for count in range(1, len(parts) + 1)
    }


def _module(name: str, top: str) -> _Module | None:
    """Return a module of the project; None for all other names.

    The answer is the same before and after the module is imported: an import inside of a function
    may have run or not.
    """
    first = name.partition(".")[0]
    if first in sys.stdlib_module_names and first != top:
        return None
    loaded = sources.loaded().get(name)
    if loaded is None and name in sys.modules:
        return None  # of an installed package, or without a file
    file = loaded.file if loaded is not None else _file_of(_find(name))
    if file is None or not (first == top or sources.is_users(name, file)):
        return None
    found = loaded or sources.read(file)
    return _parsed(name, file, found.digest) if found is not None else None


def _find(name: str) -> ModuleSpec | None:
    """Return where a module is, whether it is loaded or not; imports nothing."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__spec__", None)
    parent = name.rpartition(".")[0]
    places = None
    if parent:
        package = _find(parent)
        places = package.submodule_search_locations if package is not None else None
        if places is None:
            return None
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, places)
        except Exception:  # noqa: BLE001  of whatever finders this process has
            continue
        if spec is not None:
            return spec
    return None


def _file_of(spec: ModuleSpec | None) -> str | None:
    return spec.origin if spec is not None and spec.has_location else None


def _parsed(name: str, file: str, digest: str) -> _Module:
    """Return what a file said when it had this digest; unknown if it has another one by now."""
    known = _modules.get((name, file, digest))
    if known is None:
        content = read_content(file)
        if content is None or sources.digest_of(content) != digest:
            return _Module(file, UNKNOWN, digest, frozenset(), {})
        parsed = parse_file(file, content)
        is_package = os.path.basename(file).startswith("__init__.")
        imports = frozenset(parsed.imports(name, is_package))
        known = _Module(file, parsed.digest, digest, imports, parsed.classes())
        _modules[name, file, digest] = known
    return known


def read_content(file: str) -> bytes | None:
    """Return the bytes of a module's file, None where it cannot be read."""
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except (OSError, ValueError):
        return None


def parse_file(file: str, content: bytes) -> parsing.Parsed:
    """Parse source; of a compiled module, or a huge file, the bytes count."""
    is_source = file.endswith(".py") and len(content) <= _MAX_BYTES
    return parsing.parse(content) if is_source else parsing.of_bytes(content)


@lru_cache(maxsize=4096)
def digest_of_file(file: str, _stamp: tuple[int, int, int]) -> str | None:
    """Return the digest of the code in a file, which has this stamp now."""
    content = read_content(file)
    return None if content is None else parse_file(file, content).digest


def present_digest(file: str) -> str | None:
    """Return the digest of the code in a file as it is now, None where it cannot be read."""
    try:
        stat = os.stat(file)
    except OSError:
        return None
    return digest_of_file(file, (stat.st_mtime_ns, stat.st_size, stat.st_ino))
