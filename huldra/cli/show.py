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
from huldra.cli.checkout import frozen_trees
from huldra.cli.ls import as_json
from huldra.cli.resolve import the_artifact
from huldra.provenance import code_difference
from huldra.provenance.code_difference import CodeDifference
from huldra.provenance.command import recorded_command, shown_metadata
from huldra.store.layout import ArtifactPaths

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
    difference = code_difference.of_disk(ArtifactPaths(detail.row.directory), detail.metadata)
    if options.json:
        output.write_json({**_as_json(detail), "other_code": str(difference or "")})
        return 0
    if options.code:
        return _write_code(detail, difference)
    for name, value in [*_facts(detail), *_code_facts(detail, difference)]:
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


def _write_code(detail: Detail, difference: CodeDifference | None) -> int:
    """Write the difference in the code as a unified diff."""
    if difference is not None:
        output.write(output.clean_log(difference.diff()))
    elif (detail.metadata or {}).get("code") is None:
        raise output.CommandError(f"no code is recorded for {detail.row.key}")
    else:
        output.write(f"{detail.row.key}: the code on disk does not differ from its own\n")
    return 0


def _code_facts(detail: Detail, difference: CodeDifference | None) -> Iterator[tuple[str, str]]:
    edited = (detail.metadata or {}).get("code_edited")
    if difference is not None:
        yield "code", f"{difference}; --code shows the diff"
    for top, digest in frozen_trees(detail.metadata).items():
        yield "frozen", f"{top} as at submission ({digest[:12]}; huldra checkout restores it)"
    if isinstance(edited, list) and edited:
        yield "edited", f"after submission: {', '.join(map(str, edited))}"


def _as_json(detail: Detail) -> dict[str, Any]:
    return {
        **as_json(detail.row),
        "python_def": detail.python_def,
        "metadata": shown_metadata(detail.metadata),
        "attempts": detail.attempts,
        "log_path": detail.log_path,
        "log_size": detail.log_size,
        "output_path": detail.output_path,
        "output_size": detail.output_size,
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
        "config": detail.python_def or _config(row),
        "queued": output.age(row.queued_at),
        "started": output.age(row.started_at),
        "ended": output.age(row.ended_at),
        "took": presentation.duration(row.duration_s),
        "heartbeat": output.age(row.heartbeat_at),
        "by": _owner(row),
        "git": _git(metadata),
        "command": recorded_command(str(metadata.get("command") or "")),
        "adopted": _origin(metadata),
        "log": _file(detail.log_path, detail.log_size),
        "output": _file(detail.output_path, detail.output_size),
        "unreadable": "; ".join(detail.problems),
    }
    yield from ((name, value) for name, value in optional.items() if value)


def _config(row: Row) -> str:
    return "" if row.config is None else json.dumps(presentation.plain(row.config))


def _file(path: str, size: int) -> str:
    return f"{path} ({presentation.size(size)})" if size else ""


def _owner(row: Row) -> str:
    process = f"{row.user}@{row.hostname}" + (f" pid {row.pid}" if row.pid else "")
    job = f", {row.backend} job {row.job_id}" if row.job_id else ""
    return f"{process}{job}" if row.hostname else ""


def _origin(metadata: Any) -> str:
    """What the files were adopted from, and when."""
    origin = metadata.get("adopted_from")
    if not isinstance(origin, dict):
        return ""
    key = f"{origin.get('namespace')}/{origin.get('huldra_hash')}"
    return f"from {key} by {origin.get('user')} at {origin.get('timestamp')}"


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
        output.write(f"because {output.clean(row.failed_key)} did not complete\n")
    lines = output.clean_log(str(error.get("traceback") or "")).splitlines()
    if len(lines) > _MAX_TRACEBACK_LINES:
        lines = ["…", *lines[-_MAX_TRACEBACK_LINES:]]
    output.write("".join(f"  {line}\n" for line in lines))


def logs(catalog: Catalog, options: argparse.Namespace) -> int:
    """Print the end of the log, or of what was printed, and with --follow what comes."""
    row = the_artifact(catalog, options.artifact)
    log = _Log(catalog, row, "output" if options.output else "log")
    log.write_end(options.lines)
    if not log.offset and not options.follow:
        raise output.CommandError(_why_empty(catalog.detail(row), options.output))
    while options.follow:
        sys.stdout.flush()
        is_over = not catalog.detail(row).row.is_open  # asked first: its last lines are read then
        before = log.offset
        log.write_rest()
        if is_over:
            break
        if before == log.offset:
            time.sleep(_FOLLOW_EVERY_S)
    return 0


def _why_empty(detail: Detail, is_output: bool) -> str:
    row = detail.row
    if not is_output:
        more = f"; to see its output: huldra logs --output {row.label.replace(' ', '/')}"
        return f"{row.key} has no log yet ({row.status}){more if detail.output_size else ''}"
    return (
        f"{row.key} has no output on a worker ({row.status}); output of in-process calls goes to"
        " the caller's terminal"
    )


class _Log:
    """One of an artifact's logs, and how far it is written out."""

    def __init__(self, catalog: Catalog, row: Row, which: str) -> None:
        self._catalog, self._row, self._which = catalog, row, which
        self.offset = 0

    def write_end(self, lines: int) -> None:
        """Write the last `lines`, or all for 0."""
        if not lines:
            self.write_rest()
            return
        budget = max(_MIN_TAIL_BYTES, lines * _BYTES_A_LINE)
        last = self._read(-budget, budget)
        output.write(output.clean_log("".join(last.splitlines(keepends=True)[-lines:])))

    def write_rest(self) -> None:
        """Write what has come since."""
        while True:
            before = self.offset
            new = self._read(before, 1 << 20)
            output.write(output.clean_log(new))
            if not new or self.offset == before:
                return

    def _read(self, offset: int, max_bytes: int) -> str:
        text, self.offset = self._catalog.log_from(
            self._row, offset, max_bytes=max_bytes, which=self._which
        )
        return text
