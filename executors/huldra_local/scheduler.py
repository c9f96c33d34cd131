"""The pool's heart: one thread that hands tasks to workers the moment they can run.

It alone owns the jobs and the workers; other threads leave it commands and wake it. It
sleeps in one `select` over the workers' answers, their deaths and those commands, so a hop from
a task to its dependent is one read and one write.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from huldra.engines.kit import LOCAL as ENGINE
from huldra.engines.kit import (
    Death,
    JobRef,
    JobStatus,
    MemoryKills,
    Resources,
    RetryPolicy,
    Task,
    how_it_ended,
    startup_log_path,
)
from huldra.worker.process import WorkerProcess
from huldra_local.ready import ReadyQueue
from huldra_local.slots import Need, Slots, Totals
from huldra_local.table import JobTable

logger = logging.getLogger("huldra.local")

_START_BACKOFF_S = 0.5
# No clock of the system's takes any number of seconds: epoll takes 24 days, a lock 292 years. What
# sleeps longer than this looks at the time once a day.
_LONGEST_SLEEP_S = 86_400.0


@dataclass(slots=True, eq=False)
class PoolJob:
    """One submitted task and where it stands."""

    number: int
    ref: JobRef
    task: Task
    need: Need
    log_directory: str
    retry: RetryPolicy
    asked: Resources  # by this try
    waits_for: int = 0
    dependents: list[PoolJob] = field(default_factory=list)
    upstream_failed: bool = False
    deaths: list[Death] = field(default_factory=list)
    over: bool = False
    worker: Worker | None = None
    gpus: tuple[str, ...] = ()
    ending: JobStatus | None = None  # why its worker is being ended, once it is


class Worker(WorkerProcess):
    """A worker process and the job it runs."""

    job: PoolJob | None = None
    idle_since_s: float = 0.0


@dataclass(frozen=True)
class PoolSettings:
    """`idle_s` until an unused worker is let go, `grace_s` from SIGTERM to SIGKILL."""

    totals: Totals
    idle_s: float
    grace_s: float
    runner: str


class Scheduler:
    """Runs jobs on worker processes. `submit`, `cancel` and `close` are for any thread.

    `owner` is kept alive as long as the thread is: refs must find the executor of jobs that run,
    also when the caller has let it go.
    """

    def __init__(self, settings: PoolSettings, table: JobTable, owner: object) -> None:
        self._owner = owner
        self._settings = settings
        self._table = table
        self._commands: deque[Callable[[], None]] = deque()
        self._sleeping = False
        self._closing = False
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._on_wake)
        self._open: dict[str, PoolJob] = {}
        self._ready: ReadyQueue[PoolJob] = ReadyQueue()
        self._slots = Slots(settings.totals)
        self._workers: set[Worker] = set()
        self._memory_kills = MemoryKills()
        self._idle: list[Worker] = []
        self._retired = 0
        self._ends: list[tuple[str, JobStatus]] = []
        self._alarms: list[tuple[float, int, Callable[[], None]]] = []
        self._alarm_numbers = itertools.count()
        self._looks_for_idle = False
        self._hires = True  # False for a while after a new worker could not be had
        self._thread = threading.Thread(target=self._run, name="huldra-local-pool", daemon=True)
        self._thread.start()

    # For any thread

    def submit(self, job: PoolJob, after: Sequence[str]) -> None:
        """Start the job once all jobs of these ids are over, as soon as there is room."""
        self._command(partial(self._admit, job, after))

    def cancel(self, job_ids: Sequence[str]) -> None:
        """End these jobs if they are not over."""
        self._command(partial(self._cancel_all, job_ids))

    def close(self) -> None:
        """End what runs (SIGTERM, after the grace SIGKILL) and wait until all workers are gone."""
        self._command(self._close)
        self._thread.join(min(self._settings.grace_s + 5, threading.TIMEOUT_MAX))

    @property
    def is_alive(self) -> bool:
        """True if it can still run jobs: False after `close`, and after a defect of its own."""
        return self._thread.is_alive() and not self._closing

    def detach_after_fork(self) -> None:
        """Close a forked child's copies of the parent's descriptors."""
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        for worker in self._workers:
            worker.detach_after_fork()

    def _command(self, command: Callable[[], None]) -> None:
        # The order here and in `_sleep` is what loses no wake-up: the command is in the queue
        # before the flag is read, the flag is set before the queue is read.
        self._commands.append(command)
        if self._sleeping:
            try:
                os.write(self._wake_write, b"w")
            except BlockingIOError:  # full: it will wake
                pass
            except OSError:  # closed meanwhile: no worker is left to command
                pass

    # The thread

    def _run(self) -> None:
        try:
            while not self._closing or self._workers:
                self._sleep()
                self._run_commands()
                self._fire_timers()
                self._start_what_fits()
                self._publish()
        except BaseException:
            logger.exception(
                "the local pool broke: its jobs are lost; a new call starts a new pool"
            )
            raise
        finally:
            self._end()

    def _end(self) -> None:
        self._closing = True
        for worker in self._workers:
            worker.signal(signal.SIGKILL)
        self._run_commands()  # what was sent until now is reported as not run
        self._ends += [(job_id, JobStatus.LOST) for job_id in self._open]
        self._publish()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _sleep(self) -> None:
        self._sleeping = True
        events = self._selector.select(0 if self._commands else self._until_alarm_s())
        self._sleeping = False
        for key, _ in events:
            key.data()

    def _on_wake(self) -> None:
        os.read(self._wake_read, 4096)

    def _run_commands(self) -> None:
        while self._commands:
            self._commands.popleft()()

    def _publish(self) -> None:
        # After the workers have got their next tasks: those who wait for jobs can wait for that.
        if self._ends:
            ends, self._ends = self._ends, []
            self._table.end(ends)

    # Alarms

    def _call_later(self, delay_s: float, ring: Callable[[], None]) -> None:
        at = time.monotonic() + delay_s
        heapq.heappush(self._alarms, (at, next(self._alarm_numbers), ring))

    def _until_alarm_s(self) -> float | None:
        if not self._alarms:
            return None
        return min(max(0.0, self._alarms[0][0] - time.monotonic()), _LONGEST_SLEEP_S)

    def _fire_timers(self) -> None:
        while self._alarms and self._alarms[0][0] <= time.monotonic():
            heapq.heappop(self._alarms)[2]()

    # Jobs

    def _admit(self, job: PoolJob, after: Sequence[str]) -> None:
        if self._closing:
            self._ends.append((job.ref.job_id, JobStatus.PREEMPTED))
            return
        self._open[job.ref.job_id] = job
        for job_id in after:
            earlier = self._open.get(job_id)
            if earlier is not None:
                earlier.dependents.append(job)
                job.waits_for += 1
            elif self._status_of_ended(job_id) is not JobStatus.SUCCEEDED:
                job.upstream_failed = True
        self._enqueue(job)

    def _status_of_ended(self, job_id: str) -> JobStatus | None:
        unpublished = dict(self._ends) if self._ends else {}
        return unpublished.get(job_id) or self._table.get(job_id)

    def _enqueue(self, job: PoolJob) -> None:
        if job.waits_for == 0 and not job.over:
            self._ready.push(job.number, job.need, job)

    def _start_what_fits(self) -> None:
        while (self._hires or self._idle) and self._ready:
            job = self._ready.pop(self._slots)
            if job is None or not self._start(job):
                return

    def _start(self, job: PoolJob) -> bool:
        """Hand a job to a worker; False where it goes on waiting for one."""
        job.gpus = self._slots.take(job.need)
        try:
            worker = self._worker_for(job)
        except OSError as error:
            self._slots.give_back(job.need, job.gpus)
            return self._go_without(job, error)
        job.worker, worker.job = worker, job
        worker.send(job.number, job.task.payload, job.log_directory, job.ref)
        self._table.set_open(job.ref.job_id, JobStatus.RUNNING, worker.log_path)
        if worker.ready:
            self._limit_time(job, worker)
        return True

    def _go_without(self, job: PoolJob, error: OSError) -> bool:
        """Keep a job whose new worker could not be had for one of the workers that there are.

        Its try is spent only where there is none: this process has no descriptors, processes or
        memory left, and what it has may well do all of the work, if in more time.
        """
        why = f"no worker could be started for it: {error}"
        if len(self._workers) == self._retired:
            self._try_again(job, Death(JobStatus.LOST, text=why), _START_BACKOFF_S)
            return True
        logger.warning("%s: %s; it waits for an existing worker", job.task.label, why)
        self._hires = False
        self._call_later(_START_BACKOFF_S, self._hire_again)
        self._enqueue(job)
        return False

    def _hire_again(self) -> None:
        self._hires = True

    def _settle(self, job: PoolJob, status: JobStatus) -> None:
        job.over = True
        del self._open[job.ref.job_id]
        self._ends.append((job.ref.job_id, status))
        for dependent in job.dependents:
            dependent.waits_for -= 1
            # It is sent all the same: `run_node` looks at the artifacts themselves, fails at once
            # and names what is missing, also where the failure left no word in the store.
            dependent.upstream_failed |= status is not JobStatus.SUCCEEDED
            self._enqueue(dependent)

    def _try_again(self, job: PoolJob, death: Death, delay_s: float = 0.0) -> None:
        job.deaths.append(death)
        if why_not := job.retry.why_not(job.deaths, job.task.resources):
            logger.warning("%s is lost: %s", job.task.label, why_not)
            self._table.set_reason(job.ref.job_id, why_not)
            self._settle(job, death.status)
            return
        job.asked = job.retry.request(job.deaths, job.task.resources)
        job.need = Need.of(job.asked)
        job.ending = None
        logger.warning(
            "%s: %s; try %d with %s",
            job.task.label,
            death.text,
            len(job.deaths) + 1,
            _told(job.asked) or "the same request",
        )
        self._table.set_open(job.ref.job_id, JobStatus.QUEUED)
        if delay_s:
            self._call_later(delay_s, partial(self._enqueue, job))
        else:
            self._enqueue(job)

    def _cancel_all(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            job = self._open.get(job_id)
            if job is None:
                continue
            if job.worker is None:
                self._settle(job, JobStatus.CANCELLED)
            else:
                self._interrupt(job, job.worker, JobStatus.CANCELLED)

    def _limit_time(self, job: PoolJob, worker: Worker) -> None:
        if job.asked.time_min:
            self._call_later(job.asked.time_min * 60, partial(self._time_out, job, worker))

    def _time_out(self, job: PoolJob, worker: Worker) -> None:
        if worker.job is job:
            logger.warning("%s is stopped: %s", job.task.label, _limit_text(job))
            self._interrupt(job, worker, JobStatus.TIMED_OUT)

    def _interrupt(self, job: PoolJob, worker: Worker, status: JobStatus) -> None:
        was_ending = job.ending
        if was_ending in (None, JobStatus.TIMED_OUT):  # what is cancelled has no other try
            job.ending = status
        if was_ending is None:
            worker.signal(signal.SIGTERM)
            self._call_later(self._settings.grace_s, partial(self._kill, job, worker))

    def _kill(self, job: PoolJob, worker: Worker) -> None:
        if worker.job is job:
            worker.signal(signal.SIGKILL)

    def _close(self) -> None:
        self._closing = True
        for job in list(self._open.values()):
            if job.worker is None:
                self._settle(job, JobStatus.PREEMPTED)
            else:
                self._interrupt(job, job.worker, JobStatus.PREEMPTED)
        for worker in list(self._idle):
            self._drain_worker(worker)

    # Workers

    def _worker_for(self, job: PoolJob) -> Worker:
        for place in range(len(self._idle) - 1, -1, -1):
            if self._idle[place].gpus == job.gpus:
                return self._idle.pop(place)
        # An idle worker that has used these GPUs may still hold their memory.
        for worker in [w for w in self._idle if set(w.gpus) & set(job.gpus)]:
            self._drain_worker(worker)
        if self._idle and len(self._workers) - self._retired >= self._settings.totals.workers:
            self._drain_worker(self._idle[0])
        if not self._hires:
            raise OSError("none could be had a moment ago")
        return self._start_worker(job)

    def _start_worker(self, job: PoolJob) -> Worker:
        worker = Worker(ENGINE, self._settings.runner, job.gpus, job.log_directory)
        self._workers.add(worker)
        self._memory_kills = MemoryKills()  # earlier kills explain no death of this one
        read = selectors.EVENT_READ
        self._selector.register(worker.answers, read, partial(self._on_answers, worker))
        if worker.death is not None:
            self._selector.register(worker.death, read, partial(self._on_death, worker))
        return worker

    def _drain_worker(self, worker: Worker) -> None:
        if worker in self._idle:
            self._idle.remove(worker)
        self._retired += 1
        worker.retire()

    def _on_answers(self, worker: Worker) -> None:
        if worker not in self._workers:
            return  # its death stood before its answers in the same round of events
        answers, more = worker.receive()
        for answer in answers:
            self._on_answer(worker, answer)
        if more:
            return
        if worker.death is None:
            self._on_death(worker)
        else:  # its death is seen separately, since a child of its own may keep the pipe open
            self._selector.unregister(worker.answers)
            if not worker.retired:
                worker.signal(signal.SIGKILL)  # alive or not: it can answer no more

    def _on_answer(self, worker: Worker, answer: dict[str, Any]) -> None:
        if "ready" in answer:
            worker.ready = True
            if worker.job is not None:  # its time begins now: starting a worker is not its doing
                self._limit_time(worker.job, worker)
            return
        job = self._release(worker)
        if job is None:
            return
        if (
            job.ending
            or self._closing
            or worker.spent
            or (job.gpus and answer["error"] is not None and not job.upstream_failed)
        ):
            # A signal may still be on its way to it; or, after a failure on a GPU, the device's
            # context may be spoilt for every later task of that process; or it says so itself.
            self._drain_worker(worker)
        else:
            worker.idle_since_s = time.monotonic()
            self._idle.append(worker)
            self._look_for_idle()
        status = _status_of_answer(job, answer)
        if status is JobStatus.TIMED_OUT:
            self._try_again(job, Death(status, text=_limit_text(job)))
        else:
            self._settle(job, status)

    def _release(self, worker: Worker) -> PoolJob | None:
        job, worker.job = worker.job, None
        if job is not None:
            job.worker = None
            self._slots.give_back(job.need, job.gpus)
        return job

    def _on_death(self, worker: Worker) -> None:
        answers, _ = worker.receive()
        for answer in answers:  # it may have answered before it died
            self._on_answer(worker, answer)
        for descriptor in (worker.answers, worker.death):
            if descriptor is not None and descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
        self._workers.discard(worker)
        if worker.retired:
            self._retired -= 1
        elif worker in self._idle:
            self._idle.remove(worker)
        code = worker.reap()
        job = self._release(worker)
        if job is not None:
            self._after_death(job, worker, code)

    def _after_death(self, job: PoolJob, worker: Worker, code: int) -> None:
        if job.ending is JobStatus.TIMED_OUT:
            self._try_again(job, Death(job.ending, text=_limit_text(job)))
            return
        if job.ending is not None:
            self._settle(job, job.ending)
            return
        text = f"its worker (pid {worker.pid}) died {how_it_ended(code)}"
        if not worker.ready:
            text += f" before it was up, see {startup_log_path(job.log_directory, ENGINE)}"
        if worker.peak_gb:
            text += f", having used up to {worker.peak_gb:.1f} GiB"
        lacked = self._memory_kills.explain_one()
        death = Death.of_process(code, text, kernel_lacked_memory=lacked)
        self._try_again(job, death, 0.0 if worker.ready else _START_BACKOFF_S)

    def _look_for_idle(self) -> None:
        if not self._looks_for_idle:
            self._looks_for_idle = True
            self._call_later(self._settings.idle_s, self._retire_idle)

    def _retire_idle(self) -> None:
        self._looks_for_idle = False
        now = time.monotonic()
        for worker in list(self._idle):
            if now - worker.idle_since_s >= self._settings.idle_s:
                self._drain_worker(worker)
        if self._idle:
            self._looks_for_idle = True
            oldest_s = now - min(worker.idle_since_s for worker in self._idle)
            self._call_later(self._settings.idle_s - oldest_s, self._retire_idle)


def _status_of_answer(job: PoolJob, answer: dict[str, Any]) -> JobStatus:
    if answer["error"] is None:
        return JobStatus.SUCCEEDED
    if job.ending is not None:
        return job.ending
    return JobStatus.UPSTREAM_FAILED if job.upstream_failed else JobStatus.FAILED


def _limit_text(job: PoolJob) -> str:
    return f"it reached its time limit of {job.asked.time_min:g} minutes"


def _told(asked: Resources) -> str:
    """What a try requests of memory and time, as text."""
    amounts = {"memory_gb": asked.memory_gb, "time_min": asked.time_min}
    return ", ".join(f"{key}={amount:g}" for key, amount in amounts.items() if amount)
