"""What a root's file system can do for huldra: one check for each thing that it relies on.

The probes write into one temporary folder in the root, which is removed again.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

from huldra.catalog import presentation
from huldra.errors import HuldraStoreError
from huldra.store import files
from huldra.store.layout import DATA, GIT, RUNS

OK, WARNING, PROBLEM = "ok", "warning", "problem"

_CLOCK_S = 5.0
_SLOW_S = 0.05
_ROUNDS = 5
_LITTLE_BYTES, _TOO_LITTLE_BYTES = 5 * 10**9, 10**8
_FEW_INODES, _TOO_FEW_INODES = 50_000, 1_000


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: `verdict` is ok, warning or problem.

    `remedy` says what to do, and is "" for ok. `numbers` are the measured values, with units in
    their names.
    """

    name: str
    verdict: str
    found: str
    remedy: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


def checks(root: str, *, read_only: bool = False) -> Iterator[Check]:
    """Check the file system of a root. With `read_only` nothing is written."""
    if not os.path.isdir(root):
        yield _absent(root)
        return
    yield Check("root", OK, root)
    for look in (_permissions, _space):
        yield _guarded(look, root)
    if not read_only:
        yield from _probes(root)


def _absent(root: str) -> Check:
    """Check that a root which does not exist can be made."""
    if os.path.lexists(root):
        return Check("root", PROBLEM, f"{root} is not a folder", "set HULDRA_PATH to a folder")
    above = root
    while not os.path.exists(above):
        above = os.path.dirname(above)
    if os.path.isdir(above) and os.access(above, os.W_OK | os.X_OK):
        return Check("root", OK, f"{root} does not exist; the first run makes it")
    return Check(
        "root",
        PROBLEM,
        f"{root} does not exist, and you cannot make it in {above}",
        "set HULDRA_PATH to a folder that you can write to",
    )


# ---- probes -------------------------------------------------------------------------------------


def _probes(root: str) -> Iterator[Check]:
    """Do what huldra does, in a temporary folder of the root."""
    folder = files.temporary_name(f"{root}/doctor")
    try:
        os.mkdir(folder)
    except OSError as error:
        yield Check(
            "writable",
            PROBLEM,
            f"you cannot make a folder in {root}: {error.strerror}",
            "hits work, and nothing can be computed: ask the owner for write access, or set"
            " HULDRA_PATH to a store of your own",
        )
        return
    try:
        yield Check("writable", OK, "you can make files and folders")
        for probe in (_hard_links, _rename, _clock, _latency):
            yield _guarded(probe, folder)
    finally:
        files.remove_tree(folder)


def _guarded(probe: Callable[[str], Check], folder: str) -> Check:
    """Let an error that a probe or a look did not expect be its answer."""
    try:
        return probe(folder)
    except (OSError, HuldraStoreError) as error:
        name = probe.__name__.strip("_").replace("_", " ")
        return Check(name, PROBLEM, str(error), "see the system's log, or ask who runs the server")


def _hard_links(folder: str) -> Check:
    """Claim a name twice, as attempts do: only the first may win."""
    try:
        won = files.link_new(f"{folder}/claim", b"1"), files.link_new(f"{folder}/claim", b"2")
    except HuldraStoreError as error:
        remedy = "set HULDRA_PATH to a file system that has them (ext4, xfs, NFS, Lustre, GPFS)"
        return Check("hard links", PROBLEM, str(error), remedy)
    if won == (True, False):
        return Check("hard links", OK, "a name can be claimed once")
    return Check(
        "hard links",
        PROBLEM,
        f"two claims of one name were answered with {won}; expected (True, False)",
        "no artifact is safe from being made twice here: set HULDRA_PATH to another file system",
    )


def _rename(folder: str) -> Check:
    """Rename a folder onto a free name and onto one that is taken: only the first may work."""
    for name in ("one", "two"):
        os.mkdir(f"{folder}/{name}")
        files.write_hidden(f"{folder}/{name}/file", name.encode())
    free = files.rename_new(f"{folder}/one", f"{folder}/new")
    taken = files.rename_new(f"{folder}/two", f"{folder}/new")
    if (free, taken) == (True, False) and files.read_bytes(f"{folder}/new/file") == b"one":
        return Check("rename", OK, "a folder gets a free name in one step, and no taken one")
    return Check(
        "rename",
        PROBLEM,
        f"a folder onto a free and a taken name: {free}, {taken}; expected True, False",
        "set HULDRA_PATH to another file system",
    )


