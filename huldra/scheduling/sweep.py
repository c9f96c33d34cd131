"""A sweep: many named jobs, submitted as one graph."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Generic, Literal, TypeVar

from huldra.catalog.presentation import duration
from huldra.catalog.progress import Progress as Reported
from huldra.catalog.progress import read_progress
from huldra.catalog.query import METRICS
from huldra.errors import HuldraError
from huldra.scheduling import rows
from huldra.scheduling.html_table import html_table
from huldra.scheduling.job import Job, as_done, cancel_all
from huldra.scheduling.planning import text_table
from huldra.store.records import AttemptStatus

T = TypeVar("T")


class Sweep(Mapping[str, Job[T]], Generic[T]):
    """The jobs of one submission: a mapping from names to `Job` objects."""

    def __init__(self, jobs: Mapping[str, Job[T]], name: str = "") -> None:
        self._jobs = dict(jobs)
        self.name = name

    def __getitem__(self, name: str) -> Job[T]:
        return self._jobs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def counts(self) -> dict[AttemptStatus, int]:
        """Return the number of jobs in each status; a status without jobs is left out."""
        return dict(Counter(job.status() for job in self._jobs.values()))

    def wait(self, timeout: float | None = None, *, progress: bool = False) -> bool:
        """Block until all jobs are done or `timeout` seconds pass; None waits without limit.

        Return True if all jobs are done. With `progress`, show a live table on stderr, or plain
        lines where stderr is no terminal. A failed job is done, too, and raises nothing here: see
        `failed` and `results`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if progress:
            return Progress(self).run(deadline)
        return sum(1 for _ in as_done(self._jobs.values(), deadline)) == len(self)

    def results(
        self, timeout: float | None = None, *, failed: Literal["raise", "skip"] = "raise"
    ) -> dict[str, T]:
        """Block until all jobs are done and return what each `_load` returns, by name.

        Waits at most `timeout` seconds in all; None waits without limit. With `failed="skip"`, jobs
        that ended without a result are left out; `failed()` returns their errors.

        Raises:
            ExceptionGroup: Some jobs failed. It holds one error for each of them, as `Job.result`
                raises it, with the job's name as a note, and is raised after all have ended.
            HuldraWaitTimeout: A job was not done after `timeout` seconds. Transient: the jobs keep
                running.
        """
        if failed not in ("raise", "skip"):
            raise ValueError(f"failed must be 'raise' or 'skip', not {failed!r}")
        deadline = None if timeout is None else time.monotonic() + timeout
        for _ in as_done(self._jobs.values(), deadline):
            pass
        errors = {name: job.exception(0.0) for name, job in self._jobs.items()}
        bad = [_noted(error, name) for name, error in errors.items() if error is not None]
        if bad and failed == "raise":
            raise ExceptionGroup(f"{len(bad)} of {len(self)} jobs have no result", bad)
        return {name: job.result() for name, job in self._jobs.items() if errors[name] is None}

    def as_completed(self, timeout: float | None = None) -> Completed[T]:
        """Return the `(name, job)` pairs in the order in which the jobs end, however they end.

        For `for` and for `async for`. Ends early, without an error, after `timeout` seconds.
        """
        return Completed(self._jobs, timeout)

    def failed(self) -> dict[str, Exception]:
        """Return the errors of the jobs that ended without a result, by name. Does not wait."""
        found = {}
        for name, job in self._jobs.items():
            if job.done() and (error := job.exception()) is not None:
                found[name] = error
        return found

    def cancel(self) -> int:
        """Request cancellation of every job that is not done. Return how many."""
        return cancel_all(self._jobs.values())

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per job: the columns of `huldra.rows`, and the result.

        The plain values of a mapping become one column each; another plain result is in the column
        `result`. The status is the job's, so the call may query the engine. It does not wait: a job
        that is not complete has no result columns.
        """
        described = rows.rows({name: job.artifact for name, job in self._jobs.items()})
        return [
            {**row, "status": job.status().value, **_result_columns(job)}
            for row, job in zip(described, self._jobs.values(), strict=True)
        ]

    def frame(self) -> Any:
        """Return `rows()` as a `pandas.DataFrame`; raise `ImportError` without pandas."""
        return rows.frame(self.rows())

    def __str__(self) -> str:
        return _table(_cells(self.rows()))

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {status.value}" for status, count in self.counts().items())
        return f"<Sweep {self.name} {len(self)} jobs: {counts}>"

    def _repr_html_(self) -> str:
        found = self.rows()
        counts = Counter(row["status"] for row in found)
        said = ", ".join(f"{count} {status}" for status, count in counts.items())
        header, lines = _cells(found)
        return html_table(header, lines, f"Sweep {self.name} {len(self)} jobs: {said}")


class Completed(Generic[T]):
    """The jobs of a sweep as they end; can be gone through once."""

    def __init__(self, jobs: Mapping[str, Job[T]], timeout: float | None) -> None:
        names = {id(job): name for name, job in jobs.items()}
        deadline = None if timeout is None else time.monotonic() + timeout
        self._deadline = deadline
        self._pending = dict(jobs)
        self._names = names

    def __iter__(self) -> Iterator[tuple[str, Job[T]]]:
        for job in as_done(list(self._pending.values()), self._deadline):
            yield self._taken(job)

    async def __aiter__(self) -> AsyncIterator[tuple[str, Job[T]]]:
        import asyncio  # here: few programs use it, and importing huldra should not pay for it

        while self._pending and not self._is_late():
            for job in await asyncio.to_thread(self._done_soon):
                yield self._taken(job)

    def _taken(self, job: Job[T]) -> tuple[str, Job[T]]:
        name = self._names[id(job)]
        del self._pending[name]
        return name, job

    def _done_soon(self) -> list[Job[T]]:
        """Those that are done within a moment: a cancelled loop leaves no thread that waits."""
        moment = time.monotonic() + _MOMENT_S
        limit = moment if self._deadline is None else min(moment, self._deadline)
        return list(as_done(list(self._pending.values()), limit))

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline


_MOMENT_S = 0.5


def _noted(error: Exception, name: str) -> Exception:
    error.add_note(f"sweep member: {name}")
    return error


def _cells(found: list[dict[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    columns = _shown_columns(found)
    return columns, [tuple(_cell(row.get(column)) for column in columns) for row in found]


def _table(cells: tuple[tuple[str, ...], list[tuple[str, ...]]]) -> str:
    header, lines = cells
    return text_table(header, lines) if lines else "(an empty sweep)"


def _shown_columns(found: list[dict[str, Any]]) -> tuple[str, ...]:
    """The columns that a reader needs: neither empty ones, nor metrics that results repeat."""
    columns = dict.fromkeys(column for row in found for column in row)
    filled = [column for column in columns if any(row.get(column) is not None for row in found)]
    return tuple(
        column
        for column in filled
        if not (column.startswith(METRICS) and column.rpartition(".")[2] in filled)
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _result_columns(job: Job[Any]) -> dict[str, Any]:
    if job.status() is not AttemptStatus.SUCCESS:
        return {}
    try:
        value = job.result()
    except HuldraError:
        return {}
    if isinstance(value, Mapping):
        return {str(k): v for k, v in value.items() if isinstance(v, str | int | float | bool)}
    return {"result": value} if isinstance(value, str | int | float | bool) else {}


_STYLES = {
    AttemptStatus.SUCCESS: "green",
    AttemptStatus.RUNNING: "cyan",
    AttemptStatus.QUEUED: "dim",
    AttemptStatus.FAILED: "red",
    AttemptStatus.CRASHED: "magenta",
    AttemptStatus.PREEMPTED: "yellow",
    AttemptStatus.CANCELLED: "yellow",
}


class Progress:
    """Shows counts by class and status while a process waits for a sweep."""

    def __init__(self, sweep: Sweep[Any]) -> None:
        self._sweep = sweep
        self._started = time.monotonic()
        self._status = {id(job): AttemptStatus.QUEUED for job in sweep.values()}
        self._done: set[int] = set()

    def run(self, deadline: float | None) -> bool:
        """Show the counts until `deadline`. Return True if all jobs are done."""
        from rich.console import Console

        if sys.stderr is None:  # closed (`2>&-`), or a program without a console
            for _ in self._ticks(deadline):
                pass
            return len(self._done) == len(self._sweep)
        console = Console(file=sys.stderr)
        if console.is_terminal:
            self._run_live(console, deadline)
        else:
            self._run_in_lines(deadline)
        return len(self._done) == len(self._sweep)

    def _run_live(self, console: Any, deadline: float | None) -> None:
        from rich.live import Live

        with Live(self._render(), console=console, auto_refresh=False) as live:
            for _ in self._ticks(deadline):
                live.update(self._render(), refresh=True)

    def _run_in_lines(self, deadline: float | None) -> None:
        for _ in self._ticks(deadline):
            counts = Counter(self._status.values())
            parts = [f"{counts[s]} {s.value}" for s in AttemptStatus if counts[s]]
            sys.stderr.write(f"{self._sweep.name or 'sweep'}: {', '.join(parts)}\n")
            sys.stderr.flush()

    def _ticks(self, deadline: float | None) -> Iterator[None]:
        """Yield whenever there is something new to show, at most a few times a second."""
        pause_s = _FIRST_TICK_S
        pending = list(self._sweep.values())
        while pending:
            now = time.monotonic()
            tick = now + pause_s if deadline is None else min(deadline, now + pause_s)
            before = dict(self._status)
            for job in as_done(pending, tick):
                self._done.add(id(job))
                self._status[id(job)] = job.status()
            pending = [job for job in pending if id(job) not in self._done]
            started = time.monotonic()
            for job in pending:
                self._status[id(job)] = job.status()
            if before != self._status or not pending:
                yield
            # What the caller shows is looked up as well, so it counts.
            pause_s = max(_TICK_S, 20 * (time.monotonic() - started))
            if deadline is not None and time.monotonic() >= deadline:
                return

    def _render(self) -> Any:
        from rich.table import Table

        seconds = time.monotonic() - self._started
        title = (
            f"{self._sweep.name or 'sweep'}  {len(self._done)}/{len(self._sweep)}  {seconds:.0f} s"
        )
        table = Table(title=title)
        table.add_column("class")
        shown = [status for status in AttemptStatus if status in self._status.values()]
        for status in shown:
            table.add_column(status.value, justify="right", style=_STYLES[status])
        by_class: dict[str, Counter[AttemptStatus]] = {}
        reported: dict[str, list[Reported]] = {}
        for job in self._sweep.values():
            label, status = type(job.artifact).__name__, self._status[id(job)]
            by_class.setdefault(label, Counter())[status] += 1
            if status is AttemptStatus.RUNNING:
                found = read_progress(str(job.artifact.huldra_dir))
                reported.setdefault(label, []).extend([found] if found else [])
        if any(reported.values()):
            table.add_column("of those that run")
        for label, counts in by_class.items():
            cells = [str(counts[status]) for status in shown]
            table.add_row(label, *cells, *filter(None, [_progress_text(reported.get(label, []))]))
        return table


def _progress_text(reported: list[Reported]) -> str:
    """How far running nodes are by their own reports, and when the last of them will have ended."""
    fractions = [found.fraction for found in reported if found.fraction is not None]
    if not fractions:
        return ""
    left_s = [found.remaining_s for found in reported if found.remaining_s is not None]
    rest = f", {duration(max(left_s))} left" if left_s else ""
    return f"{sum(fractions) / len(fractions):.0%}{rest}"


_FIRST_TICK_S = 0.1
_TICK_S = 0.5
