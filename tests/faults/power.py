"""The power fails: images of a real ext4 at each file operation of a call, read after a reboot.

The store is on a file system in an image file. A call is stopped before each of its operations,
and the image is copied: what the kernel has in memory and not on the disk is not in the copy. The
journal is written first in half of the copies (as a sync by any other program does at any moment),
which puts names and lengths on the disk, and no data: the worst that a power cut can leave.

Each copy is mounted, which replays its journal, and a new process looks: what counts as made must
be whole, and a call must give the right value.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import huldra
from huldra.store import files
from tests.faults import cases, disk
from tests.faults.cases import Outcome

_SIZE = 8 << 20
_PART = "part of the artifact\n" * 400
_ONLY_LOOKS = frozenset(
    {"access", "close", "fstat", "listdir", "lstat", "read", "readlink", "scandir", "stat"}
)
_TIMES_LOOKED = 3  # copies that are thrown away because the kernel wrote meanwhile


FEW, MANY = 3, 20  # files of an artifact: those of few are synced one by one


class Spread(huldra.Huldra[str]):
    """Files at several depths, one of them by a rename."""

    count: int

    def _create(self) -> str:
        folder = self.huldra_dir
        deep = folder / "sub" / "deep"
        deep.mkdir(parents=True, exist_ok=True)
        for number in range(self.count - 1):
            (deep / f"{number}").write_text(_PART)
        (folder / "draft").write_text(_PART)
        (folder / "draft").rename(folder / "last")
        return self._load()

    def _load(self) -> str:
        names = [f"sub/deep/{number}" for number in range(self.count - 1)]
        return "".join((self.huldra_dir / name).read_text() for name in [*names, "last"])


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount an image of ext4; its journal is written when something asks for it, and else not."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-o", "loop,commit=300", str(image), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def why_not(folder: Path) -> str | None:
    """Say why images cannot be mounted here; None when they can. Tries it in `folder`."""
    if os.getuid() != 0:
        return "mounting an image of a disk needs root"
    image = folder / "probe"
    try:
        _make(image)
        with mounted(image, folder / "probed"):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return str(error)
    finally:
        image.unlink(missing_ok=True)


@dataclass(frozen=True)
class Cut:
    """A copy of the disk at one moment."""

    when: str
    image: Path


class _Each:
    """Stops the call before each of its operations that may matter, until the picture is taken."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stops = 0

    def __call__(self, operation: disk.Operation) -> None:
        """Wait for the picture."""
        if operation.number and operation.name not in _ONLY_LOOKS:
            self._stops += 1
            at = self._folder / f"at-{self._stops}"
            files.write_atomic(str(at), str(operation).encode())
            disk.await_path(self._folder / f"go-{self._stops}")


@dataclass(frozen=True)
class Case:
    """A call of an artifact of `count` files; with HULDRA_DURABLE or without.

    `writes_journal` has the journal written before each cut. The first `spared` moments are not
    cut, which saves time: then nothing can count as made.
    """

    count: int
    writes_journal: bool
    is_durable: bool = True
    spared: int = 0

    def __str__(self) -> str:
        """As a line of a report."""
        journal = "written" if self.writes_journal else "as it is"
        return f"power cuts of {self.count} files, the journal {journal}"


EVERY_CASE = [Case(count, is_written) for count in (FEW, MANY) for is_written in (False, True)]


def play(case: Case, folder: Path) -> Outcome:
    """Cut the power at each operation of one call, and check what is left each time."""
    outcome = Outcome()
    folder.mkdir(parents=True)
    image = folder / "disk"
    _make(image)
    with mounted(image, folder / "mount") as mount:
        huldra.set_huldra_root(mount / "store")
        cuts = list(_cuts_of_a_call(case, folder, outcome))
    for cut in cuts:
        _check(case, cut, folder, outcome)
        cut.image.unlink()
    return outcome


def _make(image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(_SIZE)
    path = f"{os.environ.get('PATH')}:/usr/sbin:/sbin"
    subprocess.run(
        ["mkfs.ext4", "-q", "-F", str(image)], check=True, env={**os.environ, "PATH": path}
    )


def _cuts_of_a_call(case: Case, folder: Path, outcome: Outcome) -> Iterator[Cut]:
    work = Spread(count=case.count)

    def ask() -> str:
        huldra.HULDRA_CONFIG.update(durable=case.is_durable)
        return work.load_or_create()

    child = cases.start(ask, folder, "caller", fault=_Each(folder))
    try:
        yield from _cuts_while(child, case, folder, outcome)
    finally:
        child.kill()  # where something went wrong: it must not hold the disk


def _cuts_while(child: cases.Child, case: Case, folder: Path, outcome: Outcome) -> Iterator[Cut]:
    camera = _Camera(folder, case.writes_journal)
    for number in itertools.count(1):
        at = folder / f"at-{number}"
        if not cases.until(lambda at=at: at.exists() or child.has_reported()):  # type: ignore[misc]
            raise AssertionError(f"the call stands still before stop {number}")
        if not at.exists():
            break
        if number > case.spared:
            yield from camera.cut(f"before operation {at.read_text()}")
        (folder / f"go-{number}").touch()
    cases.finished([child], outcome)
    cases.until(child.is_over)
    cases.check_report(child, _PART * case.count, outcome, must_have=True)
    yield from camera.cut("at the end of the call")
    outcome.counts["power cuts"] += camera.cuts


class _Camera:
    """Copies the disk, once for each state of it."""

    def __init__(self, folder: Path, writes_journal: bool) -> None:
        self._folder = folder
        self._writes_journal = writes_journal
        self._seen = ""
        self.cuts = 0

    def cut(self, when: str) -> Iterator[Cut]:
        """Give a copy of the disk, unless it is as it was at the last cut."""
        if self._writes_journal:
            _write_journal(self._folder / "mount")
        self.cuts += 1
        disk, copy = self._folder / "disk", self._folder / f"cut-{self.cuts}"
        for _ in range(_TIMES_LOOKED):
            subprocess.run(["cp", "--sparse=always", str(disk), str(copy)], check=True)
            digest = _digest(copy)
            if digest == _digest(disk):
                break
        else:
            raise AssertionError(f"the disk is written to all the time, {when}")
        if digest != self._seen:
            self._seen = digest
            yield Cut(when, copy)


def _digest(image: Path) -> str:
    with image.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _write_journal(mount: Path) -> None:
    """Have all names and lengths written, as any program's `fsync` does; no data of other files."""
    handle = os.open(mount / "other", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(handle, b"x")
        os.fsync(handle)
    finally:
        os.close(handle)


def _check(case: Case, cut: Cut, folder: Path, outcome: Outcome) -> None:
    outcome.counts["disks after a power cut"] += 1
    with mounted(cut.image, folder / "after") as mount:
        huldra.set_huldra_root(mount / "store")
        child = cases.start(lambda: _look(case.count), folder, "after the cut")
        cases.finished([child], outcome)
        cases.until(child.is_over)
        report = child.report()
        child.report_file.unlink(missing_ok=True)
    outcome.counts[f"{report.get('value', 'no answer')}"] += 1
    if report.get("value") not in ("made, whole", "made by the next call"):
        outcome.wrong.append(f"power cut {cut.when}: {report} {child.log()}")


def _look(count: int) -> str:
    work, whole = Spread(count=count), _PART * count
    if work.exists():
        return "made, whole" if _load(work) == whole else "made, and not whole"
    value = work.load_or_create()
    if value != whole or _load(work) != whole:
        return "the next call gave another value"
    return "made by the next call"


def _load(work: Spread) -> str | None:
    try:
        return work._load()
    except OSError:
        return None
