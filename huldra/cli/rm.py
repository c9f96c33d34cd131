"""`huldra rm`: the only command that changes a store."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence

from huldra.catalog import Catalog, Litter, Relation, Row, presentation
from huldra.cli import output
from huldra.cli.confirm import confirm
from huldra.cli.output import CommandError
from huldra.cli.resolve import the_artifact
from huldra.errors import HuldraStoreError
from huldra.store import files
from huldra.store.claim import server_time
from huldra.store.layout import ArtifactPaths

_MAX_SHOWN = 10
_MANY = 5
_ALIVE = ("queued", "running")
_REMOVABLE = ("temporary", "trash", "empty", "run")


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """Remove what the options name, after asking."""
    rows = _rows(catalog, options.artifact)
    litter = _litter(catalog) if options.litter else []
    if not rows and not litter:
        if options.litter:
            output.write("nothing to remove\n" if not options.json else "[]\n")
            return 0
        raise CommandError("name an ARTIFACT to remove, or pass --litter")
    if not options.force:
        _refuse_open(catalog, rows)
    _announce(catalog, rows, litter)
    if options.dry_run:
        return 0
    if not options.yes:
        confirm(f"remove {len(rows) + len(litter)}?", "nothing was removed")
    removed = [*_remove_rows(catalog, rows, options.force), *_remove_litter(litter)]
    if options.json:
        output.write_json(removed)
    return 0 if len(removed) == len(rows) + len(litter) else 1


def _rows(catalog: Catalog, names: Sequence[str]) -> list[Row]:
    """The artifacts that are named, each once."""
    wanted = [
        name
        for given in names
        for name in ((line.strip() for line in sys.stdin) if given == "-" else (given,))
        if name
    ]
    # One scan knows many keys; a few names are found without reading the whole store.
    known = catalog.snapshot() if len(wanted) > _MANY else None
    rows = [(known and known.get(name)) or the_artifact(catalog, name) for name in wanted]
    return list({row.directory: row for row in rows}.values())


def _litter(catalog: Catalog) -> list[Litter]:
    # Foreign files may be of value: the dashboard shows them, and they are never removed here.
    return [item for item in catalog.litter() if item.kind in _REMOVABLE]


def _refuse_open(catalog: Catalog, rows: Iterable[Row]) -> None:
    busy = [now for row in rows if (now := _judged_now(catalog, row)).attempt_status in _ALIVE]
    if busy:
        first = busy[0]
        raise CommandError(
            f"{first.key} is {first.attempt_status} by {first.user}@{first.hostname}"
            + (f" ({first.unconfirmed})" if first.unconfirmed else "")
            + (f" (and {len(busy) - 1} more)" if len(busy) > 1 else "")
            + "; nothing was removed: cancel it first, or pass --force"
        )


def _judged_now(catalog: Catalog, row: Row) -> Row:
    """The artifact as it is at this moment.

    This command may write, so it asks the file server for its clock where a lease decides.
    """
    now = catalog.detail(row).row
    if not now.stale_reason and not now.unconfirmed:
        return now
    return catalog.detail(row, server_time_s=server_time(ArtifactPaths(row.directory))).row


def _announce(catalog: Catalog, rows: Sequence[Row], litter: Sequence[Litter]) -> None:
    """Say on stderr what would go, and who needs it."""
    total = sum(usage.size_bytes for usage in catalog.usage(rows))
    total += sum(item.size_bytes for item in litter)
    _say(f"{len(rows)} artifacts and {len(litter)} leftovers, {presentation.size(total)}:")
    for row in rows[:_MAX_SHOWN]:
        _say(f"  {row.status:<10} {row.directory}")
    if len(rows) > _MAX_SHOWN:
        _say(f"  … and {len(rows) - _MAX_SHOWN} more")
    dependents = _dependents(catalog, rows)
    if dependents:
        _say(f"{len(dependents)} artifacts depend on them and stay:")
        for relation in dependents[:_MAX_SHOWN]:
            _say(f"  {relation.key} ({relation.field})")


def _dependents(catalog: Catalog, rows: Sequence[Row]) -> list[Relation]:
    if not rows:
        return []
    snapshot = catalog.snapshot()
    going = {(row.root, row.key) for row in rows}
    found = {
        (relation.row.root, relation.key): relation
        for row in rows
        for relation in snapshot.relationships(row).dependents
        if relation.row is not None
    }
    return [relation for place, relation in found.items() if place not in going]


def _remove_rows(catalog: Catalog, rows: Iterable[Row], force: bool) -> list[str]:
    removed = []
    for row in rows:
        now = _judged_now(catalog, row)  # it may have started while we asked
        if now.attempt_status in _ALIVE and not force:
            _say(f"kept {row.directory}: it is {now.attempt_status} now")
            continue
        if _remove(row.directory):
            removed.append(row.directory)
    return removed


def _remove_litter(litter: Iterable[Litter]) -> list[str]:
    return [item.path for item in litter if _remove(item.path)]


def _remove(path: str) -> bool:
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            files.remove_tree(path)
        else:
            os.unlink(path)
    except (HuldraStoreError, OSError) as error:
        _say(str(error))
        return False
    return True


def _say(line: str) -> None:
    sys.stderr.write(f"{output.clean(line)}\n")
