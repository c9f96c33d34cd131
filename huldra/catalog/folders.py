"""What is known of a store's class folders from one scan to the next, and what a scan asks again.

A folder whose time is the same has the same artifacts. An artifact that is over is the same while
its `.huldra` folder has the same time and its next attempt has no claim; of one that is open the
folder of its claims must have the same time, too, and its owner is judged at each look.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from huldra.catalog.artifact_state import (
    CacheEntry,
    ScanClock,
    judge_again,
    look,
    new_entry,
)
from huldra.catalog.records import Row
from huldra.catalog.walk import folder_names, is_digest
from huldra.store.files import path_exists
from huldra.store.layout import DATA, GIT, PRIVATE

Progress = Callable[[int, int], None]  # artifacts looked at, artifacts there are

_CHUNK = 250
_COLD_S = 0.001  # an artifact that is waited for longer comes from a disk or a network
_COLD_THREADS = 16
_NS = 1_000_000_000
_FINE_TICK_NS = _NS // 20  # a change may come within the same tick of the file system's clock
_COARSE_TICK_NS = 2 * _NS  # some count whole seconds, or two

Stamp = tuple[int, int]  # a folder's time in ns, and its inode
UNSEEN: Stamp = (-1, -1)
_INODE = (1 << 63) - 1  # as much of it as a database keeps


@dataclass(slots=True)
class Known:
    """An artifact as the last look found it.

    `time_ns` and `inode` are those of its `.huldra` folder, -1 where they cannot be relied on.
    `entry` is None once it is over: all that can change it then is another attempt.
    """

    row: Row
    time_ns: int = -1
    inode: int = -1
    entry: CacheEntry | None = None
    claims: Stamp = UNSEEN
    is_saved: bool = False


@dataclass(slots=True)
class ClassFolder:
    """The artifacts of one class, in order. `stamp` is `UNSEEN` where it cannot be relied on."""

    root: str
    version_controlled: bool
    namespace: str
    stamp: Stamp = UNSEEN
    known: list[Known] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    is_saved: bool = False

    @property
    def path(self) -> str:
        """The folder of the class."""
        return f"{self.root}/{GIT if self.version_controlled else DATA}/{self.namespace}"


Place = tuple[bool, str]  # version controlled, namespace


def walk_folders(
    root: str, known: dict[Place, ClassFolder], now: ScanClock, problems: list[str]
) -> dict[Place, ClassFolder]:
    """The class folders below `root` as they are now, with what was known of their artifacts."""
    found = {}
    for top in (DATA, GIT):
        for module in folder_names(f"{root}/{top}", problems):
            for name in folder_names(f"{root}/{top}/{module}", problems):
                place = (top == GIT, f"{module}/{name}")
                folder = known.get(place) or ClassFolder(root, *place)
                _list_again(folder, now, problems)
                found[place] = folder
    return found


def _list_again(folder: ClassFolder, now: ScanClock, problems: list[str]) -> None:
    """List the folder, unless it has the time that it had."""
    stamp = stamp_of(folder.path)
    if stamp == folder.stamp and stamp != UNSEEN:
        return
    before = {known.row.digest: known for known in folder.known}
    digests = [name for name in folder_names(folder.path, problems) if is_digest(name)]
    folder.known = [
        before.pop(digest)
        if digest in before
        else Known(Row(folder.root, folder.namespace, digest, folder.version_controlled))
        for digest in digests
    ]
    folder.removed += before
    folder.stamp = stamp if _is_over(stamp[0], now) else UNSEEN
    folder.is_saved = False


def stamp_of(path: str) -> Stamp:
    """A folder's time and inode; `UNSEEN` where it cannot be seen."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return UNSEEN
    return found.st_mtime_ns, found.st_ino & _INODE


def _is_over(time_ns: int, now: ScanClock) -> bool:
    """Return True if no change that is still to come can leave this time on a folder."""
    tick_ns = _FINE_TICK_NS if time_ns % _NS else _COARSE_TICK_NS
    return 0 <= time_ns < max(now.clock_s, now.server_s) * _NS - tick_ns


# ---------------------------------------------------------------- one artifact


