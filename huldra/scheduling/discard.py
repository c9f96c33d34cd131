"""Discarding an artifact: it loses its directory, unless an attempt may still be at work in it."""

from __future__ import annotations

from functools import partial

from huldra.attempts import liveness
from huldra.attempts.liveness import Watch
from huldra.attempts.waiting import describe, mark_crashed
from huldra.config.config_object import ConfigObject
from huldra.errors import HuldraLockNotAcquired, HuldraStoreError
from huldra.settings import HULDRA_CONFIG
from huldra.store import artifact, claim, files, retries, success
from huldra.store.layout import ArtifactPaths
from huldra.store.location import paths_of
from huldra.store.process import Owner, new_owner
from huldra.store.records import Attempt, AttemptStatus, Lease
from huldra.store.snapshot import Liveness


def discard(obj: ConfigObject) -> bool:
    """Remove the artifact of `obj` with all its files; return False if there is none.

    The artifact is claimed first, so no other process computes or publishes it meanwhile.

    Raises:
        HuldraLockNotAcquired: an attempt is queued or running; nothing was removed.
        HuldraStoreError: the file system refused; a complete artifact is still complete.
    """
    return discard_at(paths_of(obj))


def discard_at(paths: ArtifactPaths) -> bool:
    """Remove an artifact, as `discard` does, whose class is not at hand."""
    key = paths.key
    if not files.path_exists(paths.directory):
        return False
    last = claim.last_attempt(paths)
    if last is not None and last.end is None:
        _end_if_dead(key, paths, last)
    was_complete = success.is_complete(paths)
    owner = new_owner()
    claim.register(owner)
    try:
        number = _claim(key, paths, last, owner)
        try:
            files.remove_tree(paths.directory)
        except HuldraStoreError:
            retries.until_done(partial(_is_put_back, paths, number, owner, was_complete))
            raise
    finally:
        claim.unregister(owner)
    return True


def _end_if_dead(key: str, paths: ArtifactPaths, attempt: Attempt) -> None:
    if liveness.claim_liveness(paths, attempt, Watch()) is Liveness.DEAD:
        mark_crashed(key, paths, attempt)
        return
    raise HuldraLockNotAcquired(
        f"{key} is {describe(paths, attempt)}; nothing was removed from {paths.directory}:"
        " cancel its job first, or wait for it",
        directory=paths.directory,
    )


def _claim(key: str, paths: ArtifactPaths, last: Attempt | None, owner: Owner) -> int:
    """Claim the attempt after the last one, and return its number."""
    if last is None:  # of a directory that holds the user's files
        files.make_directories(paths.claims)
    before = last.number if last is not None else 0
    lease = Lease(HULDRA_CONFIG.lease, HULDRA_CONFIG.heartbeat)
    if claim.claim_next(paths, before + 1, owner, lease=lease, after=before) is None:
        raise HuldraLockNotAcquired(
            f"another process has just claimed {key}; nothing was removed from {paths.directory}",
            directory=paths.directory,
        )
    return before + 1


def _is_put_back(paths: ArtifactPaths, number: int, owner: Owner, was_complete: bool) -> bool:
    """Leave a directory that could not be removed as it was: our claim has voided its record.

    False where the disk refuses, so that it is tried again: others wait as long as we live, else.
    """
    if claim.is_gone(paths, number):
        return True  # it has lost its name, and only leftovers could not be removed
    status = AttemptStatus.SUCCESS if was_complete else AttemptStatus.CANCELLED
    try:
        claim.end_attempt(paths, number, status, owner, of=owner)
        if was_complete:
            artifact.publish(paths, number)
    except HuldraStoreError:
        return False
    return True
