"""Queued turns of jobs that are over although no worker ever took them.

Others judge a queued turn of this engine by its driver: while that lives, the node is on its way.
So when a job ends without `run_node` (its worker never came up, the pool was closed, it was
cancelled as a submission failed), or `run_node` broke before it took the turn, the turn has to be
ended here, or everybody would wait for it as long as this process lives.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from huldra import artifact, claim, files
from huldra.errors import HuldraStoreError
from huldra.executor import JobStatus
from huldra.layout import ArtifactPaths
from huldra.owner import new_owner
from huldra.state import AttemptStatus, Turn

logger = logging.getLogger("huldra.local")

_RECORDED_AS = {
    JobStatus.CANCELLED: AttemptStatus.CANCELLED,
    JobStatus.PREEMPTED: AttemptStatus.PREEMPTED,
    JobStatus.TIMED_OUT: AttemptStatus.CRASHED,
    JobStatus.LOST: AttemptStatus.CRASHED,
    JobStatus.FAILED: AttemptStatus.CRASHED,
}


def is_to_be_freed(status: JobStatus) -> bool:
    """Whether a job that ends so may leave its turn queued."""
    return status in _RECORDED_AS


def free_turns(ends: Iterable[tuple[str, str, JobStatus]]) -> None:
    """End the turns that these jobs left queued: each by run record, node key and job status.

    A turn that a worker took, or somebody ended, stays as it is. A disk that says no is logged: the
    turn is then free once this process ends.
    """
    for run_path, key, status in ends:
        try:
            _free(run_path, key, _RECORDED_AS[status])
        except HuldraStoreError as error:
            logger.warning("%s stays queued until this process ends: %s", key, error)


def _free(run_path: str, key: str, status: AttemptStatus) -> None:
    node = _nodes(run_path).get(key)
    if node is None:
        return
    paths = ArtifactPaths(node["directory"])
    turn = claim.read_turn(paths, node["claim"])
    if turn.is_queued and turn.claim.owner.token == node["token"]:
        end = claim.end_turn(paths, turn.number, status, new_owner())
        if end is not None:
            artifact.write_state(paths, Turn(turn.claim, end, turn.job))


@lru_cache(maxsize=2)
def _nodes(run_path: str) -> Mapping[str, Mapping[str, Any]]:
    record = files.read_object(run_path) or {}
    nodes: Mapping[str, Mapping[str, Any]] = record.get("nodes", {})
    return nodes
