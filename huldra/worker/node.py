"""What an engine runs: one node of a run, found by two words of JSON.

The engine carries `{"protocol": 2, "run": "<path of the run record>", "key": "<key>"}`. All else is
in the run record on the shared disk: configs, edges, claims, settings, import path. So engines
carry a hundred bytes a node, and nothing of the user's is pickled.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from huldra.attempts import context, liveness
from huldra.attempts.attempt import error_record, obtain
from huldra.attempts.heartbeat import uptime_s
from huldra.attempts.liveness import Watch
from huldra.attempts.waiting import Waiting
from huldra.config import documents
from huldra.config.hashing import key_of
from huldra.engines.protocol import PAYLOAD_PROTOCOL, PAYLOAD_PROTOCOLS, JobStatus
from huldra.engines.release import end_queued_node
from huldra.engines.retry import RetryPolicy
from huldra.errors import HuldraCancelled, HuldraError, NodeFailed
from huldra.logs.capture import capture, get_logger
from huldra.scheduling import in_process, run_record
from huldra.scheduling.run_record import RunRecord
from huldra.settings import HULDRA_CONFIG
from huldra.store import artifact, claim, success
from huldra.store.job_ref import JobRef, task_name
from huldra.store.layout import ArtifactPaths
from huldra.store.location import paths_of
from huldra.store.process import LOCAL, Owner, is_same_process, this_process
from huldra.store.records import (
    QUEUED,
    STARTED,
    Attempt,
    AttemptStatus,
    Claim,
    ErrorRecord,
    upstream_error,
)
from huldra.worker import code, frozen_code, process_state

_RETRY_PATIENCE_S = 60.0
# Of configs on disk: what was built from more than this is let go before the next node.
_BUILT_BYTES = 8 << 20


@dataclass(slots=True)
class Run:
    """A run as a worker knows it: its record, the objects that were built, and its queued claims.

    The claims by number: those of two nodes differ in nothing that is looked at.
    """

    path: str
    record: RunRecord
    driver: Owner
    named_job: JobRef | None = None
    built: dict[str, Any] = field(default_factory=dict)
    built_from_bytes: int = 0
    claims: dict[int, Claim] = field(default_factory=dict)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What all nodes of the run have in common."""
        return self.record.facts

    def node(self, key: str) -> Mapping[str, Any]:
        """The record of one node; a key that is not in the run is the engine's mistake."""
        node = self.record.node(key)
        if node is None:
            raise NodeFailed(f"{key} is not a node of the run {self.path}")
        return node

    def job_of(self, key: str, node: Mapping[str, Any]) -> JobRef | None:
        """The engine's job of a node, where the engine takes names of ours."""
        return self.named_job.named(task_name(key, node["claim"])) if self.named_job else None

    def dependents(self, key: str) -> list[str]:
        """Every node that needs `key`, straight or through others."""
        found, front = {key}, [key]
        while front:
            for dependent in self.record.dependents(front.pop()):
                if dependent not in found:
                    found.add(dependent)
                    front.append(dependent)
        return sorted(found - {key})

    def build(self, ref: str) -> Any:
        """The config of this hash, and all configs in it."""
        if self.record.read_bytes - self.built_from_bytes > _BUILT_BYTES:
            self.built = {}  # another one: other threads may be building
            self.built_from_bytes = self.record.read_bytes
        return documents.build(ref, self.record.objects(), self.built)


@lru_cache(maxsize=4)
def _load_run(path: str) -> Run:
    record = run_record.read(path)
    if record is None:
        raise NodeFailed(
            f"the run record {path} is missing or unreadable here: the root must be a folder that"
            " workers share with the driver, under the same path"
        )
    named_job = JobRef.read(record.facts.get("named_job"))
    return Run(path, record, Owner.from_json(record.facts["driver"]), named_job)


