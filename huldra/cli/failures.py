"""`huldra failures`: what failed, grouped by cause, with the fields that a group shares."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping

from huldra.catalog import Catalog, FailureGroup, Snapshot
from huldra.cli import output

_MAX_SHOWN = 5
_MESSAGE_CHARACTERS = 300
_DEPTH = 2


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """Print the groups, the largest first; exit code 0 also where nothing failed."""
    snapshot = catalog.snapshot(max_age_s=0)
    groups = snapshot.failures()
    if options.json:
        output.write_json([_as_json(snapshot, group) for group in groups])
        return 0
    if not groups:
        output.write(f"nothing failed in {', '.join(catalog.roots)}\n")
    for group in groups:
        output.write(_text(snapshot, group) + "\n")
    return 0


def shared_fields(snapshot: Snapshot, group: FailureGroup) -> Mapping[str, object]:
    """Return the config fields with one value in all failures of the group, and another elsewhere.

    Artifacts of the same classes that did not fail are what the group is compared with. Empty
    where there are none, since then every field would count.
    """
    failed = {row.key for row in group.rows}
    others = [
        row
        for row in snapshot.rows
        if row.namespace in group.namespaces and row.key not in failed and row.config is not None
    ]
    if not others:
        return {}
    found = {}
    for path in snapshot.config_fields(group.rows, depth=_DEPTH):
        values = {_text_of(snapshot.config_value(row, path)) for row in group.rows}
        rest = {_text_of(snapshot.config_value(row, path)) for row in others}
        if len(values) == 1 and not values & rest:
            found[path] = snapshot.config_value(group.rows[0], path)
    return found


def _text_of(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _text(snapshot: Snapshot, group: FailureGroup) -> str:
    message = " ".join(group.sample_message.split())[:_MESSAGE_CHARACTERS]
    where = f" at {group.place}" if group.place else ""
    lines = [f"{group.count} × {group.error_type}{where}: {message}"]
    shared = shared_fields(snapshot, group)
    if shared:
        pairs = ", ".join(f"{path}={output.value_text(value)}" for path, value in shared.items())
        lines.append(f"  only these have: {pairs}")
    lines += [f"  {row.key}" for row in group.rows[:_MAX_SHOWN]]
    if group.count > _MAX_SHOWN:
        lines.append(f"  and {group.count - _MAX_SHOWN} more")
    return "\n".join(output.clean(line) if line.strip() else line for line in lines)


def _as_json(snapshot: Snapshot, group: FailureGroup) -> dict[str, object]:
    return {
        "error_type": group.error_type,
        "place": group.place,
        "count": group.count,
        "first_seen": group.first_seen,
        "last_seen": group.last_seen,
        "sample_message": group.sample_message,
        "shared_fields": dict(shared_fields(snapshot, group)),
        "keys": [row.key for row in group.rows],
    }
