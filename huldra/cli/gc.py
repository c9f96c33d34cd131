"""`huldra gc`: what of a store may go, and its way into the trash and back."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from huldra.catalog import Catalog, Row, Snapshot, code_leftovers, presentation, reachability
from huldra.catalog.storage import MIN_AGE_S
from huldra.cli import output, targets
from huldra.cli.confirm import confirm
from huldra.cli.output import CommandError, UsageError
from huldra.store import claim, trash
from huldra.store.layout import RUNS, ArtifactPaths

_MAX_SHOWN = 20
_NO_RESULT = ("failed", "incomplete", "absent")
_CODE = "code that nothing refers to"
_LEFTOVERS = ("temporary", "trash", "empty", "run")


@dataclass(frozen=True)
class Going:
    """One path below the root that may go: why, how large it is, and what it took to compute."""

    path: str
    what: str
    reason: str
    size_bytes: int
    duration_s: float | None = None
    attempt: int | None = None


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """Show what may go; with --yes move it into the trash."""
    if len(catalog.roots) != 1:
        raise UsageError("gc looks after one store; name one --root")
    (root,) = catalog.roots
    if options.undo:
        return _undo(root, options.json)
    if options.empty:
        return _empty(root, options)
    kept = _kept(catalog, options.keep)
    going = _going(catalog, options, kept)
    if options.yes and going:
        moved = _move(catalog, root, going)
        _write(moved, options.json, "moved into the trash; `huldra gc --undo` puts it back")
        return 0 if len(moved) == len(going) else 1
    _write(going, options.json, "would go; nothing was changed: pass --yes to move it to the trash")
    return 0


# ---- what stays ---------------------------------------------------------------------------------


def _kept(catalog: Catalog, words: Iterable[str]) -> set[str]:
    """The keys of all that the `--keep` targets name, and of what their configs hold."""
    keys = set[str]()
    for given in words:
        target = targets.resolve(catalog, shlex.split(given) or [""])
        keys.update(target.keys.values(), target.needs)
        if target.built is not None:
            keys |= _keys_below(target.built.values())
    return keys


def _keys_below(configs: Iterable[Any]) -> set[str]:
    """The keys of configs and of all that they hold or depend on."""
    from huldra.config.hashing import children_of, key_of

    pending, keys = list(configs), set[str]()
    while pending:
        config = pending.pop()
        if (key := key_of(config)) not in keys:
            keys.add(key)
            pending += [child for _, child in children_of(config)]
            pending += config._dependencies()  # noqa: SLF001  part of the protocol of a Huldra class
    return keys


# ---- what goes ----------------------------------------------------------------------------------


def _going(catalog: Catalog, options: argparse.Namespace, kept: set[str]) -> list[Going]:
    snapshot = catalog.snapshot(max_age_s=0)
    if snapshot.problems:
        raise CommandError(
            f"a part of the store cannot be listed, so what needs what is unknown:"
            f" {snapshot.problems[0]}; nothing was changed"
        )
    stays = kept | reachability.in_use(snapshot, catalog.sweeps())
    candidates = _candidates(snapshot, options, reachability.needed_by(snapshot, stays))
    rows = reachability.may_go(snapshot, candidates, stays)
    reason = _reason(options)
    if options.max_size is not None:
        sizes = {one.row.key: one.size_bytes for one in catalog.usage(snapshot.rows)}
        rows = reachability.oldest_above(snapshot, rows, sizes, options.max_size)
    if rows:
        _refuse_unreadable(snapshot, {row.key for row in rows})
    found = [
        Going(
            _below(catalog.roots[0], one.row.directory),
            one.row.key,
            reason,
            one.size_bytes,
            one.row.duration_s if one.row.result_status == "success" else None,
            one.row.attempt_number,
        )
        for one in catalog.usage(rows)
    ]
    return [*found, *_leftovers(catalog, {row.key for row in rows}, snapshot)]


def _refuse_unreadable(snapshot: Snapshot, going: set[str]) -> None:
    """Refuse where something stays of which nothing tells what it needs: that might be among it."""
    found = reachability.unreadable(row for row in snapshot.rows if row.key not in going)
    if found is not None:
        raise CommandError(
            f"cannot tell what {found.key} needs, which stays:"
            f" {found.directory}/.huldra/metadata.json is missing or unreadable; nothing was"
            f" changed. If it may go: huldra discard {found.key}"
        )


def _candidates(snapshot: Snapshot, options: argparse.Namespace, reached: set[str]) -> list[Row]:
    if not (
        options.failed or options.older_than or options.unreachable or options.max_size is not None
    ):
        raise UsageError(
            "say what may go: --unreachable (with --keep), --failed, --older-than 30d, --max-size"
            " 500G; several narrow it down"
        )
    if options.unreachable and not options.keep:
        raise UsageError("--unreachable needs --keep TARGET: without one, everything would go")
    rows = [row for row in snapshot.rows if not row.is_open]
    if options.failed:
        rows = [row for row in rows if row.result_status in _NO_RESULT]
    if options.older_than:
        rows = [row for row in rows if row.updated_at and row.updated_at < options.older_than]
    if options.unreachable:
        rows = [row for row in rows if row.key not in reached]
    return rows


def _reason(options: argparse.Namespace) -> str:
    reasons = {
        "no result": options.failed,
        "old": options.older_than,
        "not reached from what is kept": options.unreachable,
        "oldest above --max-size": options.max_size is not None,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


def _leftovers(catalog: Catalog, going: set[str], snapshot: Snapshot) -> list[Going]:
    """Leftovers of crashes, records of runs of which no artifact stays, and code of nothing."""
    (root,) = catalog.roots
    found = [
        Going(_below(root, item.path), item.path, f"leftover: {item.kind}", item.size_bytes)
        for item in catalog.litter()
        if item.kind in _LEFTOVERS and item.age_s > MIN_AGE_S
    ]
    here = {row.key for row in snapshot.rows}
    for sweep in catalog.sweeps():
        keys = {member.key for member in sweep.members} & here
        if keys and keys <= going:
            found.append(Going(f"{RUNS}/{sweep.run_id}", sweep.run_id, "run without artifacts", 0))
    found += [
        Going(_below(root, item.path), item.path, _CODE, item.size_bytes)
        for item in code_leftovers.unreferenced(root)
    ]
    return [one for one in found if not _is_in(one.path, going)]


def _is_in(path: str, going: set[str]) -> bool:
    """Return True if a path below the root is inside an artifact that goes as a whole."""
    parts = path.split("/")
    return len(parts) > 4 and "/".join(parts[1:4]) in going


def _below(root: str, path: str) -> str:
    return os.path.relpath(path, root)


# ---- the trash ----------------------------------------------------------------------------------


def _move(catalog: Catalog, root: str, going: Sequence[Going]) -> list[Going]:
    """Move into the trash what is still as it was seen, and put back what has come into use."""
    name = trash.new(root, [one.path for one in going])
    moved = [one for one in going if _is_as_seen(root, one) and trash.move(root, name, one.path)]
    # A process may have begun something that needs them since we looked: then it has not got far,
    # and finds them again. One that begins from now on does not find them, and computes them.
    snapshot = catalog.snapshot(max_age_s=0)
    used = reachability.in_use(snapshot, catalog.sweeps())
    if reachability.unreadable(row for row in snapshot.rows if row.key in used) is not None:
        used |= {one.what for one in moved}  # it has just begun, and may need any of them
    taken = [one for one in moved if one.what in used or not _is_as_seen(root, one, name)]
    taken += _code_in_use(root, name, [one for one in moved if one.reason == _CODE])
    trash.put_back(root, name, [one.path for one in taken])
    for one in going:
        if one not in moved or one in taken:
            _say(f"kept {one.what}: it came into use meanwhile")
    return [one for one in moved if one not in taken]


def _is_as_seen(root: str, one: Going, name: str = "") -> bool:
    """Return True if no attempt was opened since; `name` is the move that it lies in."""
    if one.attempt is None:  # a leftover
        return True
    base = f"{root}/{trash.TRASH}/{name}" if name else root
    return claim.last_number(ArtifactPaths(f"{base}/{one.path}")) == one.attempt


def _code_in_use(root: str, name: str, moved: Sequence[Going]) -> Sequence[Going]:
    """Return all code that was moved, where something refers to any of it by now."""
    paths = [one.path for one in moved]
    is_unused = code_leftovers.are_unreferenced(root, f"{root}/{trash.TRASH}/{name}", paths)
    return [] if is_unused else moved


def _undo(root: str, as_json: bool) -> int:
    found = trash.names(root)
    if not found:
        raise CommandError(f"the trash of {root} is empty")
    back, left = trash.put_back(root, found[-1])
    if as_json:
        output.write_json({"back": back, "left": left})
    else:
        output.write("".join(f"back: {path}\n" for path in back))
    for path in left:
        _say(f"left in {root}/{trash.TRASH}/{found[-1]}: {path} was computed again meanwhile")
    return 1 if left else 0


def _empty(root: str, options: argparse.Namespace) -> int:
    found = trash.names(root)
    if found and not options.yes:
        confirm(f"remove {len(found)} moves from the trash for good?", "nothing was removed")
    for name in found:
        trash.empty(root, name)
    if options.json:
        output.write_json(found)
    else:
        output.write(f"emptied: {len(found)} moves\n")
    return 0


# ---- what is shown ------------------------------------------------------------------------------


def _write(going: Sequence[Going], as_json: bool, what: str) -> None:
    if as_json:
        output.write_json(list(going))
        return
    shown = going if not output.is_terminal() else going[:_MAX_SHOWN]
    lines = [
        (
            presentation.size(one.size_bytes),
            presentation.duration(one.duration_s),
            _shown(one),
            one.reason,
        )
        for one in shown
    ]
    output.write_table(("size", "took", "what", "why"), lines)
    if len(shown) < len(going):
        output.write(f"and {len(going) - len(shown)} more\n")
    size = presentation.size(sum(one.size_bytes for one in going))
    took = presentation.duration(sum(one.duration_s or 0.0 for one in going))
    output.write(f"\n{len(going)} things, {size}, {took or '0 s'} to compute again: {what}\n")


def _shown(one: Going) -> str:
    """What it is, short enough for a terminal."""
    if one.attempt is None or not output.is_terminal():
        return one.what
    namespace, _, digest = one.what.rpartition("/")
    return f"{namespace.rpartition('/')[2]} {digest[:12]}"


def _say(line: str) -> None:
    sys.stderr.write(f"{output.clean(line)}\n")
