"""What one source file says: a digest of its code, what it imports, what it defines.

The digest ignores comments, docstrings, formatting and positions. It is made from the syntax tree,
without what a version of Python adds empty; so versions mostly agree, and where they may not, the
stored text is parsed again by the one that compares.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

MODULE_LEVEL = "module level"  # stands for the statements that define nothing
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IGNORED_FIELDS = frozenset({"kind", "type_comment", "type_ignores", "ctx"})


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was found in a file; without a tree it is no Python that this version reads."""

    digest: str
    tree: ast.Module | None = None

    def imports(self, module: str, is_package: bool) -> set[str]:
        """Return the names that may be modules, absolute: `from a import b` gives `a` and `a.b`.

        Imports inside of functions count, imports for type checkers do not.
        """
        package = module if is_package else module.rpartition(".")[0]
        found: set[str] = set()
        for node in _imports_in(self.tree) if self.tree is not None else ():
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif (base := _base_of(node, package)) is not None:
                found |= {base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)}
        return {name for name in found if name}

    def definitions(self) -> dict[str, str]:
        """Return name → digest of what the module defines: functions, classes, methods, names."""
        found: dict[str, list[str]] = {}
        if self.tree is not None:
            _collect(self.tree.body, "", found)
        return {name: _digest(parts) for name, parts in found.items()}

    def classes(self) -> dict[str, str]:
        """Return qualified name → digest of each class, and of each function at the top."""
        found: dict[str, str] = {}
        waiting = [("", node) for node in self.tree.body] if self.tree is not None else []
        while waiting:
            prefix, node = waiting.pop()
            if isinstance(node, ast.ClassDef) or (isinstance(node, _DEFINITIONS) and not prefix):
                found[f"{prefix}{node.name}"] = _digest(_words(node))
            if isinstance(node, ast.ClassDef):
                waiting += [(f"{prefix}{node.name}.", inner) for inner in node.body]
        return found


def parse(content: bytes) -> Parsed:
    """Parse a source file; what cannot be parsed has the digest of its bytes."""
    try:
        tree = ast.parse(content)
        return Parsed(_digest(_words(tree)), tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return of_bytes(content)


def of_bytes(content: bytes) -> Parsed:
    """Return what is known of a file that is no source: the digest of its bytes."""
    return Parsed(hashlib.blake2s(content, digest_size=16).hexdigest())


def _digest(words: list[str]) -> str:
    data = "\0".join(words).encode("utf-8", "surrogatepass")
    return hashlib.blake2s(data, digest_size=16).hexdigest()


def _words(node: ast.AST) -> list[str]:
    words: list[str] = []
    _write(node, words)
    return words


def _write(value: object, words: list[str]) -> None:
    if isinstance(value, ast.AST):
        words.append(f"{type(value).__name__}(")
        for name in value._fields:
            if name in _IGNORED_FIELDS:
                continue
            part = getattr(value, name, None)
            if name == "body" and isinstance(part, list):
                part = _without_docstring(value, part)
            if part is None and not isinstance(value, ast.Constant):
                continue
            if part == []:
                continue
            words.append(name)
            _write(part, words)
        words.append(")")
    elif isinstance(value, list):
        words.append("[")
        for item in value:
            _write(item, words)
        words.append("]")
    else:
        words.append(repr(value))


def _without_docstring(node: ast.AST, body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body and isinstance(node, (*_DEFINITIONS, ast.Module)) else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    if is_text and isinstance(first.value.value, str):  # type: ignore[union-attr]  # seen above
        # A body that is nothing else is as one of `pass`.
        return body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])
    return body


def _imports_in(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Give the imports of a module, looking into statements and not into expressions."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and _is_for_type_checkers(node.test):
            waiting += node.orelse
        else:
            for name in ("body", "orelse", "finalbody", "handlers", "cases"):
                waiting += getattr(node, name, None) or []


def _is_for_type_checkers(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _base_of(node: ast.ImportFrom, package: str) -> str | None:
    """Return the absolute name that a `from … import` starts at; None where it leaves the top."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    if node.level > len(parts) or not package:
        return None
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _collect(body: list[ast.stmt], prefix: str, found: dict[str, list[str]]) -> None:
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            shell = copy.copy(statement)
            shell.body = []
            found.setdefault(f"{prefix}{statement.name}", []).extend(_words(shell))
            inner = _without_docstring(statement, statement.body)
            _collect(inner, f"{prefix}{statement.name}.", found)
            continue
        names = _names_of(statement)
        if not names and _is_text(statement):
            continue
        for name in names or [""]:
            full = f"{prefix}{name}" if name else prefix.rstrip(".") or MODULE_LEVEL
            found.setdefault(full, []).extend(_words(statement))


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _names_of(statement: ast.stmt) -> list[str]:
    """Return the names that a statement defines; none for an expression, an import, an `if`."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return [statement.name]
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]
