"""`huldra sweeps`: every recorded run with its state, or the members of one."""

from __future__ import annotations

import argparse

from huldra.catalog import Catalog, Sweep, presentation
from huldra.cli import output
from huldra.errors import HuldraArtifactMissing, HuldraQueryError

_COLUMNS = ("run", "name", "engine", "created", "state", "complete", "failed", "left")
_MEMBER_COLUMNS = ("name", "status", "artifact", "error")


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """List the runs, the newest first, or what one run was to compute."""
    if options.run_id:
        return _show_members(the_sweep(catalog, options.run_id), options)
    sweeps = catalog.sweeps()[: options.limit or None]
    if options.json:
        output.write_json([as_json(sweep) for sweep in sweeps])
        return 0
    note = f"{len(sweeps)} runs in {', '.join(catalog.roots)}"
    output.write_table(_COLUMNS, [_line(sweep) for sweep in sweeps], output.clean(note))
    return 0


def the_sweep(catalog: Catalog, text: str) -> Sweep:
    """Return the run that `text` means: an id or its beginning, or the newest run of a name.

    Raises `CommandError` when there is none, or more than one.
    """
    try:
        return catalog.run(text)
    except (HuldraArtifactMissing, HuldraQueryError) as error:
        raise output.CommandError(str(error)) from None


def _show_members(sweep: Sweep, options: argparse.Namespace) -> int:
    """Print a line a member, by its name; those that only others need come last, nameless."""
    if options.json:
        output.write_json(as_json(sweep))
        return 0
    lines = [
        [
            member.name,
            member.status,
            member.key,
            presentation.error_text(member.row, on_one_line=True) if member.row else "",
        ]
        for member in sweep.members
    ]
    note = f"{sweep.run_id}: {state_of(sweep)}, {sweep.done} of {sweep.total} complete"
    output.write_table(_MEMBER_COLUMNS, lines, output.clean(note))
    return 0


def state_of(sweep: Sweep) -> str:
    """Return how a run stands, in a word or two.

    `running` while a member is queued or running, `finished` once all are complete, `finished, 3
    failed` where some failed and nothing moves, `stopped` where members are left that nobody
    computes any more. What is no run and has nothing on disk is `never made`.
    """
    if sweep.problem:
        return "unreadable"
    if sweep.counts.get("running", 0) + sweep.counts.get("queued", 0):
        return "running"
    if sweep.done == sweep.total:
        return "finished"
    if not sweep.run_id and sweep.counts.get("absent") == sweep.total:
        return "never made"
    failed = sweep.counts.get("failed", 0)
    if failed and failed + sweep.done == sweep.total:
        return f"finished, {failed} failed"
    return "stopped"


def _line(sweep: Sweep) -> list[str]:
    return [
        sweep.run_id,
        sweep.name or "–",
        sweep.engine,
        output.age(sweep.created_at),
        state_of(sweep),
        f"{sweep.done}/{sweep.total}",
        str(sweep.counts.get("failed", 0)),
        "" if sweep.eta_s is None else presentation.duration(sweep.eta_s),
    ]


def as_json(sweep: Sweep) -> dict[str, object]:
    """Return a run as JSON data, with its named members."""
    members = {
        member.name: {"key": member.key, "status": member.status}
        for member in sweep.members
        if member.name
    }
    return {
        "run_id": sweep.run_id,
        "root": sweep.root,
        "name": sweep.name,
        "module": sweep.module,
        "engine": sweep.engine,
        "created_at": sweep.created_at,
        "state": state_of(sweep),
        "total": sweep.total,
        "counts": dict(sweep.counts),
        "eta_s": sweep.eta_s,
        "members": members,
        "problem": sweep.problem,
    }
