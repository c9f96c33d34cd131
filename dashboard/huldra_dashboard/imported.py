"""Sweeps that the dashboard imports at its start, by option: the only user code it ever runs."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huldra.catalog import Snapshot, SweepMember
from huldra_dashboard.markup import plain


@dataclass(frozen=True)
class ImportedSweep:
    """The artifacts of a `HuldraList` by name, as keys; `problem` is why it was not imported."""

    name: str
    keys: tuple[tuple[str, str], ...] = ()
    problem: str = ""

    def members(self, snapshot: Snapshot) -> tuple[SweepMember, ...]:
        """Each artifact with its present state."""
        found = []
        for name, key in self.keys:
            row = snapshot.get(key)
            found.append(SweepMember(name, key, True, row.status if row else "absent", row))
        return tuple(found)


@functools.cache
def load(name: str) -> ImportedSweep:
    """Import `module:Class` once for the life of the process.

    Whatever the user's module raises becomes the `problem`: a typo must not take the pages down.
    """
    module, separator, attribute = name.partition(":")
    if not separator or not module or not attribute:
        return ImportedSweep(name, problem=f"--sweep wants module:Class, not {name!r}")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # as `python -m` would have it: the module is the user's
    try:
        target: Any = importlib.import_module(module)
        for part in attribute.split("."):
            target = getattr(target, part)
        keys = tuple((str(label), _key(one)) for label, one in target.items())
    except Exception as error:  # noqa: BLE001  user code may raise anything; it is shown
        return ImportedSweep(name, problem=f"{name}: {type(error).__name__}: {plain(error)}")
    return ImportedSweep(name, keys)


def _key(artifact: Any) -> str:
    """`<namespace>/<hash>`, which are the last three parts of the artifact's directory."""
    module, class_name, digest = Path(artifact.huldra_dir).parts[-3:]
    return f"{module}/{class_name}/{digest}"
