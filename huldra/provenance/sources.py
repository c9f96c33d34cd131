"""Which code a process has: the files of the user's modules, and digests of what is in them.

A key says what is computed, and not by which code: two processes may agree on a key while one of
them imports another file, or imported the file before an edit. Comparing sources tells.

What a driver records is what a worker can import: each file as it is when the graph is sent. What
a process has *in memory* is the file as it was when its module was last loaded. Python keeps no
trace of that, so modules are looked at soon after their import; a reload is seen by the module's
`__spec__`, which `importlib.reload` replaces. Where a file was written to since the last look, its
import may have come before or after that: then its digest is empty, and equals no other.

Looked at are modules that have a file outside of the interpreter's folders (its library and
`site-packages`), and inside of these the packages that classes of configs come from. huldra itself
is left out: payloads have the version of its protocol.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import site
import struct
import sys
import sysconfig
import time
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.machinery import ModuleSpec, SourceFileLoader
from typing import Any

from huldra.config.import_paths import MAIN_MODULES, public_module

_COARSEST_TIME_S = 2.5
_OLDER = "older than the file"  # in place of a digest
_INSTALLED = ("/site-packages/", "/dist-packages/")
OURS = ("huldra", "huldra_local", "huldra_submitit", "huldra_dask", "huldra_ray")
_NO_USERS = (*OURS, "sitecustomize", "usercustomize")  # each environment may have its own


@dataclass(frozen=True, slots=True)
class Source:
    """The file of one module: where it is, a digest of its content, and when it was written."""

    file: str
    digest: str
    mtime_ns: int

    def to_json(self) -> dict[str, Any]:
        """Render as it stands in run records."""
        return {"file": self.file, "digest": self.digest, "mtime_ns": self.mtime_ns}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Source:
        """Read what `to_json` wrote; what is missing or odd becomes empty."""
        mtime_ns = data.get("mtime_ns")
        return Source(
            str(data.get("file", "")),
            str(data.get("digest", "")),
            mtime_ns if isinstance(mtime_ns, int) else 0,
        )


class _Memory:
    """What this process knows of its modules."""

    def __init__(self) -> None:
        self.loaded: dict[str, Source] = {}
        self.specs: dict[str, object] = {}  # of all modules, as they were at the last look
        self.digests: dict[str, tuple[tuple[int, int, int], Source]] = {}
        self.looked_at_s = time.time()
        self.copies: dict[str, str] = {}

    def begin(self) -> None:
        """In a forked child: what the parent knew holds, and what is unknown is older than this."""
        self.looked_at_s = time.time()


_memory = _Memory()
os.register_at_fork(after_in_child=_memory.begin)


# ---- what workers are to have --------------------------------------------------------------------


@dataclass(frozen=True)
class Code:
    """The code that workers are to have: the driver's import path and its sources.

    `interpreter_path` are the entries of `sys_path` that are the interpreter's and not the user's.
    `edited` are files that the driver itself loaded before they were edited: it has other code in
    memory than a worker that starts can import.
    """

    sys_path: Sequence[str]
    interpreter_path: Sequence[str]
    sources: Mapping[str, Source]
    edited: Sequence[str] = ()

    @property
    def digest(self) -> str:
        """Equal for equal code, and for no other."""
        words = [*self.sys_path, "", *(f"{name} {s.digest}" for name, s in self.sources.items())]
        text = "\0".join(words).encode("utf-8", "surrogateescape")
        return hashlib.blake2s(text, digest_size=8).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Its part of the run record."""
        return {
            "sys_path": self.sys_path,
            "interpreter_path": self.interpreter_path,
            "sources": {name: source.to_json() for name, source in self.sources.items()},
        }


