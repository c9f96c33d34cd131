"""Whether a node runs, by its artifact: Ray does not tell a queued task from a running one."""

from __future__ import annotations

import json

from huldra import artifact, files
from huldra.layout import ArtifactPaths
from huldra.state import AttemptStatus


def is_running(payload: str) -> bool:
    """Whether somebody is making the node of this payload, as far as its store knows."""
    words = json.loads(payload)
    record = files.read_object(words["run"]) or {}
    node = record.get("nodes", {}).get(words["key"])
    if node is None:
        return False
    attempt = artifact.read_state(ArtifactPaths(node["directory"])).attempt
    return attempt is not None and attempt.status is AttemptStatus.RUNNING
