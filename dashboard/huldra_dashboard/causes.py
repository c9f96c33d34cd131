"""Why artifacts failed: what failed first, what the failures share, and the frames that matter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from huldra.catalog import FailureGroup, Row, Snapshot
from huldra.catalog.config_fields import flatten, same

_MOST_STEPS = 100
_MOST_LOOKED_AT = 500  # rows of each side that fields are compared in
_MOST_SHARED = 6
_FRAME = re.compile(r'^  File "(?P<path>[^"\n]*)", line \d+')
_OURS = re.compile(
    r"[/\\]huldra[/\\](?:(?:attempts|worker|scheduling|engines|store|logs|config|results)[/\\]\w+"
    r"|base|collection|functions)\.py$"
)


def root_of(row: Row, snapshot: Snapshot) -> Row | None:
    """The artifact that failed first, along the chain of failed dependencies.

    None where the row failed by itself, or where the chain leads out of the store.
    """
    seen = {row.key}
    found = None
    while row.failed_key and row.failed_key not in seen and len(seen) < _MOST_STEPS:
        seen.add(row.failed_key)
        following = snapshot.get(row.failed_key, row.root)
        if following is None:
            break
        row = found = following
    return found


def is_consequence(group: FailureGroup) -> bool:
    """Return True if all of the group failed because a dependency did."""
    return all(row.failed_key for row in group.rows)


def dependents_by_root(groups: Iterable[FailureGroup], snapshot: Snapshot) -> dict[str, list[Row]]:
    """Key of what failed first → what failed because of it."""
    found: dict[str, list[Row]] = {}
    for group in groups:
        for row in group.rows:
            if row.failed_key and (root := root_of(row, snapshot)) is not None:
                found.setdefault(root.key, []).append(row)
    return found


def shared_fields(failed: Sequence[Row], snapshot: Snapshot) -> list[tuple[str, object]]:
    """The fields that all these failures have alike, and no complete artifact of their classes.

    Nothing for a single failure, and nothing where nothing of these classes is complete: every
    field would then seem to be the cause.
    """
    classes = {row.namespace for row in failed}
    complete = [
        row for row in snapshot.rows if row.namespace in classes and row.result_status == "success"
    ]
    if len(failed) < 2 or not complete:
        return []
    first, *others = [_fields(row, snapshot) for row in failed[:_MOST_LOOKED_AT]]
    alike = {
        path: value
        for path, value in first.items()
        if all(path in other and same(value, other[path]) for other in others)
    }
    for row in complete[:_MOST_LOOKED_AT]:
        made = _fields(row, snapshot)
        alike = {p: v for p, v in alike.items() if not (p in made and same(v, made[p]))}
    return list(alike.items())[:_MOST_SHARED]


def _fields(row: Row, snapshot: Snapshot) -> dict[str, object]:
    return flatten(row.config or {}, 2, snapshot.config_of)


def without_our_frames(traceback: str) -> str:
    """The traceback with huldra's own frames folded into one line that counts them."""
    lines: list[str] = []
    folded = 0
    is_ours = False
    for line in traceback.splitlines():
        frame = _FRAME.match(line)
        if frame:
            is_ours = bool(_OURS.search(frame["path"]))
            folded += is_ours
        elif not line.startswith("    "):
            is_ours = False
        if is_ours:
            continue
        if folded:
            lines.append(f"  … {folded} of huldra's own frames")
            folded = 0
        lines.append(line)
    return "\n".join(lines)
