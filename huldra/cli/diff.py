"""`huldra diff`: the config fields in which two artifacts differ."""

from __future__ import annotations

import argparse

from huldra.catalog import Catalog, Row, Snapshot
from huldra.cli import output
from huldra.cli.resolve import the_artifact

_DEPTH = 8


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """Print one line a field that differs; exit code 0 where none does, too."""
    one = the_artifact(catalog, options.one)
    other = the_artifact(catalog, options.other)
    found = differences(catalog.snapshot(), one, other)
    if options.json:
        output.write_json([{"field": path, "one": a, "other": b} for path, (a, b) in found.items()])
        return 0
    if not found:
        output.write(f"{one.key} and {other.key} have equal configs\n")
        return 0
    lines = [[path, output.value_text(a), output.value_text(b)] for path, (a, b) in found.items()]
    output.write_table(("field", one.label, other.label), lines)
    return 0


def differences(snapshot: Snapshot, one: Row, other: Row) -> dict[str, tuple[object, object]]:
    """Return field → the two values, for all fields that differ, through nested artifacts.

    A field that only one of them has is None in the other. The class counts as a field, `class`.
    """
    found: dict[str, tuple[object, object]] = {}
    if one.namespace != other.namespace:
        found["class"] = (one.namespace, other.namespace)
    for path in snapshot.varying_fields([one, other], depth=_DEPTH):
        found[path] = (snapshot.config_value(one, path), snapshot.config_value(other, path))
    return found
