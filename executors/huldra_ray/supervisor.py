"""Sends nodes as Ray tasks, hears how they end, and sends again what a worker's death cost.

Lives in the driver, or in a detached actor, which owns the tasks and lets the driver go.
"""

from __future__ import annotations

import json
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from huldra.engines.kit import AttemptStatus, Death, JobStatus, Resources, RetryPolicy, StateManager
from huldra_ray import packages, runtime_envs
from huldra_ray.ended import death_of, status_of, why_other_worker
from huldra_ray.resources import GIB, declared

_FORCE_AFTER_S = 10.0
# A worker that must not make a node says so before it begins; one that always does is no use.
_RENEWALS_MAX = 5


@dataclass(eq=False)
class _Node:
    """One node: what to send, what it needs here, and how far it is."""

    number: int
    name: str
    directory: str
    call: bytes
    options: Mapping[str, Any]
    site: Mapping[str, Any]
    after: tuple[_Node, ...]
    retries: int
    growing: Mapping[str, Any] = field(default_factory=dict)
    generation: int = 0
    renewals: int = 0
    deaths: list[Death] = field(default_factory=list)
    dependents: list[_Node] = field(default_factory=list)
    ref: Any = None
    status: JobStatus = JobStatus.QUEUED
    reason: str = ""
    is_cancelled: bool = False

    def why_not_again(self) -> str:
        """Say why this node is not sent again after its last death; "" where it is."""
        return self._policy().why_not(self.deaths, self._declared())

    def take_more(self) -> None:
        """Request what the next try is to have, after its last death."""
        if not self.growing:
            return
        asked = self._policy().request(self.deaths, self._declared())
        if asked.memory_gb:
            self.options = {**self.options, "memory": int(asked.memory_gb * GIB)}
        limit_s = asked.time_min * 60 if asked.time_min else None
        self.call = json.dumps({**json.loads(self.call), "time_limit_s": limit_s}).encode()

    def _declared(self) -> Resources:
        return declared(self.growing, self.options)

    def _policy(self) -> RetryPolicy:
        return RetryPolicy(self.retries, most=Resources(memory_gb=self.growing.get("most_gb")))

    def packages(self) -> tuple[str, ...]:
        return packages.uris_of(self.options.get("runtime_env") or {})

    def open_needs(self) -> list[_Node]:
        return [node for node in self.after if not node.status.is_over]


