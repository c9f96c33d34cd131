"""What the store says of many artifacts at one time, by as few calls as can be.

`SUCCESS.json` is the truth, so an artifact that may be made is asked itself. But one whose
directory does not stand in its namespace's folder was never tried, and one listing says so of all.
"""

from __future__ import annotations

import enum
import os
from collections import Counter
from collections.abc import Sequence

from huldra.store import success
from huldra.store.layout import ArtifactPaths
from huldra.store.overlap import Overlap

_ASKED_FIRST = 16  # artifacts of a wave, before the others: what they answer may save the others
_GROWTH = 4
_LISTED_AFTER = 16  # artifacts of one namespace that are not made
_ENTRIES_PER_NODE = 32  # a listing that is longer than this times what is asked costs more


class Seen(enum.Enum):
    """What a survey saw of an artifact."""

    COMPLETE = "complete"  # `_validate` was not asked
    INCOMPLETE = "incomplete"  # it may be in flight, or have failed
    ABSENT = "absent"  # it had no directory, so no attempt was made


class Survey:
    """Looks at artifacts, in one thread or several (`Overlap`). Writes nothing.

    Each answer was true at some moment since the survey was made: a listing is kept as long as the
    survey. So it is for one plan, and what is claimed after it is claimed by the claim alone.
    """

    def __init__(self) -> None:
        self._overlap = Overlap()
        self._incomplete: Counter[str] = Counter()
        self._listed: dict[str, frozenset[str]] = {}
        self._next_listing: dict[str, int] = {}

    def look(self, artifacts: Sequence[ArtifactPaths]) -> list[Seen]:
        """Return what stands in the store, one answer an artifact. Raises `HuldraStoreError`."""
        answers: list[Seen] = []
        size = _ASKED_FIRST
        while len(answers) < len(artifacts):
            some = artifacts[len(answers) : len(answers) + size]
            self._list_where_it_pays(artifacts, len(answers))
            answers += self._look_at(some)
            size *= _GROWTH
        return answers

    def _look_at(self, some: Sequence[ArtifactPaths]) -> list[Seen]:
        absent = [self._is_absent(paths) for paths in some]
        asked = [paths for paths, is_absent in zip(some, absent, strict=True) if not is_absent]
        found = self._overlap.map(success.is_complete, asked)
        for paths, is_complete in zip(asked, found, strict=True):
            if not is_complete:
                self._incomplete[_folder(paths)] += 1
        answers = iter(found)
        return [
            Seen.ABSENT if is_absent else Seen.COMPLETE if next(answers) else Seen.INCOMPLETE
            for is_absent in absent
        ]

    def _is_absent(self, paths: ArtifactPaths) -> bool:
        folder, _, name = paths.directory.rpartition("/")
        names = self._listed.get(folder)
        return names is not None and name not in names

    def _list_where_it_pays(self, artifacts: Sequence[ArtifactPaths], done: int) -> None:
        for folder, count in self._incomplete.items():
            if folder in self._listed or count < self._next_listing.get(folder, _LISTED_AFTER):
                continue
            asked = count + sum(1 for paths in artifacts[done:] if _folder(paths) == folder)
            self._next_listing[folder] = count * _GROWTH
            names = _names_in(folder, asked * _ENTRIES_PER_NODE)
            if names is not None:
                self._listed[folder] = names


def _folder(paths: ArtifactPaths) -> str:
    return paths.directory.rpartition("/")[0]


def _names_in(folder: str, limit: int) -> frozenset[str] | None:
    """The names in a folder; None where there are more than `limit`, or it cannot be listed."""
    names: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.add(entry.name)
                if len(names) > limit:
                    return None
    except FileNotFoundError:
        return frozenset()
    except OSError:
        return None
    return frozenset(names)