def run_node(
    payload: str,
    *,
    job: JobRef | None = None,
    owns_process: bool = False,
    keeps_folder: bool = False,
    preempt_signals: tuple[int, ...] = (),
    can_renew: bool = False,
    was_cancelled: Callable[[], bool] | None = None,
) -> None:
    """Compute one node of a run, unless it is complete.

    Calling it again with the same payload is right after a worker died, and harmless at any time: a
    node that is made stays, one whose code failed stays failed.

    Args:
        payload: What the core put into `Task.payload`.
        job: The engine's job, where the adapter knows it better than the node's claim.
        owns_process: The process exists for this node: the working directory may be changed, a
            cancel is looked for, and the process is ended when its lease is lost.
        keeps_folder: The engine was asked for a working directory of the node's own: stay in it.
        preempt_signals: Signals beside SIGTERM that mean preemption here. The attempt is recorded,
            the previous handlers come back, and then the signal is raised again.
        can_renew: The caller runs the payload again in a new process when this one has other code
            in memory than the node wants. It must not say so for ever: a third time is no use.
        was_cancelled: Called once SIGTERM came: True for a cancel by the engine's own command,
            which leaves no mark in the store, False for a preemption.

    Raises:
        NeedsNewProcess: Only with `can_renew`; the node is as it was.
        NodeFailed: The node is not made; the text says why, and where its log is.
    """
    place = _Place(job, owns_process, keeps_folder, preempt_signals, can_renew)
    if was_cancelled is not None:
        context.was_cancelled.set(was_cancelled)
    failure = _run(payload, place)
    if failure is not None:
        # Raised outside of any `except`: an engine that pickles errors with their causes would
        # otherwise carry the user's exception, which may not pickle.
        raise NodeFailed(failure)


