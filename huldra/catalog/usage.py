"""What the attempts at the artifacts of one class have used: the history behind estimates."""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from huldra.store import files
from huldra.store.layout import DATA, GIT, ArtifactPaths
from huldra.store.records import Used

MAX_READ = 20  # artifacts of a class, those that were made last
_MAX_LOOKED_AT = 200  # among which these are searched: adopted ones say nothing of a computation


@dataclass(frozen=True, slots=True)
class History:
    """What successful attempts at `count` artifacts of a class have used.

    `wall_s` and `peak_memory_gb` are medians; `most_wall_s` and `most_memory_gb` are of the
    hungriest. Memory is that of the largest process of an attempt.
    """

    count: int
    wall_s: float
    most_wall_s: float
    cpu_s: float
    peak_memory_gb: float
    most_memory_gb: float


def history(root: str, namespace: str) -> History | None:
    """Return the history of a class, from the artifacts that were made last; None without any.

    The attempt of an adopted artifact copied files: it does not count. Reads three small files of
    each of at most `MAX_READ` artifacts, passes over adopted ones, and writes nothing.
    """
    found = list(itertools.islice(_used(root, namespace), MAX_READ))
    if not found:
        return None
    return History(
        count=len(found),
        wall_s=statistics.median(each.wall_s for each in found),
        most_wall_s=max(each.wall_s for each in found),
        cpu_s=statistics.median(each.cpu_s for each in found),
        peak_memory_gb=statistics.median(each.peak_memory_gb for each in found),
        most_memory_gb=max(each.peak_memory_gb for each in found),
    )


def _used(root: str, namespace: str) -> Iterator[Used]:
    for directory in _newest(root, namespace):
        paths = ArtifactPaths(directory)
        success = files.read_object(paths.success)
        number = success.get("claim") if success else None
        if not isinstance(number, int):
            continue
        end = files.read_object(paths.claim_end(number)) or {}
        used = Used.from_json(end.get("used"))
        if used is not None and not _is_adopted(paths):
            yield used


def _is_adopted(paths: ArtifactPaths) -> bool:
    return bool((files.read_object(paths.metadata) or {}).get("adopted_from"))


def _newest(root: str, namespace: str) -> list[str]:
    found: list[tuple[float, str]] = []
    for part in (DATA, GIT):
        try:
            with os.scandir(f"{root}/{part}/{namespace}") as entries:
                found += [(entry.stat().st_mtime, entry.path) for entry in entries]
        except OSError:  # none of this class there
            continue
    return [path for _, path in sorted(found, reverse=True)[:_MAX_LOOKED_AT]]
