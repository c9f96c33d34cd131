"""Freezing the code of a run at its submission, so that what was submitted is what runs."""

from __future__ import annotations

import os
from typing import Any

from huldra.engines.protocol import Capabilities
from huldra.errors import HuldraStoreError
from huldra.provenance import frozen
from huldra.provenance.frozen import FrozenTree
from huldra.provenance.project_tree import trees_of
from huldra.provenance.sources import Code
from huldra.settings import HULDRA_CONFIG
from huldra.store.location import prepare_root


def frozen_code(code: Code, capabilities: Capabilities) -> list[dict[str, Any]]:
    """Keep a copy of the project in the store, where `HULDRA_FREEZE` and the engine want one.

    Returns what the run record says of it. Raises `HuldraRefused` for a project over the limit, and
    `HuldraStoreError` for one that is written to at this moment, or that the store does not take.
    """
    if not _is_wanted(capabilities):
        return []
    trees = trees_of(code.sources, HULDRA_CONFIG.root)
    frozen.refuse_too_large(trees)
    found = [(tree, frozen.read_tree(tree)) for tree in trees]
    for _, copy in found:
        _refuse_edited(code, copy)
    prepare_root()
    return [
        {"top": tree.top, "tree": frozen.keep(copy), "import_roots": list(tree.import_roots)}
        for tree, copy in found
    ]


def _is_wanted(capabilities: Capabilities) -> bool:
    if not capabilities.isolates:
        return False  # nodes run in a process that has the driver's code, or keeps what it imports
    mode = HULDRA_CONFIG.freeze
    return mode == "on" or (mode == "auto" and capabilities.survives_driver)


def _refuse_edited(code: Code, copy: FrozenTree) -> None:
    """Raise if a module was edited since the code of this run was looked at, a moment ago."""
    for source in code.sources.values():
        one = copy.files.get(os.path.relpath(source.file, copy.top))
        if one is not None and one.digest != source.digest:
            raise HuldraStoreError(
                f"{source.file} was edited while this run was submitted; nothing was submitted;"
                " submit again",
                directory=copy.top,
            )
