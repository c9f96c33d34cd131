"""Reading the truth that `SUCCESS.json` is: all that a hit needs of an artifact."""

from __future__ import annotations

from typing import Any

from huldra.store import files
from huldra.store.layout import ArtifactPaths


def read_success(paths: ArtifactPaths) -> dict[str, Any] | None:
    """The record that the artifact is made, or None. Reads only; one open and one stat on a hit.

    A record counts as long as the attempt after the one it names was not opened: a later attempt
    voids it by its mere existence, so a late writer cannot bring a discarded result back. A record
    that is empty, truncated or another's does not count.
    """
    data = files.read_bytes(paths.success)
    if data is None:
        return None
    record = files.parse_object(data)
    number = record.get("claim") if record else None
    if not isinstance(number, int) or record is None:
        return None
    if record.get("hash") != paths.directory.rpartition("/")[2]:
        return None
    return None if files.path_exists(paths.claim(number + 1)) else record


def is_complete(paths: ArtifactPaths) -> bool:
    """Return True if the artifact is made, whatever its class's `_validate` says."""
    return read_success(paths) is not None


def unreadable(paths: ArtifactPaths, class_name: str) -> str:
    """The note for an error of `_load` on an artifact that is made: where, why and the way out."""
    return (
        f"huldra: {class_name}._load raised this exception; {paths.key} counts as complete, in"
        f" {paths.directory}. Check that _create writes the files that _load reads, and that they"
        f" still exist; `huldra rm {paths.key}` removes the artifact, and the next call computes"
        " it again"
    )