class Supervisor:
    """The books of one cluster's nodes. All methods may be called from any thread."""

    def __init__(self, task_for: Callable[[Mapping[str, Any]], Any]) -> None:
        """`task_for` is `remote.task_for`."""
        self._task_for = task_for
        self._tasks: dict[str, Any] = {}
        self._generations: Counter[str] = Counter()
        self._pins = packages.Pins()
        self._changed = threading.Condition()
        self._nodes: dict[str, _Node] = {}
        self._count = 0
        self._log: list[tuple[str, str, str]] = []
        self._is_closed = False
        self._ends: queue.SimpleQueue[tuple[_Node, Any, BaseException | None] | None]
        self._ends = queue.SimpleQueue()
        threading.Thread(target=self._hear, name="huldra-ray", daemon=True).start()

    def submit(self, batch: list[dict[str, Any]], site: Mapping[str, Any]) -> None:
        """Send one driver's nodes, each after those that it names in `after`.

        `site` is the driver's `driver_path.describe()`. Returns when Ray has the nodes.
        """
        with self._changed:
            for entry in batch:
                known = self._nodes.get(entry["name"])
                if known is None or known.status.is_over:  # else another driver sent the same node
                    self._add(entry, site)

    def _add(self, entry: Mapping[str, Any], site: Mapping[str, Any]) -> None:
        needs = (self._nodes.get(name) for name in entry["after"])
        after = tuple(node for node in needs if node is not None)
        self._count += 1
        node = _Node(
            self._count,
            entry["name"],
            entry["directory"],
            entry["call"],
            entry["options"],
            site,
            after,
            entry["retries"],
            entry.get("asked", {}),
        )
        self._nodes[node.name] = node
        self._pins.hold(node.packages())
        for need in after:
            need.dependents.append(node)
        self._send(node)

    def status(self, names: list[str]) -> dict[str, tuple[str, str]]:
        """Status and reason of those of `names` that are known here."""
        with self._changed:
            known = {name: self._nodes[name] for name in names if name in self._nodes}
            return {name: (node.status.value, node.reason) for name, node in known.items()}

    def news(self, cursor: int, timeout_s: float) -> tuple[int, list[tuple[str, str, str]]]:
        """The ends after `cursor`, and the next cursor; waits up to `timeout_s` for one."""
        with self._changed:
            if cursor < 0:
                return len(self._log), []
            self._changed.wait_for(lambda: self._is_closed or len(self._log) > cursor, timeout_s)
            return len(self._log), self._log[cursor:]

    def close(self) -> None:
        """Ask nothing of Ray from now on, and let no caller wait for news."""
        with self._changed:
            self._is_closed = True
            self._pins.close()
            self._changed.notify_all()

    def cancel(self, names: list[str]) -> None:
        """End those of `names` that are open; each has been cancelled in its store before.

        Ray is not asked to, as its `cancel` (2.60) races with the task: when that is on its way to
        a worker, or waits for another one, the whole process that asked may be aborted, be it the
        user's driver or the supervisor of all jobs. So a task that has not begun comes
        to its worker, finds its attempt ended and makes nothing; one that runs sees the request
        beside its claim within a second; only what still runs after a grace is killed by Ray.
        """
        running = []
        with self._changed:
            known = [self._nodes[name] for name in names if name in self._nodes]
            # Dependents first: they are cancelled themselves, and do not fail upstream.
            for node in sorted(known, key=lambda node: -node.number):
                if node.status.is_over:
                    continue
                node.is_cancelled = True
                if node.open_needs():
                    self._end(node, JobStatus.CANCELLED, "cancelled before it began")
                else:
                    running.append(node)
        timer = threading.Timer(_FORCE_AFTER_S, self._force, [running])
        timer.daemon = True
        timer.start()

    def _force(self, cancelled: Iterable[_Node]) -> None:
        import ray

        for node in cancelled:
            ref = node.ref
            if ref is not None and not self._is_closed and _is_running(node):
                ray.cancel(ref, force=True, recursive=False)

    def _send(self, node: _Node) -> None:
        needs = node.open_needs()
        if any(
            need.status.is_over for need in node.after if need.status is not JobStatus.SUCCEEDED
        ):
            self._end(node, JobStatus.UPSTREAM_FAILED, "what it needs had failed before")
            return
        refs = [need.ref for need in needs]
        node.generation = self._generations[node.site["digest"]]
        can_renew = node.renewals < _RENEWALS_MAX
        node.ref = self._task_of(node).remote(node.call, can_renew, *refs)
        node.ref.future().add_done_callback(self._listener(node, node.ref))

    def _task_of(self, node: _Node) -> Any:
        """The task with its options; nodes have few different ones, and Ray takes its time."""
        digest = node.site["digest"]
        shape = f"{digest} {node.generation} {sorted(node.options.items())!r}"
        task = self._tasks.get(shape)
        if task is None:
            plain = self._tasks.get(digest) or self._task_for(node.site)
            self._tasks[digest] = plain
            task = self._tasks[shape] = plain.options(**_options_of(node))
        return task

    def _listener(self, node: _Node, ref: Any) -> Callable[[Any], None]:
        def report(future: Any) -> None:
            self._ends.put((node, ref, future.exception()))

        return report

    def _hear(self) -> None:
        import ray

        while (heard := self._ends.get()) is not None:
            with self._changed:
                # Shut down, Ray fails what runs; and to send that again would start Ray again.
                if not self._is_closed and ray.is_initialized():
                    self._take(*heard)

    def _take(self, node: _Node, ref: Any, error: BaseException | None) -> None:
        """Note how a task ended; what was sent again meanwhile is not meant."""
        if node.ref is not ref or node.status.is_over:
            return
        if error is None:
            self._end(node, JobStatus.SUCCEEDED, "")
            return
        status, reason = status_of(error, node.name)
        if node.is_cancelled:
            self._end(node, JobStatus.CANCELLED, reason)
        elif why_other_worker(error, node.name):
            self._renew(node)
        elif status is JobStatus.UPSTREAM_FAILED:
            # What it needs is sent again, and this with it; or has ended, and this with it.
            node.ref = None
        elif status.is_infrastructure:
            self._take_death(node, death_of(error, status, reason))
        else:
            self._end(node, status, reason)

    def _renew(self, node: _Node) -> None:
        """Send a node again, to a new process, which costs none of its retries.

        Ray cannot be asked to end an idle worker. But it starts new ones for a runtime_env that it
        has not seen, and ends those that are idle.
        """
        node.renewals += 1
        digest = node.site["digest"]
        if self._generations[digest] == node.generation:  # else a later one is in use already
            self._generations[digest] += 1
        self._send_again(node)

    def _take_death(self, node: _Node, death: Death) -> None:
        node.deaths.append(death)
        if why_not := node.why_not_again():
            self._end(node, death.status, why_not)
        else:
            node.take_more()
            self._send_again(node)

    def _send_again(self, node: _Node) -> None:
        """Send a node and what needs it, whose tasks have failed with its own."""
        for each in [node, *_downstream(node)]:
            self._send(each)

    def _end(self, node: _Node, status: JobStatus, reason: str) -> None:
        self._close(node, status, reason)
        if status is not JobStatus.SUCCEEDED:
            for dependent in _downstream(node):
                self._close(dependent, JobStatus.UPSTREAM_FAILED, f"{node.name}: {reason}")
        self._changed.notify_all()

    def _close(self, node: _Node, status: JobStatus, reason: str) -> None:
        node.status, node.reason, node.ref = status, reason, None
        node.after, node.call = (), b""
        self._pins.release(node.packages())
        self._log.append((node.name, status.value, reason))


def _options_of(node: _Node) -> dict[str, Any]:
    """Ray's options of the node's task, for the workers of its generation alone."""
    options = dict(node.options)
    if node.generation:
        mark = {runtime_envs.DRIVER_VARIABLE: f"{node.site['digest']}-{node.generation}"}
        options["runtime_env"] = runtime_envs.merge(options.get("runtime_env"), {"env_vars": mark})
    return options


def _is_running(node: _Node) -> bool:
    """Return True if the artifact is being made: Ray has one answer for queued and running."""
    attempt = StateManager.read(node.directory).attempt
    return attempt is not None and attempt.status is AttemptStatus.RUNNING


def _downstream(node: _Node) -> list[_Node]:
    """The open nodes that need this one, straight or through others, each after what it needs."""
    found: dict[int, _Node] = {}
    stack = [node]
    while stack:
        for dependent in stack.pop().dependents:
            if dependent.number not in found and not dependent.status.is_over:
                found[dependent.number] = dependent
                stack.append(dependent)
    return [found[number] for number in sorted(found)]  # what is needed was submitted before
