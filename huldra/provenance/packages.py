"""Which versions of installed packages a class's module imports.

Looked up in what the process has loaded by then: the module, the modules of the same project that
it names, and so on, up to packages that are installed. Nothing is imported, and no file is read:
versions stand in the names of the `.dist-info` folders, and else in `__version__`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import BuiltinFunctionType, FunctionType, ModuleType

_INSTALLED = re.compile(r"[/\\](?:site|dist)-packages(?:[/\\]|$)")
_DIST_INFO = re.compile(r"([A-Za-z0-9._]+)-([^-]+)\.dist-info")
_MAX_MODULES = 1000


def packages_of(module: str) -> Mapping[str, str]:
    """Return import name → version of the installed packages that `module` imports, by name.

    Through the modules of its own project, and not through installed packages. What is imported
    inside a function is not seen, nor is a package of which no version is known.
    """
    return _packages_of(module, len(sys.modules))


@lru_cache(maxsize=256)
def _packages_of(module: str, _loaded: int) -> dict[str, str]:
    # What a module names changes hardly ever without an import, which is what `_loaded` tells.
    found: dict[str, str] = {}
    seen, waiting = {module}, [module]
    while waiting and len(seen) < _MAX_MODULES:
        name = waiting.pop()
        loaded = sys.modules.get(name)
        top = name.partition(".")[0]
        if loaded is None or top in sys.stdlib_module_names:
            continue
        version = _version(top)
        if version is not None:
            found[top] = version
        if not _is_installed(loaded) and top != "huldra":
            named = {other for other in _named_by(loaded) if other not in seen}
            seen |= named
            waiting += named
    return dict(sorted(found.items()))


def _named_by(module: ModuleType) -> Iterator[str]:
    """The modules of which `module` has something: themselves, a class, a function, an object."""
    for value in list(vars(module).values()):
        if isinstance(value, ModuleType):
            name: object = value.__name__
        elif isinstance(value, type | FunctionType | BuiltinFunctionType):
            name = value.__module__
        else:
            name = type(value).__module__
        if isinstance(name, str):
            yield name


def _is_installed(module: ModuleType) -> bool:
    places = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
    return any(isinstance(place, str) and _INSTALLED.search(place) for place in places)


def _version(top: str) -> str | None:
    """The version of the package `top`: of the distribution of that name, else its own word."""
    listed = _distributions(tuple(sys.path)).get(_normal(top))
    if listed is not None:
        return listed
    own = vars(sys.modules[top]).get("__version__") if top in sys.modules else None
    return own if isinstance(own, str) else None


@lru_cache(maxsize=4)
def _distributions(path: tuple[str, ...]) -> dict[str, str]:
    """Name → version of what is installed in the folders of an import path; the first counts."""
    found: dict[str, str] = {}
    for folder in path:
        if not _INSTALLED.search(folder):
            continue
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for match in filter(None, map(_DIST_INFO.fullmatch, names)):
            found.setdefault(_normal(match[1]), match[2])
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
