"""What Slurm says of jobs: one view a cluster and process, asked for all jobs at once.

A query is one `squeue` and, for what it no longer knows, one `sacct`. Answers are kept for a
moment, so that a hundred waiters cost what one does; the moment grows while nothing changes and
while queries fail. A query that fails says UNKNOWN. A job that the controller answered about
and does not have is LOST, once it has been missing for a while; so are states that are often
passed through on the way to a requeue reported only when they last.
"""

from __future__ import annotations

import datetime
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from huldra.engines.kit import JobStatus, get_logger
from huldra_submitit.commands import Answer, Slurm
from huldra_submitit.words import MAY_COME_BACK, job_ids, status_of

FRESH_S = 0.8  # answers younger than this are always good enough
WANTED_S = 120.0  # for how long a job without recent questions is still queried
SETTLE_S = 5.0  # how long a doubtful end must last to be reported
_ACCOUNTING_IS_OFF = ("accounting storage is disabled", "not running a supported accounting")


@dataclass
class _Seen:
    status: JobStatus
    doubtful_since: float | None = None


@dataclass
class _State:
    over: dict[str, JobStatus] = field(default_factory=dict)
    seen: dict[str, _Seen] = field(default_factory=dict)
    wanted: dict[str, float] = field(default_factory=dict)
    asked_at: float = float("-inf")
    keep_s: float = FRESH_S
    has_accounting: bool = True