def look_at(known: Known, private: str, now: ScanClock) -> bool:
    """Bring an artifact up to date; True when files had to be read again.

    `private` is its `.huldra` folder. What a look sees is remembered by the folder's time from
    before the look, so that no change behind its back is lost.
    """
    try:
        found = os.stat(private)
        time_ns, inode = found.st_mtime_ns, found.st_ino & _INODE
    except (OSError, ValueError):
        time_ns = inode = -1
    is_same = time_ns == known.time_ns and inode == known.inode and time_ns >= 0
    if (
        is_same
        and known.entry is None
        and known.claims == UNSEEN
        and not path_exists(f"{private}/claims/{known.row.attempt_number + 1}")
    ):
        return False
    claims = stamp_of(f"{private}/claims")
    if is_same and claims == known.claims != UNSEEN:
        if known.entry is not None:
            judge_again(known.entry, now)
            _take(known, known.entry.row)
        return False
    entry = known.entry or new_entry(
        known.row.root, known.row.version_controlled, known.row.namespace, known.row.digest
    )
    was_read = look(entry, now)
    _take(known, entry.row)
    is_over = _is_over(time_ns, now)
    known.time_ns, known.inode = (time_ns, inode) if is_over else UNSEEN
    known.claims = claims if is_over and _is_over(claims[0], now) else UNSEEN
    known.is_saved = False
    _let_go(known, entry)
    return was_read


def _take(known: Known, row: Row) -> None:
    if known.row is not row and known.row != row:
        known.row = row


def _let_go(known: Known, entry: CacheEntry) -> None:
    """Keep what the row is derived from only where something may change it that leaves no time."""
    row = known.row
    known.entry = entry
    if known.time_ns < 0 or row.problem or entry.open_attempt is not None:
        return
    if row.config is None and row.run_id:  # its run may tell
        return
    if row.attempt_status != "crashed":  # else a cancel may explain it yet, among the claims
        known.claims = UNSEEN
    elif known.claims == UNSEEN:
        return
    known.entry = None


# ---------------------------------------------------------------- all of them


def look_at_all(
    folders: Sequence[ClassFolder], now: ScanClock, on_progress: Progress | None
) -> int:
    """Look at each artifact; return how many were read. Threads help where a disk is slow."""
    total = sum(len(folder.known) for folder in folders)
    read = done = 0
    threaded = False
    with contextlib.ExitStack() as stack:
        pool: ThreadPoolExecutor | None = None
        for path, chunk in _chunks(folders):
            began, worked, waits = time.perf_counter(), time.process_time(), _waits()
            if threaded:
                pool = pool or stack.enter_context(ThreadPoolExecutor(_COLD_THREADS))
                read_here = _look_threaded(pool, path, chunk, now)
            else:
                read_here = _look_at_chunk(path, chunk, now)
            worked, took = time.process_time() - worked, time.perf_counter() - began
            # Waiting for a disk or a file server needs no interpreter: threads help there, and
            # only there. Where they are kept busy by the interpreter they cost more than they give.
            waited = took - worked
            if threaded:
                threaded = waited > worked
            else:  # a busy machine makes one wait, too, but has nothing to give to threads
                is_cold = _waits() - waits > len(chunk) / 10
                threaded = is_cold and waited > _COLD_S * max(read_here, 10)
            read += read_here
            done += len(chunk)
            if on_progress is not None:
                on_progress(done, total)
    return read


def drop_gone(folder: ClassFolder) -> None:
    """Leave out what was removed after the folder was listed, or a link to what was removed."""
    gone = [
        known.row.digest
        for known in folder.known
        if known.inode < 0
        and known.row.config is None
        and not os.path.isdir(f"{folder.path}/{known.row.digest}")
    ]
    if gone:
        folder.known = [known for known in folder.known if known.row.digest not in gone]
        folder.removed += gone
        folder.stamp, folder.is_saved = UNSEEN, False


def _chunks(folders: Sequence[ClassFolder]) -> Iterator[tuple[str, list[Known]]]:
    for folder in folders:
        for start in range(0, len(folder.known), _CHUNK):
            yield folder.path, folder.known[start : start + _CHUNK]


def _waits() -> int:
    """How often this thread has waited for something but a processor."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _look_at_chunk(path: str, chunk: Sequence[Known], now: ScanClock) -> int:
    return sum([look_at(one, f"{path}/{one.row.digest}/{PRIVATE}", now) for one in chunk])


def _look_threaded(
    pool: ThreadPoolExecutor, path: str, chunk: Sequence[Known], now: ScanClock
) -> int:
    parts = [chunk[start::_COLD_THREADS] for start in range(_COLD_THREADS)]
    return sum(pool.map(lambda part: _look_at_chunk(path, part, now), parts))
