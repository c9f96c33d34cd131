"""Cancelling and discarding artifacts by their keys: no class is imported for that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from huldra.config.config_object import ConfigObject
from huldra.errors import HuldraArtifactMissing
from huldra.scheduling.discard import discard_at
from huldra.scheduling.job import Job, cancel_all
from huldra.settings import HULDRA_CONFIG
from huldra.store import claim, files
from huldra.store.job_ref import JobRef
from huldra.store.layout import DATA, GIT, ArtifactPaths
from huldra.store.location import paths_of


class _FoundJob(Job[Any]):
    """The job of an artifact's last attempt, without the config object."""

    def __init__(self, paths: ArtifactPaths, ref: JobRef | None) -> None:
        self._obj: Any = None
        self._key = paths.key
        self._paths = paths
        self._executor = None
        self._ref = ref
        self._is_made = False
        self.__setstate__({})


def cancel(artifacts: Iterable[ConfigObject | str]) -> list[str]:
    """Request the end of the open attempts of these artifacts, in the store and at their engines.

    Each is a config, or a key (`<namespace>/<hash>`) of the current root. Return the keys for which
    it was requested: those whose attempt was over, or that have none, are left out. The call does
    not wait. A queued job never starts; a running one ends within about a second where huldra owns
    its process. All engines are reached first: where one cannot be, nothing is requested anywhere.

    Raises:
        HuldraExecutorError: An engine could not be reached, and nothing was requested; or it went
            away between two calls, and the requests stand in the store. Transient: call it again.
        ImportError: An engine's library is missing here; nothing was requested.
        HuldraArtifactMissing: The root has no artifact of such a key; nothing was requested.
    """
    jobs = []
    for paths in dict.fromkeys(_paths(one) for one in artifacts):
        attempt = claim.last_attempt(paths)
        if attempt is not None and attempt.end is None:
            jobs.append(_FoundJob(paths, attempt.ref))
    open_jobs = [job for job in jobs if not job.done()]
    for job in open_jobs:
        if job.ref is not None:
            job._engine()  # noqa: SLF001  it connects, or raises before anything is written
    cancel_all(open_jobs)
    return [job.key for job in open_jobs]


def discard(artifacts: Iterable[ConfigObject | str]) -> list[str]:
    """Remove these artifacts with all their files; return the keys of those that were there.

    Each is a config, or a key of the current root. Each is claimed first, so that no process
    computes or publishes it meanwhile. What depends on them stays.

    Raises:
        HuldraLockNotAcquired: An attempt of one is queued or running: it and those after it stay.
        HuldraStoreError: The file system refused.
        HuldraArtifactMissing: The root has no artifact of such a key; nothing was removed.
    """
    places = list(dict.fromkeys(_paths(one) for one in artifacts))
    return [paths.key for paths in places if discard_at(paths)]


def _paths(artifact: ConfigObject | str) -> ArtifactPaths:
    if not isinstance(artifact, str):
        return paths_of(artifact)
    root = HULDRA_CONFIG.root
    for top in (DATA, GIT):
        if files.path_exists(f"{root}/{top}/{artifact}"):
            return ArtifactPaths(f"{root}/{top}/{artifact}")
    raise HuldraArtifactMissing(
        f"no artifact {artifact!r} in {root}; wanted <namespace>/<hash> of one that is there",
        directory=f"{root}/{DATA}/{artifact}",
    )