def this_code(classes: Iterable[type]) -> Code:
    """The code that a worker would import now as this process did.

    Its sources are the user's modules that are loaded here, by the names that other processes
    import them by; the packages of `classes` (of configs) are among them wherever they are. A
    module that was edited and not loaded again since is there as it is on disk: a worker that
    starts can import nothing else.
    """
    notice(_packages(classes), by_bytecode=True)
    found, edited = {}, []
    for name, known in sorted(_memory.loaded.items()):
        if (source := read(known.file)) is None:
            continue
        found[name] = source
        if known.digest not in ("", source.digest) and not _is_autoreloaded():
            edited.append(source.file)
    path = import_path()
    interpreters = [entry for entry in path if is_interpreters(entry)]
    return Code(path, interpreters, found, tuple(edited))


def _is_autoreloaded() -> bool:
    # It brings each edit in before the next cell, and not always by a reload that can be seen.
    return "IPython.extensions.autoreload" in sys.modules


# ---- what is on disk -----------------------------------------------------------------------------


def read(file: str) -> Source | None:
    """A file as it is now, or None if it cannot be read; costs one `stat` while it is unchanged."""
    try:
        stat = os.stat(file)
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known = _memory.digests.get(file)
        if known is None or known[0] != stamp:
            with open(file, "rb") as stream:
                digest = hashlib.file_digest(stream, _hash).hexdigest()
            known = stamp, Source(file, digest, stat.st_mtime_ns)
            # A file system may tell the times of two edits apart only when they are seconds apart.
            if time.time() - stat.st_mtime > _COARSEST_TIME_S:
                _memory.digests[file] = known
    except OSError:
        return None
    return known[1]


def digest_of(content: bytes) -> str:
    """Return the digest of a file's content, as `read` gives it."""
    return hashlib.blake2s(content, digest_size=16).hexdigest()


def _hash() -> Any:
    return hashlib.blake2s(digest_size=16)


# ---- what is in memory ---------------------------------------------------------------------------


def notice(also: Iterable[str] = (), *, doubts: bool = True, by_bytecode: bool = False) -> None:
    """Look at modules that were loaded since the last look, soon after they were.

    `also` are names of modules inside the interpreter's folders to look at. With `doubts` a module
    whose file was written to since the last look gets an empty digest; the caller who knows that
    the import came last has none. `by_bytecode` is for modules that were imported at any time
    before this look: those that Python compiled from another content of the file are seen.
    """
    since_s, _memory.looked_at_s = _memory.looked_at_s, time.time()
    known, wanted = _memory.specs, set(also)
    here = sys.modules.copy()
    for name in known.keys() - here.keys():
        known.pop(name, None)
        _memory.loaded.pop(public_module(name), None)
    for name, module in here.items():
        spec = _spec_of(module)
        is_new = known.get(name, _UNKNOWN) is not spec
        if is_new or (name in wanted and name not in _memory.loaded):
            known[name] = spec
            _look_at(name, spec, name in wanted, since_s if doubts else None)
            if by_bytecode and name in _memory.loaded and _is_compiled_from_another(spec):
                _memory.loaded[name] = replace(_memory.loaded[name], digest=_OLDER)


_UNKNOWN = object()


def _look_at(name: str, spec: Any, is_wanted: bool, since_s: float | None) -> None:
    name_there = public_module(name)
    file = _file_of(spec)
    if file is None or name_there in MAIN_MODULES or not (is_wanted or is_users(name, file)):
        _memory.loaded.pop(name_there, None)
        return
    source = read(file) or Source(file, "", 0)
    if since_s is not None and source.mtime_ns > since_s * 1e9:
        source = replace(source, digest="")
    _memory.loaded[name_there] = source


def _is_compiled_from_another(spec: Any) -> bool:
    """Return True if the bytecode that Python keeps of a module is of another version of its file.

    Python writes it when it imports a module that has none of the file as it is; so the file was
    edited since. Where Python cannot or must not write it, nothing is known.
    """
    if sys.dont_write_bytecode or type(spec.loader) is not SourceFileLoader or not spec.cached:
        return False
    try:
        with open(spec.cached, "rb") as file:
            head = file.read(16)
        stat = os.stat(spec.origin)
    except OSError:
        return False
    is_by_time = len(head) == 16 and head[4:8] == bytes(4)
    now = (int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF)
    is_other = is_by_time and struct.unpack("<II", head[8:]) != now
    return is_other and os.access(os.path.dirname(spec.cached), os.W_OK)


