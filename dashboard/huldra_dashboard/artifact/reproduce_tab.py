"""Tab Reproduce: lines to copy that load, remake or find this artifact."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import streamlit as st

from huldra.catalog import Detail, Row, Snapshot
from huldra.provenance.command import recorded_command
from huldra_dashboard import source
from huldra_dashboard.markup import plain

_MOST_IMPORTS = 40


def show(row: Row, snapshot: Snapshot) -> None:
    """Draw the tab."""
    detail = source.catalog().detail(row)
    st.markdown("**In Python**: loads it, or makes it where it is missing")
    st.code(python_lines(detail, snapshot), language="python", wrap_lines=True)
    st.markdown("**The same code**")
    st.code(checkout_lines(detail), language="bash", wrap_lines=True)
    command = str((detail.metadata or {}).get("command") or "")
    if command:
        st.markdown("**The command that made it**")
        st.code(recorded_command(command), language="bash", wrap_lines=True)
    st.markdown("**In a shell**")
    root = shlex.quote(row.root)
    st.code(
        f"huldra show --root {root} {row.digest}\n"
        f"huldra logs --root {root} {row.digest}\n"
        f"cd {shlex.quote(row.directory)}",
        language="bash",
        wrap_lines=True,
    )


def python_lines(detail: Detail, snapshot: Snapshot) -> str:
    """Imports, the definition, and the call; a hint where the definition is not recorded."""
    row = detail.row
    if not detail.python_def:
        return f"# the definition of {plain(row.key)} is not recorded"
    return "\n".join(
        [
            *_imports(_namespaces(row, snapshot)),
            "",
            f"artifact = {detail.python_def}",
            "artifact.load_or_create()",
        ]
    )


def _imports(namespaces: set[str]) -> list[str]:
    """The lines that bring the classes (of nested ones, the outermost) into reach."""
    by_module: dict[str, set[str]] = {}
    for namespace in namespaces:
        module, _, name = plain(namespace).rpartition("/")
        by_module.setdefault(module, set()).add(name.split(".")[0])
    return [
        f"from {module} import {', '.join(sorted(names))}"
        for module, names in sorted(by_module.items())
    ]


def _namespaces(row: Row, snapshot: Snapshot) -> set[str]:
    """The classes that occur in the definition: of the artifact and of all it is made from."""
    found = {row.namespace}
    to_see = [row]
    seen = {row.key}
    while to_see and len(found) < _MOST_IMPORTS:
        current = to_see.pop()
        for key in references(current.config):
            found.add(key.rpartition("/")[0])
            other = snapshot.get(key, row.root)
            if other is not None and key not in seen:
                seen.add(key)
                to_see.append(other)
    return found


def references(value: Any) -> Iterator[str]:
    """The keys of all artifacts that stand in a config."""
    if isinstance(value, Mapping):
        if set(value) == {"$ref"}:
            yield str(value["$ref"])
        else:
            for item in value.values():
                yield from references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)


def checkout_lines(detail: Detail) -> str:
    """The git commands that bring the code back as it was."""
    metadata = detail.metadata or {}
    commit = metadata.get("git_commit")
    if not commit:
        return f"# {metadata.get('git_error') or 'the commit is not recorded'}".replace("\n", " ")
    lines = [f"git checkout {shlex.quote(str(commit))}"]
    if detail.git_patch_size:
        lines.append(f"git apply {shlex.quote(detail.row.directory + '/.huldra/git.patch')}")
    if metadata.get("git_untracked"):
        lines.append("# files that git does not track are not recorded")
    return "\n".join(lines)
