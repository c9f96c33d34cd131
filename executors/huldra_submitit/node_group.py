"""Many short nodes in one job: one after another on one warm worker process.

Each node has its own claim, log, limit and retries. What dies is the worker, never this process:
its node is tried again or given up, and the rest of the group goes on with a new worker. A job that
Slurm takes away is requeued, and finds what is made.
"""

from __future__ import annotations

import select
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from huldra.engines.kit import (
    Death,
    JobRef,
    JobStatus,
    MemoryKills,
    Resources,
    RetryPolicy,
    descendants,
    get_logger,
    how_it_ended,
    run_folder,
)
from huldra.errors import NodeFailed
from huldra.worker import server
from huldra.worker.process import WorkerProcess
from huldra_submitit.node import TerminationHandler, own_ref, preempt_signal, requeued

RUNNER = "huldra_submitit.node_group:run_in_group"
_GRACE_S = 10.0
_LAST_GRACE_S = (
    25.0  # Slurm's KillWait, 30 s where a site says nothing, less what we need ourselves
)


@dataclass(frozen=True)
class ShortNode:
    """One node of a group: what `run_node` gets, and its own limits."""

    key: str
    payload: str
    memory_gb: float | None = None
    time_min: float | None = None

    def declared(self) -> Resources:
        """What it requests of memory and time."""
        return Resources(memory_gb=self.memory_gb, time_min=self.time_min)


@dataclass
class NodeGroup:
    """The nodes of one job; submitit calls it, and `checkpoint` before it requeues the job."""

    nodes: tuple[ShortNode, ...]
    engine: str
    max_requeues: int
    meta: dict[str, Any] = field(default_factory=dict)
    given_up: dict[int, str] = field(default_factory=dict[int, str])  # by index: the failure's text
    tried: set[int] = field(default_factory=set[int])

    def __post_init__(self) -> None:
        self._worker: WorkerProcess | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_worker": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A queued job may have been pickled by a version that kept neither.
        self.__dict__.update({"given_up": {}, "tried": set(), **state})

    def __call__(self) -> None:
        """Make each node; raises `NodeFailed` at the end when one was not made.

        After a requeue those go first that were not tried yet, and those given up stay given up.
        """
        descendants.adopt_orphans()
        if self.engine == "slurm":
            signal.signal(signal.SIGTERM, self._terminated)
        try:
            for number in self._left():
                self.tried.add(number)
                if problem := self._make(number, self.nodes[number]):
                    get_logger().warning("%s", problem)
                    self.given_up[number] = problem
        finally:
            self._end_worker()
            descendants.end_own()
        if self.given_up:
            failed, first = len(self.given_up), self.given_up[min(self.given_up)]
            raise NodeFailed(f"{failed} of {len(self.nodes)} nodes were not made; {first}")

    def checkpoint(self) -> Any:
        """What to run after a requeue: this, with what was given up. The worker is ended first."""
        self._end_worker()
        return requeued(self, self.max_requeues)

    def _terminated(self, signum: int, frame: FrameType | None) -> None:
        """Handle SIGTERM: the node that runs has the time that Slurm gives it to end well.

        Where we bring the job back, `checkpoint` ends the worker, sooner: that takes time, too.
        """
        ending = TerminationHandler()
        if not ending.wants_requeue():
            self._end_worker(_LAST_GRACE_S)
        ending.act(signum, frame)

    def _left(self) -> list[int]:
        left = [number for number in range(len(self.nodes)) if number not in self.given_up]
        return sorted(left, key=self.tried.__contains__)

    def _make(self, number: int, node: ShortNode) -> str:
        """Make one node, trying again what its worker's death cost; the failure's text, or ""."""
        policy, deaths = RetryPolicy(self.max_requeues), list[Death]()
        while True:
            outcome = self._try(number, node)
            if not isinstance(outcome, Death):
                return outcome
            deaths.append(outcome)
            if why_not := policy.why_not(deaths, node.declared()):
                return f"{node.key}: {why_not}"

    def _try(self, number: int, node: ShortNode) -> str | Death:
        folder = run_folder(node.payload)
        try:
            worker = self._living_worker(folder)
        except OSError as error:
            return Death(JobStatus.LOST, text=f"its worker could not be started ({error})")
        worker.send(number, node.payload, folder, own_ref(self.engine, self.meta))
        limit_s = node.time_min * 60 if node.time_min else None
        answer, in_time = _answer_of(worker, number, limit_s)
        if answer is not None and in_time:
            return answer["error"] or ""
        self._worker = None
        code = worker.reap()
        if not in_time:
            text = f"it reached its time limit of {node.time_min:g} minutes"
            return Death(JobStatus.TIMED_OUT, text=text)
        text = f"its worker (pid {worker.pid}) died {how_it_ended(code)}"
        return Death.of_process(code, text, kernel_lacked_memory=self._kills.explain_one())

    def _living_worker(self, folder: str) -> WorkerProcess:
        worker = self._worker
        if worker is not None and (worker.spent or _is_dead(worker)):
            self._end_worker()
        if self._worker is None:
            self._worker = WorkerProcess(self.engine, RUNNER, (), folder)
            self._kills = MemoryKills()
        return self._worker

    def _end_worker(self, grace_s: float = _GRACE_S) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        _stop(worker, grace_s)
        worker.reap()


def run_in_group(payload: str, job: JobRef | None) -> None:
    """Run one node in the worker of a group; Slurm's signals reach this process, too."""
    server.run_node(
        payload,
        job,
        preempt_signals=(preempt_signal(),),
        was_cancelled=TerminationHandler().is_cancel,
    )


def _answer_of(
    worker: WorkerProcess, number: int, limit_s: float | None
) -> tuple[Mapping[str, Any] | None, bool]:
    """The worker's answer, None when it died without one; and whether that was in time.

    A worker that is late is ended.
    """
    deadline = None
    while True:
        if worker.ready and deadline is None and limit_s is not None:
            deadline = time.monotonic() + limit_s  # starting a worker is not the node's doing
        left_s = None if deadline is None else deadline - time.monotonic()
        if left_s is not None and left_s <= 0:
            _stop(worker, _GRACE_S)
            return None, False
        _poll(worker, left_s)
        answers, more = worker.receive()
        for answer in answers:
            worker.ready = worker.ready or "ready" in answer
            if answer.get("id") == number:
                return answer, True
        if not more:
            return None, True


def _is_dead(worker: WorkerProcess) -> bool:
    """Return True if it died since its last answer, which is the doing of no node."""
    answers, more = worker.receive()
    worker.ready = worker.ready or any("ready" in answer for answer in answers)
    return not more


def _poll(worker: WorkerProcess, timeout_s: float | None) -> None:
    poll = select.poll()
    poll.register(worker.answers, select.POLLIN)
    poll.poll(None if timeout_s is None else timeout_s * 1000)


def _stop(worker: WorkerProcess, grace_s: float) -> None:
    """SIGTERM first, so that it records the end of its attempt; SIGKILL after the grace."""
    worker.signal(signal.SIGTERM)
    if not _has_ended(worker, grace_s):
        worker.signal(signal.SIGKILL)


def _has_ended(worker: WorkerProcess, within_s: float) -> bool:
    """Return True if the worker closes its pipe, which it does by dying, in this time."""
    deadline = time.monotonic() + within_s
    while (left_s := deadline - time.monotonic()) > 0:
        _poll(worker, left_s)
        if not worker.receive()[1]:
            return True
    return False
