"""`huldra checkout`: the code that was frozen when an artifact was submitted, in a folder."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any

from huldra.catalog import Catalog, Row
from huldra.cli import output
from huldra.cli.output import CommandError
from huldra.cli.resolve import the_artifact
from huldra.provenance import frozen


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """Restore the frozen trees of an artifact's last attempt below a new or empty folder."""
    row = the_artifact(catalog, options.artifact)
    trees = frozen_trees(catalog.detail(row).metadata)
    if not trees:
        raise CommandError(_why_none(row))
    folder = os.path.abspath(options.directory)
    if os.path.lexists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise CommandError(f"{folder} exists and is not empty; name a new folder")
    os.makedirs(folder, exist_ok=True)
    for top, place in zip(trees, _places(list(trees), folder), strict=True):
        os.makedirs(place, exist_ok=True)
        frozen.restore(row.root, frozen.load(row.root, trees[top], top), place)
        output.write(f"{output.clean(top)} as it was at submission: {output.clean(place)}\n")
    return 0


def frozen_trees(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """Return folder → digest of its frozen tree, as `metadata.json` has it; empty without one."""
    named = (metadata or {}).get("code_frozen")
    return {str(k): str(v) for k, v in named.items()} if isinstance(named, Mapping) else {}


def _places(tops: list[str], folder: str) -> list[str]:
    """Return a folder for each tree: the one asked for, or, of several trees, folders in it."""
    if len(tops) == 1:
        return [folder]
    names = [os.path.basename(top) for top in tops]
    return [
        f"{folder}/{name}" if names.count(name) == 1 else f"{folder}/{name}-{number}"
        for number, name in enumerate(names, 1)
    ]


def _why_none(row: Row) -> str:
    return (
        f"no frozen code is recorded for {row.key}: HULDRA_FREEZE was off, or it was computed where"
        f" nothing is frozen; `huldra show {row.digest[:12]}` names the commit, and"
        " `huldra show --code` shows what differs"
    )
