"""An artifact's folder is taken away while a call makes it, before each of its file operations.

By `rm -rf`, by a rename, or by a cleaner of old files that takes some of them; and while the owner
stands still another process may make the artifact again, or be in the middle of it. Then:

* the call ends with the right value or an error of huldra's, and publishes nothing for others: what
  stands as made is whole, and while the other one is at work nothing stands as made;
* the other one gets the right value, as does a new process afterwards.

Under the cleaner, what is made has a `_validate`, for that takes the user's files, too.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from huldra.store.layout import ArtifactPaths
from tests.faults import cases, disk, operations
from tests.faults.cases import Outcome
from tests.support.odd import lines

_WAITS_AT_MOST_S = operations.WAITS_AT_MOST_S
_GOES_ON_FOR_S = 0.4


def _tree(paths: ArtifactPaths, _: random.Random) -> None:
    shutil.rmtree(paths.directory)


def _aside(paths: ArtifactPaths, _: random.Random) -> None:
    os.rename(paths.directory, paths.directory + ".aside")


def _private(paths: ArtifactPaths, _: random.Random) -> None:
    shutil.rmtree(paths.private)


def _claims(paths: ArtifactPaths, _: random.Random) -> None:
    shutil.rmtree(paths.claims)


def _namespace(paths: ArtifactPaths, _: random.Random) -> None:
    shutil.rmtree(Path(paths.directory).parents[1])


def _store(paths: ArtifactPaths, _: random.Random) -> None:
    shutil.rmtree(Path(paths.directory).parents[3])


def _cleaner(paths: ArtifactPaths, dice: random.Random) -> None:
    """Take the oldest files, as cleaners of scratch disks do, and the folders that are empty."""
    found = [file for file in Path(paths.directory).rglob("*") if file.is_file()]
    found.sort(key=lambda file: file.stat().st_mtime_ns)
    for file in found[: dice.randint(0, len(found))]:
        file.unlink()
    for folder, _, _ in os.walk(paths.directory, topdown=False):
        if not os.listdir(folder):
            os.rmdir(folder)


WAYS: dict[str, Callable[[ArtifactPaths, random.Random], None]] = {
    "rm -rf": _tree,
    "rename": _aside,
    "rm -rf .huldra": _private,
    "rm -rf claims": _claims,
    "rm -rf namespace": _namespace,
    "rm -rf store": _store,
    "cleaner": _cleaner,
}
RIVALS = ("nobody", "has made it", "is making it")


@dataclass(frozen=True)
class Case:
    """Before operation `number` of the owner it is removed in this way, and the rival does this."""

    number: int
    way: str
    rival: str

    def __str__(self) -> str:
        """As a line of a report."""
        return f"removed by {self.way} before operation {self.number}, and another: {self.rival}"


def every_case(base: Path) -> Iterator[Case]:
    """Each way and each rival at each operation of a call that finds nothing."""
    last = operations.count_operations("new", base / "count-removals")
    for number in range(2, last + 2):
        yield from (Case(number, way, rival) for way in WAYS for rival in RIVALS)


def play(case: Case, folder: Path) -> Outcome:
    """Play one case in an empty folder."""
    outcome = Outcome()
    stage = operations.empty_stage(folder)
    make = stage.checked if case.way == "cleaner" else stage.work
    work = make()
    fault = disk.At(case.number, folder)
    owner = cases.start(work.load_or_create, folder, "owner", fault=fault, stays=True)
    cases.until(lambda: (folder / "reached").exists() or owner.has_reported())
    outcome.counts["reached"] += (folder / "reached").exists()
    _remove(case, work, outcome)
    gate = folder / "gate"
    rival = _rival(case, stage, gate)
    (folder / "go").touch()
    # The owner ends, or waits for the rival.
    cases.until(owner.has_reported, _WAITS_AT_MOST_S if rival is None else _GOES_ON_FOR_S)
    cases.check_published(work, outcome, "after the owner's end")
    gate.touch()
    cases.finished([owner], outcome, _WAITS_AT_MOST_S)
    fresh = cases.start(work.load_or_create, folder, "new process")
    others = [child for child in (rival, fresh) if child is not None]
    cases.finished(others, outcome, _WAITS_AT_MOST_S)
    (folder / "owner.leave").touch()
    cases.until(owner.is_over)
    cases.check_report(owner, cases.text_of(work), outcome)
    for child in others:
        cases.check_report(child, cases.text_of(work), outcome, must_have=True)
    cases.check_books(work, stage.ledger, outcome, has_history=False)
    return outcome


def _remove(case: Case, work: cases.Work, outcome: Outcome) -> None:
    paths = ArtifactPaths(str(work.huldra_dir))
    try:
        WAYS[case.way](paths, random.Random(str(case)))
    except FileNotFoundError:
        outcome.counts["nothing to remove"] += 1


def _rival(case: Case, stage: cases.Stage, gate: Path) -> cases.Child | None:
    if case.rival == "nobody":
        return None
    waits = case.rival == "is making it"
    make = stage.checked if case.way == "cleaner" else stage.work
    work = make(gate=str(gate) if waits else "")
    begun = len(lines(stage.ledger, "begin"))
    rival = cases.start(work.load_or_create, stage.folder, "rival")
    if waits:
        # Where the owner's claim is still there, the rival waits for it instead.
        cases.until(lambda: len(lines(stage.ledger, "begin")) > begun or rival.has_reported(), 1.0)
    else:
        cases.until(rival.has_reported, 1.0)
    return rival
