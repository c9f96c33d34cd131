"""Counts that noise cannot touch: calls of the system and hashes, per hit and per miss."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tests.benchmarks import floor
from tests.benchmarks.configs import Item
from tests.benchmarks.table import Row

_CALLS = (
    *("open", "read", "write", "fsync", "mkdir", "rmdir", "link", "replace", "rename", "unlink"),
    *("stat", "listdir", "scandir", "readlink", "utime", "access"),
)
# What asks a file server: reading, writing and closing an open file come on top.
_NAMING = frozenset(_CALLS) - {"read", "write", "fsync", "readlink"}
_CHANGES = ("mkdir", "write", "fsync", "link", "replace", "unlink", "utime")


def rows() -> Iterator[Row]:
    """One row a count; the floor's beside it, where it must be the same."""
    Item(number=0).load_or_create()  # what is looked up once a process
    hit = counted(lambda: Item(number=0).load_or_create())
    least = counted(lambda: floor.hit(str(Item(number=0).huldra_dir)))
    yield _row("hit", "files opened", hit["open"], least["open"])
    yield _row("hit", "files looked for (stat, listdir)", _looks(hit), _looks(least))
    yield Row("hit: calls that name a file", names_given(hit), "", names_given(least), 1)
    yield Row("hit: calls that change a file", _changes(hit), "", None, 0)
    yield Row("hit: hashes computed", hit["blake2s"], "", None, 1)
    miss = counted(lambda: Item(number=1).load_or_create())
    made = floor.Miss.of(str(Item(number=1).huldra_dir))
    least = counted(lambda: made.make(f"{Item(number=1).huldra_dir}-plain"))
    yield Row("miss: calls that name a file", names_given(miss), "", names_given(least))
    for name in ("files written", "fsync", "link", "rename", "replace", "unlink"):
        call = "write" if name == "files written" else name
        yield _row("miss", name, miss[call], least[call])
    yield _row("miss", "directories tried or made", miss["mkdir"], least["mkdir"], goal=None)
    yield Row("miss: files read", miss["open"] - miss["write"], "", None, None)
    yield Row("miss: files looked for (stat, listdir)", _looks(miss), "", None, None)
    yield Row("miss: hashes computed", miss["blake2s"], "", None, 1)
    yield from _traced()


def _row(what: str, name: str, ours: int, least: int, goal: float | None = 1.0) -> Row:
    return Row(f"{what}: {name}", ours, "", least, goal)


def names_given(counts: Counter[str]) -> int:
    """How many calls gave the system a name, or asked it for those in a folder."""
    return sum(counts[name] for name in _NAMING)


def _looks(counts: Counter[str]) -> int:
    return counts["stat"] + counts["listdir"] + counts["access"] + counts["readlink"]


def _changes(counts: Counter[str]) -> int:
    return sum(counts[name] for name in _CHANGES)


def counted(work: Callable[[], object]) -> Counter[str]:
    """How often `work` calls each function of `os`, and how often it hashes."""
    counts: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        for name in _CALLS:
            stack.enter_context(_counting(os, name, counts))
        stack.enter_context(_counting(hashlib, "blake2s", counts))
        work()
    return counts


@contextlib.contextmanager
def _counting(module: Any, name: str, counts: Counter[str]) -> Iterator[None]:
    original = getattr(module, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        counts[name] += 1
        return original(*args, **kwargs)

    setattr(module, name, call)
    try:
        yield
    finally:
        setattr(module, name, original)


# ---- all system calls, where strace can count them -----------------------------------------------

_PROGRAM = """
import sys
from tests.benchmarks.configs import Item
first, count, repeats = map(int, sys.argv[1:])
for _ in range(repeats):
    for number in range(first, first + count):
        Item(number=number).load_or_create()
"""
_TRACED = 50


def _traced() -> Iterator[Row]:
    """System calls per hit and per miss: a run with more of them less a run without."""
    if shutil.which("strace") is None or _system_calls(0, 1, 1) is None:
        return
    bare = _system_calls(1000, 1, 1) or 0
    misses = (_system_calls(2000, 1 + _TRACED, 1) or 0) - bare
    hits = (_system_calls(2000, 1 + _TRACED, 2) or 0) - (_system_calls(2000, 1 + _TRACED, 1) or 0)
    yield Row("hit: system calls of all kinds", round(hits / (1 + _TRACED), 1), "")
    yield Row("miss: system calls of all kinds", round(misses / _TRACED, 1), "")


def _system_calls(first: int, count: int, repeats: int) -> int | None:
    """How many system calls the program does; None where it cannot be traced."""
    numbers = [str(number) for number in (first, count, repeats)]
    done = subprocess.run(
        ["strace", "-c", "-o", "calls.txt", sys.executable, "-c", _PROGRAM, *numbers],
        capture_output=True,
        timeout=60,
    )
    if done.returncode:
        return None
    with open("calls.txt") as file:
        total = re.search(r"^100\.00\s.*?(\d+)(?:\s+\d+)?\s+total$", file.read(), re.MULTILINE)
    return int(total[1]) if total else None