def _clock(folder: str) -> Check:
    """Compare this host's clock with the time that the server gives to a new file."""
    before = time.time()
    files.write_hidden(f"{folder}/clock", b"")
    after = time.time()
    ahead_s = os.stat(f"{folder}/clock").st_mtime - (before + after) / 2
    # The write lies somewhere between; times may be whole seconds.
    is_off = abs(ahead_s) > _CLOCK_S + (after - before)
    words = "ahead of" if ahead_s > 0 else "behind"
    by = presentation.duration(abs(ahead_s))
    return Check(
        "clock",
        WARNING if is_off else OK,
        f"the file server is {by} {words} this host",
        "synchronise this host's clock (NTP): times in logs and listings are off" if is_off else "",
        {"ahead_s": ahead_s},
    )


def _latency(folder: str) -> Check:
    """Time what huldra does most: a hit, a claim, a renewal, a record, a listing."""
    known = f"{folder}/known"
    files.write_hidden(known, b"{}")

    def hit(_: int) -> None:
        files.read_bytes(known)
        os.stat(folder)

    calls: dict[str, Callable[[int], object]] = {
        "hit": hit,
        "claim": lambda n: files.link_new(f"{folder}/claim-{n}", b"{}"),
        "renewal": lambda _: os.utime(known),
        "record": lambda _: files.write_atomic(f"{folder}/record", b"{}"),
        "sync": lambda _: files.write_atomic(f"{folder}/record", b"{}", sync=True),
        "listing": lambda _: os.listdir(folder),
    }
    took_s = {name: _median_s(call) for name, call in calls.items()}
    slow = [name for name, seconds in took_s.items() if seconds > _SLOW_S]
    return Check(
        "latency",
        WARNING if slow else OK,
        ", ".join(f"{name} {seconds * 1000:.2g} ms" for name, seconds in took_s.items()),
        f"slow: {', '.join(slow)}; many short artifacts will wait for the file server"
        if slow
        else "",
        {f"{name}_s": seconds for name, seconds in took_s.items()},
    )


def _median_s(call: Callable[[int], object]) -> float:
    took_s = []
    for n in range(_ROUNDS):
        began = time.perf_counter()
        call(n)
        took_s.append(time.perf_counter() - began)
    return median(took_s)


# ---- looks --------------------------------------------------------------------------------------


def _space(root: str) -> Check:
    """Look at the free space and the free inodes; quotas are not seen."""
    found = os.statvfs(root)
    free_bytes = found.f_bavail * found.f_frsize
    has_inodes = found.f_files > 0  # btrfs and others make them as they need them
    verdict, remedy = OK, ""
    if free_bytes < _LITTLE_BYTES or (has_inodes and found.f_favail < _FEW_INODES):
        verdict, remedy = WARNING, "make room: huldra gc shows what may go"
    if free_bytes < _TOO_LITTLE_BYTES or (has_inodes and found.f_favail < _TOO_FEW_INODES):
        verdict = PROBLEM
    inodes = f"{found.f_favail:,} inodes free" if has_inodes else "no limit on inodes"
    return Check(
        "space",
        verdict,
        f"{presentation.size(free_bytes)} free, {inodes}",
        remedy,
        {"free_bytes": free_bytes} | ({"free_inodes": found.f_favail} if has_inodes else {}),
    )


def _permissions(root: str) -> Check:
    """Look whether the people who can write to the root can write to what others make in it."""
    mode = stat.S_IMODE(os.stat(root).st_mode)
    shown = f"the root has mode {mode:04o}, your umask is {_umask():03o}"
    if mode & stat.S_IWOTH:
        return Check(
            "permissions",
            WARNING,
            f"{shown}: every user can write to it",
            f"who can write to a store can run code as its users: chmod o-w {root}",
        )
    if not mode & stat.S_IWGRP:
        return Check("permissions", OK, f"{shown}: only its owner can write to it")
    return _group_permissions(root, mode, shown)


def _group_permissions(root: str, mode: int, shown: str) -> Check:
    remedies = []
    if not mode & stat.S_ISGID:
        remedies.append(f"chmod g+s {root} (else new folders have each user's own group)")
    if _umask() & stat.S_IWGRP:
        remedies.append("umask 002 (else the group cannot write to the folders that you make)")
    closed = [name for name in (DATA, GIT, RUNS) if _is_closed(f"{root}/{name}")]
    if closed:
        remedies.append(f"chmod g+w on what the group cannot write to: {', '.join(closed)}")
    found = f"{shown}: its group can write to it"
    return Check("permissions", WARNING if remedies else OK, found, "; ".join(remedies))


def _is_closed(path: str) -> bool:
    """Return True if the group cannot write to this folder; False where there is none."""
    with contextlib.suppress(OSError):
        return not os.stat(path).st_mode & stat.S_IWGRP
    return False


def _umask() -> int:
    known = os.umask(0o077)  # it can only be read by setting it
    os.umask(known)
    return known