class QueueMonitor:
    """The view of one cluster; all methods may be called from any thread."""

    def __init__(
        self,
        slurm: Slurm,
        *,
        cancelled_is_preempted: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slurm = slurm
        self.cancelled_is_preempted = cancelled_is_preempted
        self.queries = 0
        self._now = now
        self._lock = threading.Lock()
        self._state = _State()

    def status(self, ids: Collection[str], max_age_s: float = 10.0) -> dict[str, JobStatus]:
        """The state of each job id; asks Slurm at most once, and not at all when it just did.

        Answers are kept for longer while nothing changes, up to `max_age_s`.
        """
        with self._lock:
            self._state.keep_s = min(self._state.keep_s, max_age_s)
            known = self._state.over
            open_ids = [job_id for job_id in ids if job_id not in known and job_ids(job_id)]
            now = self._now()
            self._state.wanted |= dict.fromkeys(open_ids, now)
            if open_ids and not self._is_fresh(open_ids):
                before = [self._word(job_id) for job_id in open_ids]
                is_answered = self._refresh(self._still_wanted(now))
                is_quiet = before == [self._word(job_id) for job_id in open_ids]
                self._pace(is_quiet=is_quiet or not is_answered, max_age_s=max_age_s)
            return {job_id: self._word(job_id) for job_id in ids}

    def watch(self, ids: Collection[str]) -> None:
        """Include these ids in the next query, for any caller."""
        with self._lock:
            self._state.wanted |= dict.fromkeys(ids, self._now())

    def forget(self, ids: Collection[str]) -> None:
        """Make the next question about these jobs ask Slurm: something happened to them."""
        with self._lock:
            for job_id in ids:
                self._state.seen.pop(job_id, None)
            self._state.keep_s = FRESH_S

    def find(self, name: str, since: str | None = None) -> list[str] | None:
        """The ids of the jobs called `name`; None when that cannot be known now.

        `since` is when the job may have been submitted first, in ISO 8601.
        """
        shown = self.slurm.run("squeue", "-h", "-r", "-a", "-t", "all", "-o", "%i", "-n", name)
        found = [each for line in shown.out.splitlines() for each in job_ids(line)]
        if shown.is_ok and found:
            return found
        named = (f"--name={name}", "-S", _sacct_start(since))
        booked = self.slurm.run("sacct", "-n", "-P", "-X", "-a", "-o", "JobID", *named)
        found = [each for line in booked.out.splitlines() for each in job_ids(line)]
        if booked.is_ok and found:
            return found
        if shown.is_ok and (booked.is_ok or _is_off(booked)):
            return []
        return None

    def _word(self, job_id: str) -> JobStatus:
        if job_id in self._state.over:
            return self._state.over[job_id]
        seen = self._state.seen.get(job_id)
        if seen is None or seen.doubtful_since is not None:
            return JobStatus.UNKNOWN
        return seen.status

    def _still_wanted(self, now: float) -> set[str]:
        """The jobs with recent questions: the others are dropped."""
        state = self._state
        state.wanted = {
            job_id: at
            for job_id, at in state.wanted.items()
            if now - at < WANTED_S and job_id not in state.over
        }
        state.seen = {job_id: s for job_id, s in state.seen.items() if job_id in state.wanted}
        return set(state.wanted)

    def _is_fresh(self, ids: Iterable[str]) -> bool:
        state = self._state
        age_s = self._now() - state.asked_at
        return age_s < state.keep_s and all(job_id in state.seen for job_id in ids)

    def _pace(self, *, is_quiet: bool, max_age_s: float) -> None:
        """Keep answers for longer while nothing happens; for a fourth of the most when it does."""
        state = self._state
        often_s = max(FRESH_S, max_age_s / 4)
        state.keep_s = state.keep_s * 1.5 if is_quiet else min(state.keep_s * 1.5, often_s)

    def _refresh(self, ids: Collection[str]) -> bool:
        """Ask Slurm about these; whether the controller answered."""
        state = self._state
        shown = self._squeue(ids)
        missing = [job_id for job_id in ids if shown is None or job_id not in shown]
        booked = self._sacct(missing) if missing and state.has_accounting else {}
        self.queries += 1
        state.asked_at = self._now()
        # A query for one element answers for its whole array: the next question is answered, too.
        for job_id in {*ids, *(shown or {}), *(booked or {})} - state.over.keys():
            self._note(job_id, shown, booked)
        return shown is not None

    def _note(
        self,
        job_id: str,
        shown: Mapping[str, JobStatus] | None,
        booked: Mapping[str, JobStatus] | None,
    ) -> None:
        in_queue = shown.get(job_id) if shown is not None else None
        in_books = booked.get(job_id) if booked is not None else None
        if in_queue is not None:
            self._see(job_id, in_queue, is_sure=in_queue not in MAY_COME_BACK)
        elif in_books is not None and in_books.is_over:
            # The books alone do not say whether it is about to be requeued; the queue does.
            self._see(job_id, in_books, is_sure=in_books not in MAY_COME_BACK)
        elif shown is None or booked is None:
            self._state.seen.setdefault(job_id, _Seen(JobStatus.UNKNOWN)).status = JobStatus.UNKNOWN
        else:
            self._see(job_id, JobStatus.LOST, is_sure=False)

    def _see(self, job_id: str, status: JobStatus, *, is_sure: bool) -> None:
        state = self._state
        seen = state.seen.get(job_id)
        if not status.is_over:
            state.seen[job_id] = _Seen(status)
            return
        now = self._now()
        since = seen.doubtful_since if seen and seen.status is status else None
        since = now if since is None else since
        if is_sure or now - since >= SETTLE_S:
            state.over[job_id] = status
            state.seen.pop(job_id, None)
        else:
            state.seen[job_id] = _Seen(status, since)

    def _squeue(self, ids: Collection[str]) -> dict[str, JobStatus] | None:
        command = ("squeue", "-h", "-r", "-a", "-t", "all", "-o", "%i|%T|%r", "-j", _mains(ids))
        answer = self.slurm.run(*command)
        if not answer.is_ok and "Invalid job id" in answer.err:
            return {}  # the controller answered: it has none of them
        if not answer.is_ok:
            get_logger().warning(
                "squeue failed; the status of its jobs is unknown for now: %s", answer.text
            )
            return None
        return self._read(answer.out)

    def _sacct(self, ids: Collection[str]) -> dict[str, JobStatus] | None:
        command = ("sacct", "-n", "-P", "-X", "-a", "-o", "JobID,State", "-j", _mains(ids))
        answer = self.slurm.run(*command)
        if answer.is_ok:
            return self._read(answer.out)
        if _is_off(answer):
            self._state.has_accounting = False
            return {}
        get_logger().debug("sacct failed: %s", answer.text)
        return None

    def _read(self, table: str) -> dict[str, JobStatus]:
        found: dict[str, JobStatus] = {}
        for line in table.splitlines():
            ids, word, reason = (*line.split("|"), "", "")[:3]
            status = status_of(word, reason, cancelled_is_preempted=self.cancelled_is_preempted)
            found |= dict.fromkeys(job_ids(ids), status)
        return found


def _mains(ids: Collection[str]) -> str:
    return ",".join(sorted({job_id.partition("_")[0] for job_id in ids}))


def _is_off(answer: Answer) -> bool:
    text = answer.text.lower()
    return any(sign in text for sign in _ACCOUNTING_IS_OFF)


def _sacct_start(since: str | None) -> str:
    """A start for sacct's search, a day early: its clock is the local one and need not be ours."""
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=30)
    if since:
        start = datetime.datetime.fromisoformat(since) - datetime.timedelta(days=1)
    return start.strftime("%Y-%m-%dT%H:%M:%S")


_queues: dict[tuple[str | None, bool], QueueMonitor] = {}
_lock = threading.Lock()


def queue_of(slurm: Slurm, *, cancelled_is_preempted: bool) -> QueueMonitor:
    """The one view that this process has of a cluster."""
    with _lock:
        key = (slurm.conf, cancelled_is_preempted)
        if key not in _queues:
            _queues[key] = QueueMonitor(slurm, cancelled_is_preempted=cancelled_is_preempted)
        return _queues[key]


def _forget_all() -> None:
    # A forked child must not inherit a lock that a thread of its parent holds.
    global _lock  # noqa: PLW0603  the lock itself is what must be new
    _lock = threading.Lock()
    _queues.clear()


os.register_at_fork(after_in_child=_forget_all)
