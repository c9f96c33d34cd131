"""Run one example by name, or list them all."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

import examples


def _source(name: str) -> str:
    return Path(examples.__path__[0], f"{name}.py").read_text(encoding="utf-8")


def names() -> list[str]:
    """Name every example of this package: the modules that have a `main`."""
    modules = [m.name for m in pkgutil.iter_modules(examples.__path__) if m.name[0] != "_"]
    return [name for name in modules if "\ndef main(" in _source(name)]


def summary(name: str) -> str:
    """Read the first line of an example's docstring, without importing what it needs."""
    return (ast.get_docstring(ast.parse(_source(name))) or "").partition("\n")[0]


def main(argv: Sequence[str]) -> int:
    """Run the example that `argv` names with the rest of `argv`; without one, list them."""
    if argv and argv[0] in names():
        sys.argv = [f"examples.{argv[0]}", *argv[1:]]
        importlib.import_module(f"examples.{argv[0]}").main()
        return 0
    for name in names():
        print(f"{name:14} {summary(name)}")
    if argv:
        print(f"no example is called {argv[0]!r}", file=sys.stderr)
    return 2 if argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
