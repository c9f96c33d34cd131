"""Ending queued attempts: of jobs that are withdrawn, or over although no worker ever took them.

Where an engine ends with its driver, others judge a queued attempt by that: while it lives, the
node is on its way. So when a job ends without `run_node` (its worker never came up, the engine was
closed, it was cancelled as a submission failed), or `run_node` broke before it took the attempt,
the attempt has to be ended by the executor, or all others would wait for it as long as the driver
lives. And when the driver itself ends, it takes its queue along: what it had queued and what never
began must not stay behind as unfinished work.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any

from huldra.engines.protocol import JobStatus, SubmittedNode
from huldra.errors import HuldraStoreError
from huldra.store import artifact, claim, files, retries
from huldra.store.files import SharedFile
from huldra.store.layout import ArtifactPaths
from huldra.store.process import Owner, new_owner
from huldra.store.records import Attempt, AttemptStatus, End, ErrorRecord, now_text

logger = logging.getLogger("huldra")

_EXIT_PATIENCE_S = 5.0

_RECORDED_AS = {
    JobStatus.CANCELLED: AttemptStatus.CANCELLED,
    JobStatus.PREEMPTED: AttemptStatus.PREEMPTED,
    JobStatus.TIMED_OUT: AttemptStatus.CRASHED,
    JobStatus.OUT_OF_MEMORY: AttemptStatus.CRASHED,
    JobStatus.LOST: AttemptStatus.CRASHED,
    JobStatus.FAILED: AttemptStatus.CRASHED,
    JobStatus.UPSTREAM_FAILED: AttemptStatus.CRASHED,
}


def release_queued(
    ends: Iterable[tuple[SubmittedNode | None, JobStatus]], *, engine_reports: bool = False
) -> None:
    """End the attempts that the jobs of these nodes left queued, the jobs having ended like this.

    To be called before the ends are reported, so that a caller who asks at once does not find the
    node queued. None stands for a node that its executor does not remember. `engine_reports`: the
    engine outlives this process and reports ends to all drivers, but for those of lost jobs. An
    attempt that a worker took, or that was ended, stays as it is. Where the disk refuses, it is
    tried again in the background.
    """
    for node, status in ends:
        if node is None or status not in _RECORDED_AS:
            continue
        if engine_reports and status is not JobStatus.LOST:
            continue
        _release(node.key, partial(_end_node, node, _RECORDED_AS[status]))


def _release(key: str, end: Callable[[], None]) -> None:
    """End an attempt, and where the disk refuses that, try again in the background."""

    def has_ended() -> bool:
        try:
            end()
        except HuldraStoreError as error:
            logger.warning("%s stays queued for now: %s", key, error)
            return False
        return True

    retries.until_done(has_ended)


def _end_node(node: SubmittedNode, status: AttemptStatus) -> None:
    record = _record(node.run_path)["nodes"].get(node.key)
    if record is not None:
        end_queued_node(record, status)


def release_unsent(paths: ArtifactPaths, owner: Owner) -> None:
    """End the attempt that this owner has queued, if its last one is that, as cancelled.

    Where the disk refuses, it is tried again in the background.
    """
    _release(paths.key, partial(_end_unsent, paths, owner))


def _end_unsent(paths: ArtifactPaths, owner: Owner) -> None:
    attempt = claim.last_attempt(paths)
    if attempt and attempt.is_queued and attempt.claim.owner.token == owner.token:
        end_queued(paths, attempt, AttemptStatus.CANCELLED)


def end_queued_node(
    record: Mapping[str, Any], status: AttemptStatus, error: ErrorRecord | None = None
) -> None:
    """End the attempt that a node of a run, by its record there, was queued in, if it still is."""
    paths = ArtifactPaths(record["directory"])
    attempt = claim.read_attempt(paths, record["claim"])
    if attempt.is_queued and attempt.claim.owner.token == record["token"]:
        end_queued(paths, attempt, status, error)


def end_queued(
    paths: ArtifactPaths, attempt: Attempt, status: AttemptStatus, error: ErrorRecord | None = None
) -> None:
    """End a queued attempt and say so in the state; nothing where another process was faster.

    Raises `HuldraStoreError` when the disk refuses the end; the state is a label.
    """
    end = claim.end_attempt(
        paths, attempt.number, status, new_owner(), error, of=attempt.claim.owner
    )
    if end is None:
        return
    try:
        artifact.write_state(paths, Attempt(attempt.claim, end, attempt.job))
    except HuldraStoreError as refused:
        logger.warning("%s", refused)


class ExitRelease:
    """Ends what a driver had queued, as the driver ends: recorded as preempted, in a few seconds.

    The ends of one run are one file under many names, and the states stay as they are: they are
    labels, and a user at the terminal waits. What is left after `within_s` is found to be of a dead
    driver by the next caller.
    """

    def __init__(self, within_s: float = _EXIT_PATIENCE_S) -> None:
        self._deadline = time.monotonic() + within_s
        self._ends: dict[tuple[str, int], SharedFile] = {}
        self._left = 0

    def end(self, nodes: Iterable[SubmittedNode]) -> None:
        """End the attempts that these nodes were queued in, where they have not begun."""
        for node in nodes:
            if time.monotonic() > self._deadline:
                self._left += 1
                continue
            try:
                self._end(node)
            except HuldraStoreError as error:
                logger.debug("%s stays queued, though its driver is dead: %s", node.key, error)
        if self._left:
            logger.warning("%d queued artifacts were not released in time", self._left)

    def _end(self, node: SubmittedNode) -> None:
        record = _record(node.run_path)["nodes"].get(node.key)
        if record is None:
            return
        driver = Owner.from_json(_record(node.run_path)["driver"])
        paths, number = ArtifactPaths(record["directory"]), record["claim"]
        # Whether it is still queued needs no look: of one that began, or ended, `N.end` is taken.
        if claim.is_claimed_by(paths, number, driver):
            self._shared(node.run_path, number).link(paths.claim_end(number))

    def _shared(self, run_path: str, number: int) -> SharedFile:
        shared = self._ends.get((run_path, number))
        if shared is None:
            end = End(number, AttemptStatus.PREEMPTED.value, now_text(), new_owner())
            path = f"{os.path.dirname(run_path)}/end-{number}"
            shared = SharedFile(path, files.object_bytes(end.to_json()))
            self._ends[run_path, number] = shared
        return shared


@lru_cache(maxsize=2)
def _record(run_path: str) -> Mapping[str, Any]:
    return {"nodes": {}, "driver": {}, **(files.read_object(run_path) or {})}
