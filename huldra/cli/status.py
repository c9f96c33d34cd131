"""`huldra status`: what runs now, and how far each run or target is."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from huldra.catalog import Catalog, Row, Snapshot, Sweep, SweepMember, presentation, runs
from huldra.catalog.progress import Progress, read_progress
from huldra.cli import output, sweeps, targets

if TYPE_CHECKING:
    from rich.console import RenderableType

_LOOK_EVERY_S = 2.0
_RUN_COLUMNS = ("run", "name", "state", "complete", "running", "queued", "failed", "left")
_MEMBER_COLUMNS = ("name", "status", "since", "progress", "left", "host", "run")
_FIRST = ("running", "stale", "failed", "crashed", "preempted", "cancelled", "queued", "absent")


@dataclass(frozen=True, slots=True)
class Member:
    """An artifact by its name, with what its `_create` last reported."""

    name: str
    key: str
    status: str
    row: Row | None
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class Standing:
    """One look: the runs or targets, and the artifacts that are listed one by one."""

    sweeps: tuple[Sweep, ...]
    members: tuple[Member, ...]

    @property
    def is_over(self) -> bool:
        """True if nothing is queued or running."""
        moving = any(member.status in presentation.IN_FLIGHT for member in self.members)
        return not moving and not any(map(is_moving, self.sweeps))


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """Show how far the target or the recent runs are; with --follow until nothing moves.

    With --follow and a target, the exit code is 1 unless all of it is complete at the end.
    """
    look = _looker(catalog, options)
    if not options.follow:
        standing = look()
        if options.json:
            output.write_json(_as_json(standing))
        else:
            _write(standing)
        return 0
    last = _follow_live(look) if output.is_terminal() else _follow_lines(look)
    is_complete = all(sweep.done == sweep.total for sweep in last.sweeps)
    return 0 if is_complete or options.target is None else 1


def is_moving(sweep: Sweep) -> bool:
    """Return True if one of its artifacts is queued or running."""
    return any(sweep.counts.get(status) for status in presentation.IN_FLIGHT)


# ---- looking ------------------------------------------------------------------------------------


def _looker(catalog: Catalog, options: argparse.Namespace) -> Callable[[], Standing]:
    """Return what looks once. What the words mean is found out here, and only once."""
    if options.target is None:
        return lambda: _look_at_runs(catalog, options.limit)
    record = _record(catalog, targets.resolve(catalog, [options.target, *options.words]))
    return lambda: _look_at(record, catalog.snapshot(max_age_s=0))


def _record(catalog: Catalog, target: targets.Target) -> runs.RunRecord:
    """Return the run that a target is, or its members in the form of one."""
    if target.run_id:
        return catalog.run_record(target.run_id)
    keys = dict(target.keys)
    return runs.RunRecord(
        run_id="",
        root=catalog.roots[0],
        name=target.text,
        module="",
        engine="",
        created_at=None,
        members=keys,
        planned=frozenset(keys.values()),
        needed=(),
        mark=None,
        problem="",
    )


def _look_at(record: runs.RunRecord, snapshot: Snapshot) -> Standing:
    """One run or target, and all its members, what moves or failed first."""
    sweep = runs.progress(record, snapshot)
    shown = (member for member in sweep.members if member.name or member.status == "running")
    members = sorted(map(_member, shown), key=lambda member: _rank(member.status))
    return Standing((sweep,), tuple(members))


def _look_at_runs(catalog: Catalog, limit: int) -> Standing:
    """The newest runs and the older ones that still move; and all artifacts that run now."""
    snapshot = catalog.snapshot(max_age_s=0)
    known = catalog.sweeps()
    shown = [
        sweep
        for place, sweep in enumerate(known)
        if place < (limit or len(known)) or is_moving(sweep)
    ]
    names = catalog.names()
    running = (row for row in snapshot.rows if row.attempt_status in ("running", "stale"))
    members = [
        _member(SweepMember(_name(row, names), row.key, False, row.attempt_status, row))
        for row in running
    ]
    members.sort(
        key=lambda member: (_rank(member.status), member.row and member.row.run_id, member.name)
    )
    return Standing(tuple(shown), tuple(members))


def _name(row: Row, names: dict[tuple[str, str], str]) -> str:
    return names.get((row.root, row.key), "").partition("\n")[0]


def _member(member: SweepMember) -> Member:
    row = member.row
    is_running = row is not None and member.status == "running"
    reported = read_progress(row.directory) if row is not None and is_running else None
    name = member.name or (row.label if row is not None else member.key)
    return Member(name, member.key, member.status, row, reported)


def _rank(status: str) -> int:
    return _FIRST.index(status) if status in _FIRST else len(_FIRST)


# ---- following ----------------------------------------------------------------------------------


def _follow_live(look: Callable[[], Standing]) -> Standing:
    """Refresh the tables in place until nothing moves; the last look stays on the screen."""
    from rich.live import Live  # here: only a terminal needs it

    with Live(auto_refresh=False) as live:
        while True:
            standing = look()
            live.update(_rendered(standing), refresh=True)
            if standing.is_over:
                return standing
            _pause()


def _follow_lines(look: Callable[[], Standing]) -> Standing:
    """Write a line for each run whose counts have changed, until nothing moves."""
    written: dict[tuple[str, str], object] = {}
    while True:
        standing = look()
        for sweep in standing.sweeps:
            place = (sweep.root, sweep.run_id)
            if written.get(place) != sweep.counts:
                written[place] = sweep.counts
                output.write(f"{output.clean(_sentence(sweep))}\n")
        sys.stdout.flush()
        if standing.is_over:
            return standing
        _pause()


def _pause() -> None:
    time.sleep(_LOOK_EVERY_S)


def _sentence(sweep: Sweep) -> str:
    counts = [
        f"{count} {status}"
        for status, count in presentation.in_order(dict(sweep.counts))
        if status != "success"
    ]
    name = f"{sweep.run_id} {sweep.name}".strip()
    return f"{name}: {', '.join([f'{sweep.done} of {sweep.total} complete', *counts])}"


# ---- writing ------------------------------------------------------------------------------------


def _write(standing: Standing) -> None:
    for place, (header, lines) in enumerate(_tables(standing)):
        output.write("\n" if place and not output.is_terminal() else "")
        output.write_table(header, lines)


def _rendered(standing: Standing) -> RenderableType:
    from rich.console import Group

    return Group(*(output.rich_table(header, lines) for header, lines in _tables(standing)))


def _tables(standing: Standing) -> Iterator[tuple[Sequence[str], list[list[str]]]]:
    """The runs, and the members where there are any."""
    yield _RUN_COLUMNS, [_run_line(sweep) for sweep in standing.sweeps]
    if standing.members:
        yield _MEMBER_COLUMNS, [_member_line(member) for member in standing.members]


def _run_line(sweep: Sweep) -> list[str]:
    counts = (str(sweep.counts.get(name, 0)) for name in ("running", "queued", "failed"))
    return [
        sweep.run_id or "–",
        sweep.name or "–",
        sweeps.state_of(sweep),
        f"{sweep.done}/{sweep.total}",
        *counts,
        "" if sweep.eta_s is None else presentation.duration(sweep.eta_s),
    ]


def _member_line(member: Member) -> list[str]:
    row, reported = member.row, member.progress
    is_open = row is not None and member.status in (*presentation.IN_FLIGHT, "stale")
    since = (row.started_at or row.queued_at) if row is not None and is_open else None
    left = reported.remaining_s if reported else None
    return [
        member.name,
        member.status,
        output.age(since),
        _progress_text(reported),
        "" if left is None else presentation.duration(left),
        row.hostname if row is not None and is_open and member.status != "queued" else "",
        (row.run_id if row is not None else "") or "–",
    ]


def _progress_text(reported: Progress | None) -> str:
    """`120/500 (24%)`, or the step alone where the end is not known."""
    if reported is None:
        return ""
    step = presentation.number(reported.step)
    if reported.of is None or reported.fraction is None:
        return step
    return f"{step}/{presentation.number(reported.of)} ({reported.fraction:.0%})"


def _as_json(standing: Standing) -> dict[str, Any]:
    return {
        "runs": [sweeps.as_json(sweep) for sweep in standing.sweeps],
        "members": [_member_json(member) for member in standing.members],
    }


def _member_json(member: Member) -> dict[str, Any]:
    row = member.row
    return {
        "name": member.name,
        "key": member.key,
        "status": member.status,
        "run_id": row.run_id if row else "",
        "started_at": row.started_at if row else None,
        "hostname": row.hostname if row else "",
        "job_id": row.job_id if row else "",
        "progress": member.progress,
    }