def output_path(payload: str) -> str:
    """The file that keeps what the node of a payload prints, in a process that exists for it."""
    words = json.loads(payload)
    _refuse_protocol(words)
    return ArtifactPaths(_load_run(words["run"]).node(words["key"])["directory"]).output


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node runs, as its adapter says; see `run_node` for the words."""

    job: JobRef | None
    owns_process: bool
    keeps_folder: bool
    preempt_signals: tuple[int, ...]
    can_renew: bool


def _run(payload: str, place: _Place) -> str | None:
    try:
        words = json.loads(payload)
        _refuse_protocol(words)
        run = _load_run(words["run"])
        with _entered(run, words, place) as node:
            return node.make()
    except NodeFailed as error:
        return str(error)
    except HuldraCancelled as error:
        return str(error)
    except HuldraError as error:
        return f"{type(error).__name__}: {error}"


def _refuse_protocol(words: Mapping[str, Any]) -> None:
    if words.get("protocol") not in PAYLOAD_PROTOCOLS:
        raise NodeFailed(
            f"the driver speaks protocol {words.get('protocol')!r}, this worker speaks"
            f" {PAYLOAD_PROTOCOL}: install the same version of huldra on both"
        )


@contextlib.contextmanager
def _entered(run: Run, words: Mapping[str, Any], place: _Place) -> Iterator[_Node]:
    """Stand where the driver stood: its import path, settings and, in a process of ours, folder."""
    is_drivers = is_same_process(run.driver, this_process())
    if not is_drivers:
        code.enter(run.path, run.facts, can_renew=place.can_renew)
        _adopt(run, place.owns_process and not place.keeps_folder)
    key = words["key"]
    record = run.node(key)
    paths = ArtifactPaths(record["directory"])
    worker = context.WorkerContext(
        words.get("engine", LOCAL),
        place.job or run.job_of(key, record) or claim.read_attempt(paths, record["claim"]).job,
        frozenset(record["needs"]),
        place.owns_process,
        place.preempt_signals,
        run.facts.get("command", ""),
        frozen={} if is_drivers else frozen_code.named(run.facts),
        class_code={} if is_drivers else code.recorded(run.path, run.facts),
    )
    token = context.worker.set(worker)
    try:
        more_tries = words.get("more_tries", 0)
        yield _Node(run, key, record, paths, is_drivers, place.can_renew, more_tries)
    finally:
        context.worker.reset(token)


def _adopt(run: Run, may_change_folder: bool) -> None:
    context.forget_inherited()
    if HULDRA_CONFIG.snapshot() != run.facts["settings"]:
        HULDRA_CONFIG.apply(run.facts["settings"])
    if may_change_folder:
        with contextlib.suppress(OSError):  # the driver's folder may not exist on this host
            os.chdir(run.facts["cwd"])


class _Node:
    """One node of a run, on its worker."""

    def __init__(
        self,
        run: Run,
        key: str,
        record: Mapping[str, Any],
        paths: ArtifactPaths,
        is_drivers: bool,
        can_renew: bool,
        more_tries: int = 0,
    ) -> None:
        self.run = run
        self.key = key
        self.record = record
        self.paths = paths
        self._is_drivers = is_drivers
        self._can_renew = can_renew
        self._more_tries = more_tries  # of its `Retry`, beside those of HULDRA_PREEMPT_MAX

    def make(self) -> str | None:
        """Make the artifact; the text of the failure if that cannot be."""
        if refusal := self._refusal():
            return refusal
        try:
            obj = self._build()
        except code.NeedsNewProcess:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  of the user's module, as it is imported
            self._mark([self.key], error_record(error))
            self._mark(self.run.dependents(self.key), self._upstream(self.key))
            return f"cannot build {self.key} on this worker: {error}"
        if failed := self._failed_need():
            why = self._upstream(failed, claim.last_attempt(self._paths_of(failed)))
            self._mark([self.key, *self.run.dependents(self.key)], why)
            return (
                f"{self.key} did not run: its dependency {why.failed_key} did not complete; log:"
                f" {why.log_path}"
            )
        request = in_process.request_for(
            obj, wait_limit_s=None, queued=self._my_claim(), key=self.key
        )
        try:
            with self._process_kept():
                obtain(request)
        except HuldraError as error:
            if claim.last_number(self.paths) and not self._may_be_retried():
                self._mark(self.run.dependents(self.key), self._upstream(self.key))
            return f"{error}; log: {self.paths.log}"
        except Exception as error:  # noqa: BLE001  of `_validate`, on what is made: it stays so
            return (
                f"{self.key}: _validate raised {type(error).__name__}: {error}; the artifact stays"
                f" as it is in {self.paths.directory}"
            )
        return None

    def _process_kept(self) -> contextlib.AbstractContextManager[None]:
        """Keep what `_create` changes of a process that is ours from the node after it."""
        worker = context.worker.get()
        is_ours = worker is not None and worker.owns_process
        return process_state.put_back(self.run.path) if is_ours else contextlib.nullcontext()

    def _my_claim(self) -> Claim | None:
        """The queued attempt of this job: whether it is ours yet is found as it is started."""
        number = self.record["claim"]
        mine = self.run.claims.get(number)
        if mine is None and claim.is_claimed_by(self.paths, number, self.run.driver):
            mine = self.run.claims[number] = claim.read_claim(self.paths, number)
        return mine

    def _refusal(self) -> str | None:
        """Why this payload must not be run (again)."""
        first = self.record["claim"]
        if not claim.has_ended(self.paths, first) or success.is_complete(self.paths):
            return None
        since = [number for number in claim.numbers(self.paths) if number >= first]
        attempts = [claim.read_attempt(self.paths, number) for number in since]
        ends = [
            attempt
            for attempt in attempts
            if attempt.end is not None and attempt.end.status != STARTED
        ]
        for attempt in ends:
            if attempt.status in (AttemptStatus.FAILED, AttemptStatus.CANCELLED):
                error = attempt.end.error if attempt.end else None
                reason = f": {error.type}: {error.message}" if error else ""
                return f"{self.key} {attempt.status.value}{reason}; log: {self.paths.log}"
        deaths = sum(
            attempt.claim.kind != QUEUED for attempt in ends if attempt.status.is_infrastructure
        )
        policy = RetryPolicy(HULDRA_CONFIG.preempt_max)
        if not policy.allows(deaths - self._more_tries):
            return (
                f"{self.key} died or was preempted {deaths} times, HULDRA_PREEMPT_MAX is"
                f" {policy.preempt_max}; log: {self.paths.log}"
            )
        return None

    def _may_be_retried(self) -> bool:
        attempt = claim.last_attempt(self.paths)
        return attempt is None or attempt.end is None or attempt.status.is_infrastructure

    def _build(self) -> Any:
        try:
            obj = self.run.build(self.key.rpartition("/")[2])
        except Exception:
            self._compare_code()  # other code is the better reason
            raise
        self._compare_code()
        found = (key_of(obj), paths_of(obj).directory)
        if found != (self.key, self.paths.directory):
            raise NodeFailed(
                f"the driver expects {self.key} in {self.paths.directory}, but this worker computes"
                f" {found[0]} in {found[1]}: its code or its root differs; nothing was run"
            )
        return obj

    def _compare_code(self) -> None:
        if self._is_drivers:
            return
        edited = code.compare(self.run.path, self.run.facts, can_renew=self._can_renew)
        if self.run.facts.get("frozen"):
            self._note_frozen()
        if edited and HULDRA_CONFIG.code == "strict":
            raise NodeFailed(
                f"{self.key}: edited after submission, and HULDRA_CODE=strict:"
                f" {', '.join(edited)}; nothing was run; submit again to run the new code"
            )
        if edited:
            _note_edited(edited)
            with capture(self.paths.log):
                get_logger().warning(
                    "%s: edited after submission and computed with the current code: %s",
                    self.key,
                    ", ".join(edited),
                )

    def _note_frozen(self) -> None:
        """Say in the log that frozen code runs, and what was edited since."""
        since = code.edited_since(self.run.facts)
        more = f"; edited since, and not run: {', '.join(since)}" if since else ""
        with capture(self.paths.log):
            get_logger().info("%s runs the code as it was frozen at submission%s", self.key, more)

    def _failed_need(self) -> str | None:
        """The first planned dependency that is not made, after waiting for those on their way."""
        for need in self.record["needs"]:
            if not _await_made(need, self._paths_of(need), need in self.record["after"]):
                return str(need)
        return None

    def _paths_of(self, key: str) -> ArtifactPaths:
        """The files of this node, or of a dependency."""
        return self.paths if key == self.key else ArtifactPaths(self.record["directories"][key])

    def _upstream(self, need: str, attempt: Attempt | None = None) -> ErrorRecord:
        return upstream_error(need, self._paths_of(need).log, attempt)

    def _mark(self, keys: list[str], error: ErrorRecord) -> None:
        """End the queued attempts of what cannot be made now, saying why."""
        for key in keys:
            end_queued_node(self.run.node(key), AttemptStatus.FAILED, error)


def _note_edited(edited: tuple[str, ...]) -> None:
    """Let the metadata of this node name the modules that were edited after submission."""
    worker = context.worker.get()
    if worker is not None:
        context.worker.set(replace(worker, edited=edited))


def _await_made(key: str, paths: ArtifactPaths, is_ours: bool) -> bool:
    """Wait for a dependency (of this run where `is_ours`); return True if it is complete."""
    waiting = Waiting(key, paths, None)
    ended = Watch()
    while not success.is_complete(paths):
        attempt = claim.last_attempt(paths)
        if attempt is not None and attempt.end is None:
            waiting.step(attempt)
        elif attempt is not None and attempt.status is AttemptStatus.SUCCESS:
            if not artifact.publish(paths, attempt.number):  # its owner is about to, or died before
                return False
        elif attempt is not None and _comes_again(attempt, ended, is_ours):
            waiting.nap(attempt)
        else:
            return False
    return True


def _comes_again(attempt: Attempt, ended: Watch, is_ours: bool) -> bool:
    """Return True if the engine runs the job of a preempted or crashed attempt again."""
    if attempt.ref is None or not attempt.status.is_infrastructure:
        return False
    if liveness.job_status(attempt.ref) not in (JobStatus.QUEUED, JobStatus.RUNNING):
        return False
    if liveness.is_told_of(attempt.ref):
        return True
    # All that is known is that the job's driver lives. A driver of ours has seen to retries before
    # it let us start; another one is given a moment, and may have given the job up.
    return not is_ours and uptime_s() - ended.first_seen(attempt.number) < _RETRY_PATIENCE_S


def main(argv: list[str] | None = None) -> int:
    """`python -m huldra.worker FILE [LINE]`: run the payload in a file, or on one line of it."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or len(arguments) > 2 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python -m huldra.worker PAYLOAD_FILE [LINE_NUMBER_FROM_0]\n")
        return 2
    with open(arguments[0], encoding="utf-8") as file:
        lines = file.read().splitlines()
    try:
        run_node(lines[int(arguments[1]) if len(arguments) > 1 else 0], owns_process=True)
    except NodeFailed as error:
        get_logger().error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    # Run under its own name, so that errors and caches are those of `huldra.worker`.
    from huldra.worker.node import main as _main

    sys.exit(_main())
