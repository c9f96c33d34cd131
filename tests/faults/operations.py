"""A fault at each file operation of a call: an error, an outage, or the process's death.

A case is a situation, the number of an operation, and a fault. The call under test stops before
that operation until another process asks for the same artifact; then it goes on. Afterwards:

* the other one ends in bounded time, with the right value or an error of huldra's;
* so does the call itself, and no claim stays open under its process, which lives on;
* a new process gets the right value;
* nothing that stands as made is anything else than whole.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import huldra
from huldra.store import claim
from huldra.store.layout import ArtifactPaths
from tests.faults import cases, disk
from tests.faults.cases import Outcome, Situation, Stage

WAITS_AT_MOST_S = 10.0  # far more than it takes, and bounded all the same
_OUTAGE = 10**6  # operations: to the end of the call


@dataclass(frozen=True)
class Kind:
    """A kind of fault."""

    name: str
    errno: int = 0
    is_done: bool = False
    count: int = 1
    kills: bool = False

    def at(self, number: int, folder: Path) -> disk.At:
        """This fault, at operation `number`."""
        return disk.At(number, folder, self.errno, self.is_done, self.count, self.kills)


KILL = Kind("SIGKILL", kills=True)
ERRORS = tuple(Kind(errno.errorcode[number], number) for number in disk.ERRORS)
LOST_ANSWER = Kind("EIO, done", errno.EIO, is_done=True)
TWO_ERRORS = Kind("EIO twice", errno.EIO, count=2)
OUTAGE = Kind("EIO from then on", errno.EIO, count=_OUTAGE)
KINDS = (KILL, *ERRORS, LOST_ANSWER, TWO_ERRORS, OUTAGE)


@dataclass(frozen=True)
class Case:
    """One of them."""

    situation: str
    number: int
    kind: Kind

    def __str__(self) -> str:
        """As a line of a report."""
        return f"{self.situation}, operation {self.number}, {self.kind.name}"


def count_operations(situation: str, folder: Path) -> int:
    """How many file operations the call does when nothing goes wrong."""
    stage = empty_stage(folder)
    played = cases.SITUATIONS[situation](stage)
    counted = folder / "operations"
    child = cases.start(played.ask, folder, "call", fault=disk.Count(counted))
    if not cases.until(child.is_over) or "value" not in child.report():
        raise AssertionError(f"{situation}: {child.report()} {child.log()}")
    return len(counted.read_text().splitlines())


def every_case(base: Path, *, kinds: tuple[Kind, ...] = KINDS) -> Iterator[Case]:
    """Each kind of fault at each operation of each situation."""
    for situation in cases.SITUATIONS:
        last = count_operations(situation, base / f"count-{situation}")
        for number in range(1, last + 1):
            yield from (Case(situation, number, kind) for kind in kinds)


def play(case: Case, folder: Path) -> Outcome:
    """Play one case in an empty folder."""
    outcome = Outcome()
    stage = empty_stage(folder)
    played = cases.SITUATIONS[case.situation](stage)
    victim = cases.start(
        played.ask, folder, "caller", fault=case.kind.at(case.number, folder), stays=True
    )
    cases.until(lambda: (folder / "reached").exists() or victim.has_reported())
    outcome.counts["reached"] += (folder / "reached").exists()
    waiter = _ask_too(played, folder)
    (folder / "go").touch()
    cases.finished([victim, waiter], outcome, WAITS_AT_MOST_S)
    cases.check_published(played.work, outcome, "after the fault")
    fresh = cases.start(played.work.load_or_create, folder, "new process")
    cases.finished([fresh], outcome, WAITS_AT_MOST_S)
    text = cases.text_of(played.work)
    cases.check_report(victim, text, outcome)
    cases.check_report(waiter, text, outcome)
    cases.check_report(fresh, text, outcome, must_have=True)
    if not cases.until(lambda: not _open_claims_of(victim.pid, played), 5):
        outcome.wrong.append(f"open under the living caller: {_open_claims_of(victim.pid, played)}")
    (folder / "caller.leave").touch()
    cases.until(victim.is_over)
    cases.check_books(played.work, stage.ledger, outcome)
    return outcome


def empty_stage(folder: Path) -> Stage:
    """Give an empty folder with a store in it, which is the root from now on."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    huldra.set_huldra_root(folder / "store")
    return Stage(folder)


def _ask_too(played: Situation, folder: Path) -> cases.Child:
    """Start a process that wants the same, and return once it is at it."""
    sign = folder / "looked"
    waiter = cases.start(played.work.load_or_create, folder, "waiter", fault=disk.Looked(sign))
    cases.until(lambda: sign.exists() or waiter.has_reported())
    return waiter


def _open_claims_of(pid: int, played: Situation) -> list[str]:
    found = []
    for work in (played.work, *played.work.needs):
        paths = ArtifactPaths(str(work.huldra_dir))
        attempt = claim.last_attempt(paths)
        if attempt is not None and attempt.end is None and attempt.claim.owner.pid == pid:
            found.append(f"attempt {attempt.number} of {work.name}")
    return found
