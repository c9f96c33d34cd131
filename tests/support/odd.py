"""Configs that misbehave in one way each, for tests of the core; importable by child processes."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import huldra


class Note(huldra.Huldra[str]):
    """Makes one file and leaves one line in `ledger` when `_create` begins and when it ends."""

    name: str
    needs: tuple[huldra.Huldra[Any], ...] = ()
    ledger: str = huldra.field(default="", hashed=False)
    pause_s: float = huldra.field(default=0.0, hashed=False)

    def _create(self) -> str:
        leave(self.ledger, f"begin {self.name} {os.getpid()}")
        for need in self.needs:
            need.load_or_create()
        if self.pause_s:
            time.sleep(self.pause_s)
        (self.huldra_dir / "note.txt").write_text(self.name)
        leave(self.ledger, f"end {self.name} {os.getpid()}")
        return self.name

    def _load(self) -> str:
        return (self.huldra_dir / "note.txt").read_text()


class Peak(huldra.Huldra[int]):
    """Tells the most memory in KiB that its process has had."""

    name: str

    def _create(self) -> int:
        status = Path("/proc/self/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        (self.huldra_dir / "peak").write_text(line.split()[1])
        return self._load()

    def _load(self) -> int:
        return int((self.huldra_dir / "peak").read_text())


class Gated(Note):
    """Says that it began, then waits for the file `gate`, a minute at most."""

    gate: str = huldra.field(default="", hashed=False)

    def _create(self) -> str:
        try:  # a signal may come as soon as the line is there
            leave(self.ledger, f"begin {self.name} {os.getpid()}")
            await_file(Path(self.gate))
        finally:
            leave(self.ledger, f"finally {self.name} {os.getpid()}")
        (self.huldra_dir / "note.txt").write_text(self.name)
        leave(self.ledger, f"end {self.name} {os.getpid()}")
        return self.name


class Failing(Note):
    """Raises what `how` names."""

    how: str = "value"

    def _create(self) -> str:
        leave(self.ledger, f"begin {self.name} {os.getpid()}")
        if self.how == "exit":
            sys.exit(0)
        if self.how == "interrupt":
            raise KeyboardInterrupt
        if self.how == "leave":
            os._exit(3)
        raise ValueError(f"{self.name} was told to fail")


class Wants(huldra.Huldra[str]):
    """Holds any value, and needs another artifact."""

    value: Any
    need: huldra.Huldra[Any]

    def _create(self) -> str:
        return "x"

    def _load(self) -> str:
        return "x"


class FailingWhile(Note):
    """Fails while the file `trouble` exists."""

    trouble: str = huldra.field(default="", hashed=False)

    def _create(self) -> str:
        if Path(self.trouble).exists():
            raise ValueError("trouble")
        return super()._create()


class NeverValid(Note):
    """Its `_validate` is always false."""

    def _validate(self) -> bool:
        return False


class ValidByFile(Note):
    """Valid as long as its file is there."""

    def _validate(self) -> bool:
        return (self.huldra_dir / "note.txt").exists()


class ValidUnlessTrouble(Note):
    """`_validate` raises while the file `trouble` exists, and is false while `doubt` does."""

    trouble: str = huldra.field(default="", hashed=False)
    doubt: str = huldra.field(default="", hashed=False)

    def _validate(self) -> bool:
        if Path(self.trouble).is_file():
            raise OSError("stale file handle")
        return not Path(self.doubt).is_file()


class AsksForItself(Note):
    """Asks for itself while it is being made, by the way that `through` names."""

    through: str = "call"

    def _create(self) -> str:
        if self.through == "thread":
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                return pool.submit(self.load_or_create).result()
        if self.through == "fork":
            with concurrent.futures.ProcessPoolExecutor(
                1, mp_context=multiprocessing.get_context("fork")
            ) as pool:
                return pool.submit(self.load_or_create).result()
        if self.through == "spawn":
            code = (
                "from tests.support.odd import AsksForItself;"
                f" AsksForItself(name={self.name!r}, through='spawn').load_or_create()"
            )
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, timeout=50
            )
            raise RuntimeError(done.stderr)
        return self.load_or_create()


class RunsElsewhere(Note):
    """Makes its needs in the kind of pool or thread that `where` names."""

    where: str = "thread"

    def _create(self) -> str:
        if self.where == "thread":
            threads = [threading.Thread(target=need.load_or_create) for need in self.needs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:
            context = multiprocessing.get_context(self.where)
            with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                list(pool.map(load, self.needs))
        return super()._create()

    def _dependencies(self) -> tuple[()]:
        return ()


class Circle(Note):
    """Needs the circle of the next number; the last needs the first again."""

    number: int = 0

    def _dependencies(self) -> list[Circle]:
        return [Circle(name="circle", number=(self.number + 1) % 3)]


def load(obj: huldra.Huldra[Any]) -> Any:
    """Load or make, as a function that pools can send."""
    return obj.load_or_create()


def leave(ledger: str, line: str) -> None:
    """Append one line in one write."""
    if ledger:
        handle = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{line}\n".encode())
        os.close(handle)


def lines(ledger: str | Path, word: str = "") -> list[str]:
    """The lines that start with `word`."""
    path = Path(ledger)
    text = path.read_text() if path.exists() else ""
    return [line for line in text.splitlines() if line.startswith(word)]


def await_file(path: Path, timeout_s: float = 60.0) -> None:
    """Return once the file exists."""
    deadline = time.monotonic() + timeout_s
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} did not appear")
        time.sleep(0.005)