def loaded() -> Mapping[str, Source]:
    """The modules in memory that were looked at: their files as they were when they were loaded."""
    return _memory.loaded.copy()


def outdated() -> list[str]:
    """The modules in memory whose file is another one by now, or may be."""
    return [
        name
        for name, known in list(_memory.loaded.items())
        if (source := read(known.file)) is None or source.digest != known.digest
    ]


def import_path() -> list[str]:
    """`sys.path` with absolute entries, without those that a removed folder leaves unknown."""
    path = []
    for entry in list(sys.path):
        with contextlib.suppress(OSError):  # the working directory was removed
            if isinstance(entry, str):  # as Python's own finder has it
                path.append(os.path.abspath(entry))
    return path


def use_copies(copies: Mapping[str, str]) -> None:
    """Let modules in these copies count as those of the folders that they are copies of.

    `copies` maps a folder of the driver's to its copy here.
    """
    _memory.copies = {copy: top for top, copy in copies.items()}


def original(file: str) -> str:
    """Return the driver's name of a file that is in a copy; `file` itself where it is in none."""
    for copy, top in _memory.copies.items():
        if file.startswith(f"{copy}/"):
            return f"{top.rstrip('/')}{file[len(copy) :]}"
    return file


def copied(file: str) -> str:
    """Return where a driver's file is in a copy here; `file` itself where it is in none."""
    for copy, top in _memory.copies.items():
        if file.startswith(f"{top.rstrip('/')}/"):
            return f"{copy}{file[len(top.rstrip('/')) :]}"
    return file


# ---- which modules -------------------------------------------------------------------------------


def _packages(classes: Iterable[type]) -> list[str]:
    """The loaded modules of the packages that these classes, and those before them, come from."""
    modules = {
        base.__module__
        for cls in set(classes)
        for base in cls.__mro__
        if getattr(base, "__huldra_class__", False)
    }
    tops = {module.partition(".")[0] for module in modules} - set(OURS)
    return [name for name in list(sys.modules) if name.partition(".")[0] in tops]


def _spec_of(module: object) -> Any:
    if type(module) is types.ModuleType:
        return module.__dict__.get("__spec__")
    # Not by `getattr`, which would have a module load that waits for its first use.
    if not isinstance(module, types.ModuleType):
        return None
    return object.__getattribute__(module, "__dict__").get("__spec__")


def _file_of(spec: object) -> str | None:
    """The file of a module; None for what has none: built-in, frozen, a namespace, made in code."""
    if not isinstance(spec, ModuleSpec) or not spec.has_location:
        return None
    return spec.origin if spec.origin and os.path.isabs(spec.origin) else None


def is_users(name: str, file: str) -> bool:
    """Return True if a module is of the user's project: not installed, not huldra's own."""
    if name.partition(".")[0] in _NO_USERS or any(folder in file for folder in _INSTALLED):
        return False
    return not file.startswith(tuple(f"{folder}/" for folder in _interpreter_folders()))


@lru_cache(maxsize=1)
def _interpreter_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    with_users = [*site.getsitepackages(), site.getusersitepackages()]
    return tuple(dict.fromkeys(os.path.abspath(folder) for folder in [*folders, *with_users]))


def is_interpreters(entry: str) -> bool:
    """Return True if an entry of `sys.path` belongs to the interpreter and not to the user."""
    version = sys.version_info
    if os.path.basename(entry) == f"python{version.major}{version.minor}.zip":
        return True
    return f"{entry}/".startswith(tuple(f"{folder}/" for folder in _interpreter_folders()))
