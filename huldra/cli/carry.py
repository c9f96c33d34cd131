"""`huldra export` and `huldra import`: artifacts as one file, and back."""

from __future__ import annotations

import argparse
import os

from huldra.catalog import Catalog, presentation, reachability
from huldra.cli import output, targets
from huldra.cli.output import CommandError, UsageError
from huldra.store import archive
from huldra.store.location import prepare_root


def export(catalog: Catalog, options: argparse.Namespace) -> int:
    """Write a target's artifacts, and all that they need, to one tar file."""
    if len(catalog.roots) != 1:
        raise UsageError("export takes from one store; name one --root")
    (root,) = catalog.roots
    given: list[str] = [options.target, *options.words]
    words, out = given[:-1], given[-1]
    if not words or not out.endswith(".tar"):
        raise UsageError(f"name the file last, as TARGET out.tar; found {out!r}")
    target = targets.resolve(catalog, words)
    snapshot = catalog.snapshot(max_age_s=0)
    keys = sorted(reachability.needed_by(snapshot, target.keys.values()))
    rows = {key: snapshot.get(key) for key in keys}
    missing = [key for key, row in rows.items() if row is None or row.result_status != "success"]
    if missing:
        raise CommandError(
            f"{missing[0]} is not complete in {root}"
            + (f" (and {len(missing) - 1} more)" if len(missing) > 1 else "")
            + "; nothing was written. To see what is missing: huldra plan "
            + target.text
        )
    if found := reachability.unreadable(row for row in rows.values() if row is not None):
        raise CommandError(
            f"cannot tell what {found.key} needs: {found.directory}/.huldra/metadata.json is"
            " missing or unreadable; nothing was written"
        )
    paths = [os.path.relpath(row.directory, root) for row in rows.values() if row is not None]
    entries = archive.write(root, paths, out)
    size = presentation.size(sum(entry.size_bytes for entry in entries))
    if options.json:
        output.write_json({"out": out, "artifacts": keys, "files": len(entries)})
    else:
        output.write(
            f"{out}: {presentation.count(len(keys), 'artifact')},"
            f" {presentation.count(len(entries), 'file')}, {size}\n"
        )
    return 0


def import_(catalog: Catalog, options: argparse.Namespace) -> int:
    """Bring the artifacts of an export into the store, after all of it was checked."""
    if len(catalog.roots) != 1:
        raise UsageError("import writes into one store; name one --root")
    (root,) = catalog.roots
    taken = archive.take_in(root, options.archive, prepare_root)
    if options.json:
        output.write_json(taken)
        return 0
    output.write("".join(f"imported {path}\n" for path in taken.imported))
    output.write("".join(f"there already {path}\n" for path in taken.present))
    return 0
