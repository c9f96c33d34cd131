"""`huldra cancel`, `huldra retry` and `huldra discard`: what is done to a target's artifacts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from huldra.catalog import Catalog, Row
from huldra.cli import output, run, targets
from huldra.cli.confirm import confirm
from huldra.cli.output import CommandError
from huldra.cli.targets import Target

_OPEN = ("queued", "running")
_NO_RESULT = ("failed", "crashed", "cancelled", "preempted", "stale")
_MAX_SHOWN = 10


def cancel(catalog: Catalog, options: argparse.Namespace) -> int:
    """Request the end of what is queued or running, in the store and at its engine."""
    import huldra

    target = _target(catalog, options)
    rows = _open_rows(catalog, target)
    if not rows:
        return _nothing(target, "is queued or running", options.json)
    if not _may(options, rows, "cancel"):
        return 0
    asked = huldra.cancel(row.key for row in rows)
    _write(asked, "cancelled", options.json)
    return 0


def _open_rows(catalog: Catalog, target: Target) -> list[Row]:
    """The open ones. Of a run those that it queued itself: others may want what they share."""
    snapshot = catalog.snapshot(max_age_s=0)
    keys = dict.fromkeys([*target.keys.values(), *target.needs])
    found = [row for key in keys if (row := snapshot.get(key)) and row.attempt_status in _OPEN]
    named, runs = target.named_keys, target.run_ids
    ours = [row for row in found if row.key in named or row.run_id in runs]
    for row in found:
        if row not in ours:
            whose = f"run {row.run_id}" if row.run_id else f"{row.user}@{row.hostname}"
            _say(f"left alone: {row.key} is {row.attempt_status} for {whose}")
    return ours


def discard(catalog: Catalog, options: argparse.Namespace) -> int:
    """Remove the target's artifacts; refused as a whole where one is queued or running."""
    import huldra

    target = _target(catalog, options)
    rows = target.rows(catalog)
    if not rows:
        return _nothing(target, "is in the store", options.json)
    busy = [row for row in rows if row.attempt_status in _OPEN]
    if busy:
        raise CommandError(
            f"{busy[0].key} is {busy[0].attempt_status} by {busy[0].user}@{busy[0].hostname}"
            + (f" (and {len(busy) - 1} more)" if len(busy) > 1 else "")
            + f"; nothing was removed. To end it: huldra cancel {busy[0].key}"
        )
    if not _may(options, rows, "discard"):
        return 0
    _write(huldra.discard(row.key for row in rows), "discarded", options.json)
    return 0


def retry(catalog: Catalog, options: argparse.Namespace) -> int:
    """Compute once more what has no result, here or on an engine, with what it needs."""
    target = _target(catalog, options)
    rows = [row for row in target.rows(catalog) if row.status in _NO_RESULT]
    if not rows:
        return _nothing(target, "failed, crashed or was cancelled", options.json)
    if not _may(options, rows, "retry"):
        return 0
    keys = {row.key for row in rows}
    names = {name: key for name, key in target.keys.items() if key in keys}
    configs = target.configs()
    chosen = Target(target.words, target.found, names, {name: configs[name] for name in names})
    return run.compute(chosen, options)


def _target(catalog: Catalog, options: argparse.Namespace) -> Target:
    return targets.resolve(catalog, [options.target, *options.words])


def _may(options: argparse.Namespace, rows: Sequence[Row], verb: str) -> bool:
    """Show what is meant where it is more than one; return False for a dry run."""
    if len(rows) > 1 or options.dry_run:
        _say(f"to {verb}, {len(rows)} artifacts:")
        for row in rows[:_MAX_SHOWN]:
            _say(f"  {row.status:<10} {row.key}")
        if len(rows) > _MAX_SHOWN:
            _say(f"  … and {len(rows) - _MAX_SHOWN} more")
    if options.dry_run:
        return False
    if len(rows) > 1 and not options.yes:
        confirm(f"{verb} {len(rows)}?", "nothing was changed")
    return True


def _nothing(target: Target, what: str, as_json: bool) -> int:
    if as_json:
        output.write_json([])
    else:
        output.write(f"{target.found}: nothing of it {what}\n")
    return 0


def _write(keys: Sequence[str], what: str, as_json: bool) -> None:
    if as_json:
        output.write_json(list(keys))
    else:
        output.write("".join(f"{what} {key}\n" for key in keys))


def _say(line: str) -> None:
    sys.stderr.write(f"{output.clean(line)}\n")
