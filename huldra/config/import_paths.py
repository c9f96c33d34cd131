"""Names of classes and functions that are the same in every process, and the way back."""

from __future__ import annotations

import importlib
import os
import re
import sys
import types
from collections.abc import Callable
from typing import Any

MAIN_MODULES = frozenset({"__main__", "__mp_main__"})


class UnhashableValue(Exception):
    """A value that has no stable identity; `reason` says why and what to do instead."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ImportPathError(Exception):
    """A name that leads nowhere any more."""


def public_module(module: str) -> str:
    """The name under which other processes import `module`.

    Of `python -m proj.train` the module `__main__` is `proj.train`. A plain script has no such
    name: its `__main__` stays what it is.
    """
    if module not in MAIN_MODULES:
        return module
    spec = getattr(sys.modules.get(module), "__spec__", None)
    name = getattr(spec, "name", None)
    # `python folder` and `python file.zip` have a spec that is named `__main__`, too.
    return name if isinstance(name, str) and name not in MAIN_MODULES else module


def loaded(module: str) -> Any:
    """The module that other processes import as `module`, if this one has it; else None.

    What runs as `python -m proj.train` is `proj.train`, before a second copy of that name.
    """
    main = sys.modules.get("__main__")
    if main is not None and module not in MAIN_MODULES and public_module("__main__") == module:
        return main
    return sys.modules.get(module)


def import_name(thing: Any) -> str:
    """Name a class or a function as `module:qualname`.

    Raises `UnhashableValue` for what another process could not import by that name: of a script, of
    a function's body, a lambda, or hidden behind something else of the same name.
    """
    module, qualname = _written_name(thing)
    if public_module(module) in MAIN_MODULES:
        raise UnhashableValue(
            f"{qualname} is defined in __main__: move it into a module of its own"
        )
    if "<lambda>" in qualname:
        raise UnhashableValue("a lambda has no name to import it by: use a function of a module")
    if "<locals>" in qualname:
        raise UnhashableValue(
            f"{qualname} is defined in a function: move it to the top of its module"
        )
    for candidate in _public_modules(module):
        if resolve_loaded(candidate, qualname) is thing:
            return f"{candidate}:{qualname}"
    if module == "builtins":
        return _hidden_builtin(thing, qualname)
    found = resolve_loaded(module, qualname)
    if found is thing or (found is None and _is_initialising(module)):
        return f"{public_module(module)}:{qualname}"
    if module in MAIN_MODULES:
        raise UnhashableValue(
            f"{qualname} is defined in __main__: move it into a module of its own"
        )
    if module not in sys.modules:
        raise UnhashableValue(
            f"{qualname} belongs to the module {module!r}, which is not loaded: move it into a"
            " module that can be imported"
        )
    raise UnhashableValue(
        f"{module}.{qualname} names {'nothing' if found is None else 'something else'} there: "
        "it must be importable by its own name"
    )


def lead_back(cls: type) -> str | None:
    """Why no other process finds the class `cls` by its module and name; None when one does.

    A class of the same name counts as the class itself: a module that was loaded again has a new
    one, while objects of the old one live on.
    """
    module, qualname = cls.__module__, cls.__qualname__
    if module not in sys.modules:
        return f"its module {module!r} is not loaded under that name"
    found = resolve_loaded(module, qualname)
    if found is None and _is_initialising(module):
        return None
    if found is cls or (
        isinstance(found, type) and (found.__module__, found.__qualname__) == (module, qualname)
    ):
        return None
    return f"the module {module!r} has {'nothing' if found is None else 'something else'} there"


def _written_name(thing: Any) -> tuple[str, str]:
    module, qualname = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str):
        raise UnhashableValue(
            f"{type(thing).__name__} object without a module and a name to import it by"
        )
    return module, qualname


def _public_modules(module: str) -> list[str]:
    # Versions of Python move classes of the standard library between private modules
    # (pathlib.Path is pathlib._local.Path in 3.13): the public name is the stable one.
    parts = module.split(".")
    if parts[0].lstrip("_") not in sys.stdlib_module_names:
        return []
    public: list[str] = []
    for part in parts:
        if part.startswith("_"):
            break
        public.append(part)
    return [".".join(public) if public else parts[0].lstrip("_")]


def _hidden_builtin(thing: Any, qualname: str) -> str:
    # NoneType, mappingproxy and their like have a name in `types` alone.
    for name, value in sorted(vars(types).items()):
        if value is thing:
            return f"types:{name}"
    raise UnhashableValue(f"builtins.{qualname} has no name to import it by")


def is_at_its_name(cls: type) -> bool:
    """Return True if `cls` itself stands where its module and name say, or will in a moment."""
    found = resolve_loaded(cls.__module__, cls.__qualname__)
    return found is cls or (found is None and _is_initialising(cls.__module__))


def find_loaded(name: str) -> Any:
    """What `module:qualname` names in this process, without an import.

    Raises `ImportPathError` if its module is not loaded, or has nothing there.
    """
    module, _, qualname = str(name).partition(":")
    found = loaded(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise ImportPathError(f"{name!r} is not loaded")
    return found


def is_known(module: str) -> bool:
    """Return True if `module` is loaded, or has a file on the import path."""
    return module in sys.modules or _source_file(module) is not None


def is_in_source(module: str, qualname: str) -> bool:
    """Return True unless the source of `module` shows that it has no such class any more.

    A module that was loaded again keeps what its new source has not. Nothing is imported.
    """
    path = _source_file(module)
    if path is None:
        return True
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            source = file.read()
    except OSError:
        return not isinstance(sys.modules.get(module), types.ModuleType)
    name = re.escape(qualname.rpartition(".")[2])
    return re.search(rf"^\s*((class|def)\s+)?{name}\b", source, re.MULTILINE) is not None


def _source_file(module: str) -> str | None:
    """The file that holds the source of `module`, loaded or on the import path; None if unknown."""
    known = getattr(sys.modules.get(module), "__file__", None)
    if module in sys.modules:
        return known if isinstance(known, str) and known.endswith(".py") else None
    base = os.path.join(*module.split("."))
    for folder in sys.path:
        for end in (".py", f"{os.sep}__init__.py"):
            path = os.path.join(folder, base + end)
            if os.path.isfile(path):
                return path
    return None


def resolve_loaded(module: str, qualname: str) -> Any:
    """What stands at that name in a module that this process has loaded; None for nothing."""
    found: Any = sys.modules.get(module)
    if found is None and module.partition(".")[0] in sys.stdlib_module_names:
        try:
            found = importlib.import_module(module)
        except ImportError:
            return None
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _is_initialising(module: str) -> bool:
    # Asked while its own module is still being run: the name is bound in a moment.
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


_Successor = Callable[[str, str], Any]
_successors: list[_Successor] = []


def on_missing(successor: _Successor) -> None:
    """Ask `successor(module, qualname)` for what has taken the place of a name that is gone."""
    _successors.append(successor)


def find(name: str) -> Any:
    """Import `module:qualname`, as `import_name` wrote it, or what declares to have been that.

    Raises `ImportPathError` if it is gone.
    """
    given: object = name  # documents may hold anything there
    module, _, qualname = given.partition(":") if isinstance(given, str) else ("", "", "")
    if not all(module.split(".")) or not all(qualname.split(".")):
        raise ImportPathError(f"{name!r} is not of the form module:qualname")
    try:
        return _find(module, qualname)
    except ImportPathError:
        for successor in _successors:
            found = successor(module, qualname)
            if found is not None:
                return found
        raise


def _find(module: str, qualname: str) -> Any:
    found: Any = _import(module)
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except (Exception, SystemExit) as error:  # a module's __getattr__ may raise anything
            raise ImportPathError(
                f"module {module!r} has no {qualname!r} any more: was it moved or renamed?"
            ) from error
    return found


def _import(module: str) -> Any:
    main = sys.modules.get("__main__")
    if main is not None and loaded(module) is main:
        return main  # not run a second time under its other name
    try:
        return importlib.import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may do anything, and exit, while it is imported
        raise ImportPathError(
            f"module {module!r} cannot be imported ({type(error).__name__}: {error}):"
            " was it moved or renamed?"
        ) from error


def describe(value: object) -> str:
    """Say what kind of thing `value` is, for messages; never calls the value's own code."""
    cls = type(value)
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType):
        return f"function {value.__qualname__}"
    return f"{cls.__module__}.{cls.__qualname__} object"
