"""`huldra show`, `huldra logs` and `huldra path`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from huldra.catalog import AttemptRow, Catalog, Detail, Row, presentation
from huldra.cli import output
from huldra.cli.ls import as_json
from huldra.cli.resolve import the_artifact
from huldra.provenance.command import recorded_command, shown_metadata

_FOLLOW_EVERY_S = 0.5
_MIN_TAIL_BYTES = 65536
_BYTES_A_LINE = 400  # long lines make a tail shorter, never wrong
_MAX_TRACEBACK_LINES = 15


def path(catalog: Catalog, options: argparse.Namespace) -> int:
    """Print the directory."""
    output.write(f"{the_artifact(catalog, options.artifact).directory}\n")
    return 0


def show(catalog: Catalog, options: argparse.Namespace) -> int:
    """Print all that is recorded."""
    detail = catalog.detail(the_artifact(catalog, options.artifact))
    if options.json:
        output.write_json(_as_json(detail))
        return 0
    for name, value in _facts(detail):
        output.write(f"{name:<13} {output.clean(value)}\n" if name else f"{value}\n")
    _write_dependencies(catalog, detail)
    if len(detail.attempts) > 1:
        output.write("\n")
        output.write_table(
            ("attempt", "status", "began", "took", "host", "backend", "job"),
            [_attempt_line(one) for one in detail.attempts],
        )
    _write_error(detail)
    return 0


def _as_json(detail: Detail) -> dict[str, Any]:
    return {
        **as_json(detail.row),
        "python_def": detail.python_def,
        "metadata": shown_metadata(detail.metadata),
        "attempts": detail.attempts,
        "log_path": detail.log_path,
        "log_size": detail.log_size,
        "problems": detail.problems,
    }


def _facts(detail: Detail) -> Iterator[tuple[str, str]]:
    row, metadata = detail.row, detail.metadata or {}
    yield "artifact", row.key
    yield "result", row.result_status
    if row.attempt_status:
        stale = f" ({row.stale_reason})" if row.stale_reason else ""
        yield "attempt", f"{row.attempt_number}: {row.attempt_status}{stale}"
    yield "directory", row.directory
    optional = {
        "config": detail.python_def or json.dumps(row.config),
        "queued": output.age(row.queued_at),
        "started": output.age(row.started_at),
        "ended": output.age(row.ended_at),
        "took": presentation.duration(row.duration_s),
        "heartbeat": output.age(row.heartbeat_at),
        "by": _owner(row),
        "git": _git(metadata),
        "command": recorded_command(str(metadata.get("command") or "")),
        "log": f"{detail.log_path} ({presentation.size(detail.log_size)})"
        if detail.log_size
        else "",
        "unreadable": "; ".join(detail.problems),
    }
    yield from ((name, value) for name, value in optional.items() if value)


def _owner(row: Row) -> str:
    process = f"{row.user}@{row.hostname}" + (f" pid {row.pid}" if row.pid else "")
    job = f", {row.backend} job {row.job_id}" if row.job_id else ""
    return f"{process}{job}" if row.hostname else ""


def _git(metadata: Any) -> str:
    commit = str(metadata.get("git_commit") or "")
    dirty = " with uncommitted changes" if metadata.get("git_dirty") else ""
    branch = f" on {metadata['git_branch']}" if metadata.get("git_branch") else ""
    return f"{commit[:12]}{branch}{dirty}" if commit else ""


def _write_dependencies(catalog: Catalog, detail: Detail) -> None:
    if not detail.row.dependencies:
        return
    lines = []
    for dependency in detail.row.dependencies:
        found = [row for row in catalog.find(dependency.key) if row.root == detail.row.root]
        status = found[0].status if found else "absent"
        lines.append((dependency.field, status, dependency.key))
    output.write("\n")
    output.write_table(("needs", "status", "artifact"), lines)


def _attempt_line(attempt: AttemptRow) -> list[str]:
    return [
        str(attempt.number),
        attempt.status,
        output.age(attempt.claimed_at),
        presentation.duration(attempt.duration_s),
        attempt.hostname,
        attempt.backend,
        attempt.job_id,
    ]


def _write_error(detail: Detail) -> None:
    row = detail.row
    error = next((one.error for one in reversed(detail.attempts) if one.error), None)
    if row.attempt_status != "failed" or error is None:
        return
    output.write(f"\n{output.clean(row.error_type)}: {output.clean(row.error_message)}\n")
    if row.failed_key:
        output.write(f"because {output.clean(row.failed_key)} was not made\n")
    lines = output.clean_log(str(error.get("traceback") or "")).splitlines()
    if len(lines) > _MAX_TRACEBACK_LINES:
        lines = ["…", *lines[-_MAX_TRACEBACK_LINES:]]
    output.write("".join(f"  {line}\n" for line in lines))


def logs(catalog: Catalog, options: argparse.Namespace) -> int:
    """Print the log's end, and with --follow what comes."""
    row = the_artifact(catalog, options.artifact)
    after = _write_end(catalog, row, options.lines)
    if not after and not options.follow:
        raise output.CommandError(f"{row.key} has no log yet ({row.status})")
    while options.follow:
        sys.stdout.flush()
        is_over = not catalog.detail(row).row.is_open  # asked first: its last lines are read then
        before, after = after, _write_from(catalog, row, after)
        if is_over:
            break
        if before == after:
            time.sleep(_FOLLOW_EVERY_S)
    return 0


def _write_end(catalog: Catalog, row: Row, lines: int) -> int:
    """Write the last `lines` (0: all) of the log; return the offset after them."""
    if not lines:
        return _write_from(catalog, row, 0)
    budget = max(_MIN_TAIL_BYTES, lines * _BYTES_A_LINE)
    last, after = catalog.log_from(row, -budget, max_bytes=budget)
    output.write(output.clean_log("".join(last.splitlines(keepends=True)[-lines:])))
    return after


def _write_from(catalog: Catalog, row: Row, offset: int) -> int:
    """Write what the log has from byte `offset` on; return the offset after it."""
    while True:
        new, after = catalog.log_from(row, offset)
        output.write(output.clean_log(new))
        if not new or after == offset:
            return after
        offset = after
