"""Playing many cases one after the other: what was wrong, what was counted, what is kept."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import huldra
from tests.faults.cases import SETTINGS, Outcome, Work

_IN_MEMORY = Path("/dev/shm")
_REPORTS_EVERY_S = 30.0


@dataclass(frozen=True)
class Planned:
    """One case that is about to be played in a folder of its own."""

    name: str
    play: Callable[[Path], Outcome]


@dataclass
class Tally:
    """What all cases came to."""

    played: int = 0
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def new_base() -> Path:
    """A folder for cases, in memory where there is room: a sync to a disk costs most of a case."""
    is_there = _IN_MEMORY.is_dir() and os.access(_IN_MEMORY, os.W_OK) and "TMPDIR" not in os.environ
    return Path(tempfile.mkdtemp(prefix="huldra-faults-", dir=_IN_MEMORY if is_there else None))


def prepare(base: Path) -> None:
    """Let leases and polls of this process and its children be short, and their starts quick.

    What a call imports on its first use is imported here once, and not in each forked child.
    """
    os.environ.update(SETTINGS)
    huldra.HULDRA_CONFIG.reload()
    with huldra.huldra_root(base / "first"):
        ledger = str(base / "prepared")  # the locks of these go there, too
        Work(name="first", ledger=ledger).load_or_create()
        Work(name="second", ledger=ledger).load_or_create(executor="inline")
        Work(name="third", ledger=ledger).load_or_create(executor="threads:1").result()


def play_all(
    cases: Iterable[Planned],
    base: Path,
    *,
    deadline_s: float = float("inf"),
    say: Callable[[str], None] = print,
) -> Tally:
    """Play them until the deadline; the folders of those that went wrong stay."""
    tally = Tally()
    started = reported = time.monotonic()
    for number, case in enumerate(cases):
        now = time.monotonic()
        if now - started > deadline_s:
            say(f"the time is up after {tally.played}")
            break
        folder = base / f"case-{number}"
        outcome = case.play(folder)
        tally.played += 1
        tally.counts.update(outcome.counts)
        if outcome.wrong:
            tally.wrong += [f"{case.name}: {text}" for text in outcome.wrong]
            say(f"{case.name}, kept in {folder}:\n  " + "\n  ".join(outcome.wrong))
        else:
            shutil.rmtree(folder, ignore_errors=True)
        if now - reported > _REPORTS_EVERY_S:
            reported = now
            say(f"{tally.played} in {now - started:.0f} s, {len(tally.wrong)} things wrong")
    return tally
