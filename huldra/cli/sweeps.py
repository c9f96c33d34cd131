"""`huldra sweeps`: every recorded run, with its state."""

from __future__ import annotations

import argparse

from huldra.catalog import Catalog, Sweep, presentation
from huldra.cli import output

_COLUMNS = ("run", "name", "engine", "created", "state", "complete", "failed", "left")


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """List the runs, the newest first."""
    sweeps = catalog.sweeps()[: options.limit or None]
    if options.json:
        output.write_json([_as_json(sweep) for sweep in sweeps])
        return 0
    note = f"{len(sweeps)} runs in {', '.join(catalog.roots)}"
    output.write_table(_COLUMNS, [_line(sweep) for sweep in sweeps], output.clean(note))
    return 0


def state_of(sweep: Sweep) -> str:
    """Return how a run stands, in a word or two.

    `running` while a member is queued or running, `finished` once all are complete, `finished, 3
    failed` where some failed and nothing moves, `stopped` where members are left that nobody
    computes any more.
    """
    if sweep.problem:
        return "unreadable"
    if sweep.counts.get("running", 0) + sweep.counts.get("queued", 0):
        return "running"
    if sweep.done == sweep.total:
        return "finished"
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


def _as_json(sweep: Sweep) -> dict[str, object]:
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
