"""Ending queued attempts: of jobs that are withdrawn, or over although no worker ever took them.

Where an engine ends with its driver, others judge a queued attempt by that: while it lives, the
node is on its way. So when a job ends without `run_node` (its worker never came up, the engine was
closed, it was cancelled as a submission failed), or `run_node` broke before it took the attempt,
the attempt has to be ended by the executor, or everybody would wait for it as long as the driver
lives.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from huldra.engines.protocol import JobStatus, SubmittedNode
from huldra.errors import HuldraStoreError
from huldra.store import artifact, claim, files
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner
from huldra.store.records import Attempt, AttemptStatus, ErrorRecord

logger = logging.getLogger("huldra")

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
    ends: Iterable[tuple[SubmittedNode | None, JobStatus]], *, others_are_told: bool = False
) -> None:
    """End the attempts that the jobs of these nodes left queued, the jobs having ended like this.

    To be called before the ends are told, so that who asks again at once does not find the node
    queued. None stands for a node that its executor does not remember. `others_are_told`: the
    engine outlives this process and tells everybody of ends, but for those of jobs that were lost.
    An attempt that a worker took, or somebody ended, stays as it is. A disk that says no is logged:
    the attempt is then free once this process ends.
    """
    for node, status in ends:
        if node is None or status not in _RECORDED_AS:
            continue
        if others_are_told and status is not JobStatus.LOST:
            continue
        try:
            _free(node, _RECORDED_AS[status])
        except HuldraStoreError as error:
            logger.warning("%s stays queued until this process ends: %s", node.key, error)


def _free(node: SubmittedNode, status: AttemptStatus) -> None:
    record = _records(node.run_path).get(node.key)
    if record is not None:
        end_queued_node(record, status)


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
    """End a queued attempt and say so in the state; nothing where somebody was faster."""
    end = claim.end_attempt(
        paths, attempt.number, status, new_owner(), error, of=attempt.claim.owner
    )
    if end is not None:
        artifact.write_state(paths, Attempt(attempt.claim, end, attempt.job))


@lru_cache(maxsize=2)
def _records(run_path: str) -> Mapping[str, Mapping[str, Any]]:
    record = files.read_object(run_path) or {}
    nodes: Mapping[str, Mapping[str, Any]] = record.get("nodes", {})
    return nodes
