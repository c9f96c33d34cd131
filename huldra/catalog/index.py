"""`Catalog`: read-only queries over one or several stores that others are writing to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from huldra.catalog.records import Detail, FileEntry, Litter, Metrics, Row, Sweep, Usage
from huldra.catalog.snapshot import Snapshot

Progress = Callable[[int, int], None]  # artifacts read, artifacts to read


class Catalog:
    """An index of the artifacts below `roots`, kept up to date by file stats.

    Never writes below a root, never imports user code, never raises for a single artifact that
    cannot be read: that is a row (or a detail) that says so. All methods may be called from
    any thread; one scan runs at a time and the others wait for its result.

    `lease_s` is the age of the last heartbeat from which an owner of another host counts as
    stale; by default `HULDRA_CONFIG.lease`.
    """

    def __init__(
        self, roots: Sequence[str | os.PathLike[str]], *, lease_s: float | None = None
    ) -> None:
        raise NotImplementedError

    @property
    def roots(self) -> tuple[str, ...]:
        """The absolute roots, in the order given. One that does not exist counts as empty."""
        raise NotImplementedError

    def snapshot(self, *, max_age_s: float = 2.0, on_progress: Progress | None = None) -> Snapshot:
        """The store now, or as it was at most `max_age_s` ago (0: look now).

        Unchanged artifacts cost one stat; liveness of open attempts is judged anew each time.
        """
        raise NotImplementedError

    def detail(self, row: Row) -> Detail:
        """Everything recorded about one artifact, read now."""
        raise NotImplementedError

    def log_tail(self, row: Row, *, max_bytes: int = 65536, max_lines: int = 500) -> str:
        """The end of the artifact's log, whole lines, undecodable bytes replaced; "" if none."""
        raise NotImplementedError

    def git_patch(self, row: Row, *, max_bytes: int = 1 << 20) -> str:
        """The stored patch, cut at `max_bytes`; "" if none."""
        raise NotImplementedError

    def files(self, row: Row, *, max_files: int = 1000) -> tuple[FileEntry, ...]:
        """The user's files of an artifact, sorted by path, at most `max_files`."""
        raise NotImplementedError

    def metrics(self, row: Row) -> Metrics:
        """Numbers in the artifact's top-level .json, .jsonl and .csv files; cached by stat."""
        raise NotImplementedError

    def sweeps(self) -> tuple[Sweep, ...]:
        """The recorded runs, newest first, judged by `snapshot()`; members are filled in."""
        raise NotImplementedError

    def sweep(self, run_id: str) -> Sweep | None:
        """One recorded run."""
        raise NotImplementedError

    def usage(self, rows: Iterable[Row]) -> tuple[Usage, ...]:
        """Disk usage of each artifact, biggest first; walks the disk, so it is on demand."""
        raise NotImplementedError

    def litter(self) -> tuple[Litter, ...]:
        """Leftovers that no artifact needs: temporary files of crashes, half-removed folders."""
        raise NotImplementedError
