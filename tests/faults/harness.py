"""Random faults: drivers on one store, killed and stopped at random moments; then the books.

A round is a random graph, a few drivers that want it (in this process's forks, in threads, through
the local executor) and a random schedule of signals to drivers and to pool workers. When they have
ended a survivor asks for everything, and the books are checked:

* every artifact is made and holds what it should;
* `_create` began at most once an attempt, never after an attempt that ended with success, and never
  while another `_create` of the same artifact was alive (a lock that the kernel drops with its
  process);
* every attempt has ended, the last one with success, and `SUCCESS.json` and `state.json` say so;
* nobody is left waiting, and no process is left over.

The random delays are the fault injection; nothing is synchronised by them. A round depends on its
seed and number alone, as far as what is done to it goes; when it happens is the machine's.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import huldra
from huldra.store import claim
from huldra.store.layout import ArtifactPaths
from huldra.store.process import start_time
from huldra.store.records import QUEUED, AttemptStatus
from tests.faults.cases import SETTINGS, Outcome, locked
from tests.support import children
from tests.support.odd import leave, lines

ENDS_WITHIN_S = 40.0
WORKERS_COME_WITHIN_S = 5.0


class Piece(huldra.Huldra[str]):
    """One artifact of a round; tells the ledger when `_create` begins, ends, and overlaps."""

    name: str
    needs: tuple[Piece, ...] = ()
    ledger: str = huldra.field(default="", hashed=False)
    pause_s: float = huldra.field(default=0.0, hashed=False)

    def _create(self) -> str:
        paths = ArtifactPaths(str(self.huldra_dir))
        number = claim.last_number(paths)
        told = f"{self.name} {number} {os.getpid()} {start_time(os.getpid())}"
        with locked(f"{self.ledger}.{self.name}.lock") as is_alone:
            leave(self.ledger, f"{'begin' if is_alone else 'overlap'} {told}")
            text = self._compute()
            leave(self.ledger, f"end {told}")
        return text

    def _compute(self) -> str:
        parts = [need.load_or_create() for need in self.needs]
        threading.Event().wait(self.pause_s)
        text = f"{self.name}({','.join(parts)})"
        (self.huldra_dir / "text").write_text(text)
        return text

    def _load(self) -> str:
        return (self.huldra_dir / "text").read_text()


@dataclass(frozen=True)
class Fault:
    """Send `signum` to a driver, or to one of its pool workers, `after_s` into the round."""

    after_s: float
    driver: int
    signum: signal.Signals
    at_worker: bool
    stopped_s: float = 0.0


@dataclass(frozen=True)
class Round:
    """What is done in one round."""

    seed: int
    number: int
    shape: tuple[tuple[str, tuple[int, ...], float], ...]
    drivers: tuple[tuple[str, tuple[int, ...]], ...]
    faults: tuple[Fault, ...]

    def pieces(self, ledger: str) -> list[Piece]:
        """The graph."""
        made: list[Piece] = []
        for name, needs, pause_s in self.shape:
            wanted = tuple(made[i] for i in needs)
            made.append(Piece(name=name, needs=wanted, ledger=ledger, pause_s=pause_s))
        return made


def draw(seed: int, number: int) -> Round:
    """Draw round `number`."""
    dice = random.Random(f"{seed}:{number}")
    count = dice.randint(3, 12)
    shape = []
    for i in range(count):
        needs = tuple(sorted(dice.sample(range(i), min(i, dice.choice([0, 0, 1, 1, 2, 3])))))
        shape.append((f"p{i}", needs, dice.choice([0.0, 0.005, 0.02, 0.1, 0.3])))
    drivers = []
    for _ in range(dice.randint(2, 4)):
        kind = dice.choice(["here", "here", "threads", "local:2", "local:2"])
        drivers.append((kind, tuple(dice.sample(range(count), dice.randint(1, count)))))
    faults = [_draw_fault(dice, drivers) for _ in range(dice.randint(1, 2 * len(drivers)))]
    return Round(
        seed,
        number,
        tuple(shape),
        tuple(drivers),
        tuple(sorted(faults, key=lambda fault: fault.after_s)),
    )


def _draw_fault(dice: random.Random, drivers: list[tuple[str, tuple[int, ...]]]) -> Fault:
    index = dice.randrange(len(drivers))
    is_pool = drivers[index][0].startswith("local")
    signum = dice.choice([signal.SIGKILL] * 4 + [signal.SIGTERM, signal.SIGINT, signal.SIGSTOP])
    # A pool's driver starts as a program of its own, so that its faults have to come later.
    at_worker = is_pool and dice.random() < 0.75
    after_s = dice.random() * (2.0 if is_pool else 0.4)
    return Fault(
        after_s,
        index,
        signum,
        at_worker,
        dice.random() * 1.5 if signum == signal.SIGSTOP else 0.0,
    )


# ---- drivers ---------------------------------------------------------------------------------


def drive(kind: str, pieces: list[Piece]) -> None:
    """Want these pieces, in the way that `kind` names; what fails is said and left to others."""
    if kind == "here":
        for piece in pieces:
            _try(piece)
    elif kind == "threads":
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(_try, pieces))
    else:
        sweep = huldra.load_or_create({piece.name: piece for piece in pieces}, executor=kind)
        sweep.wait(progress=False)


def _try(piece: Piece) -> None:
    try:
        piece.load_or_create()
    except (huldra.HuldraError, OSError):
        traceback.print_exc()


POOL_DRIVER = """
from tests.faults import harness
plan = harness.draw({seed}, {number})
kind, wanted = plan.drivers[{index}]
pieces = plan.pieces({ledger!r})
harness.drive(kind, [pieces[i] for i in wanted])
"""


@dataclass
class Driver:
    """A driver's process."""

    pid: int
    program: subprocess.Popen[bytes] | None = None
    code: int | None = None

    def is_over(self) -> bool:
        """Whether it has ended; then `code` is how."""
        if self.code is None and self.program is not None:
            self.code = self.program.poll()
        elif self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None

    def has_no_worker(self) -> bool:
        """Whether it lives and has not started a pool worker yet."""
        return not self.is_over() and not _children_of(self.pid)

    def send(self, signum: int, *, at_worker: bool, dice: random.Random) -> int | None:
        """Signal it, or one of its children; the pid that got it, None when there was none."""
        if self.is_over():
            return None
        pid = self.pid
        if at_worker:
            workers = _children_of(self.pid)
            if not workers:
                return None
            pid = dice.choice(workers)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
            return pid
        return None


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            text = Path(f"/proc/{pid}/task/{task}/children").read_text()
            found += [int(word) for word in text.split()]
    return sorted(found)


def _fork(work: Callable[[], None], log: Path) -> Driver:
    pid = os.fork()
    if pid:
        return Driver(pid)
    code = 1
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()
        code = 0
    except BaseException:  # noqa: BLE001  the end of a process: all that is left to do is to say it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _start(plan: Round, index: int, folder: Path) -> Driver:
    kind, wanted = plan.drivers[index]
    ledger = str(folder / "ledger")
    log = folder / f"driver{index}.log"
    if not kind.startswith("local"):
        pieces = plan.pieces(ledger)
        return _fork(lambda: drive(kind, [pieces[i] for i in wanted]), log)
    code = POOL_DRIVER.format(seed=plan.seed, number=plan.number, index=index, ledger=ledger)
    with log.open("ab") as output:
        program = subprocess.Popen(
            [sys.executable, "-c", code],
            env=children.environment(folder / "store", **SETTINGS),
            stdout=output,
            stderr=output,
        )
    return Driver(program.pid, program)


# ---- a round ---------------------------------------------------------------------------------


def play(plan: Round, folder: Path) -> Outcome:
    """Play one round in `folder`, an empty one, and check the books."""
    folder.mkdir(parents=True, exist_ok=True)
    outcome = Outcome()
    before = huldra.get_huldra_root()
    huldra.set_huldra_root(folder / "store")
    try:
        drivers = [_start(plan, index, folder) for index in range(len(plan.drivers))]
        _inflict(plan, drivers, outcome)
        _await_all(drivers, "driver", outcome)
        _survive(plan, folder, outcome)
        _check_books(plan, folder, outcome)
        _check_processes(folder, outcome)
    finally:
        huldra.set_huldra_root(before)
    return outcome


def _inflict(plan: Round, drivers: list[Driver], outcome: Outcome) -> None:
    dice = random.Random(f"{plan.seed}:{plan.number}:aim")
    started = time.monotonic()
    due = [(fault.after_s, fault) for fault in plan.faults]
    continued: list[tuple[float, int]] = []
    while due or continued:
        now = time.monotonic() - started
        for moment in [item for item in continued if item[0] <= now]:
            continued.remove(moment)
            with contextlib.suppress(ProcessLookupError):
                os.kill(moment[1], signal.SIGCONT)
        for item in [item for item in due if item[0] <= now]:
            due.remove(item)
            fault = item[1]
            driver = drivers[fault.driver]
            if fault.at_worker and now < WORKERS_COME_WITHIN_S and driver.has_no_worker():
                due.append((now + 0.01 + dice.random() * 0.3, fault))
                continue
            hit = driver.send(fault.signum, at_worker=fault.at_worker, dice=dice)
            whom = "worker" if fault.at_worker else "driver"
            outcome.counts[f"{fault.signum.name} {whom}" if hit else "missed"] += 1
            if hit and fault.signum == signal.SIGSTOP:
                continued.append((now + fault.stopped_s, hit))
        time.sleep(0.001)  # the schedule's resolution


def _await_all(drivers: list[Driver], what: str, outcome: Outcome) -> None:
    deadline = time.monotonic() + ENDS_WITHIN_S
    while any(not driver.is_over() for driver in drivers):
        if time.monotonic() > deadline:
            stuck = [driver for driver in drivers if not driver.is_over()]
            outcome.wrong.append(f"{what} stuck: {[driver.pid for driver in stuck]}")
            for driver in stuck:
                os.kill(driver.pid, signal.SIGABRT)  # for a trace, where one was asked for
                time.sleep(0.5)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(driver.pid, signal.SIGKILL)
            continue
        time.sleep(0.005)


def _survive(plan: Round, folder: Path, outcome: Outcome) -> None:
    pieces = plan.pieces(str(folder / "ledger"))

    def want_all() -> None:
        for piece in pieces:
            piece.load_or_create()

    started = time.monotonic()
    survivor = _fork(want_all, folder / "survivor.log")
    _await_all([survivor], "survivor", outcome)
    outcome.counts["survivor ms"] = int(1000 * (time.monotonic() - started))
    if survivor.code != 0:
        text = (folder / "survivor.log").read_text()[-1500:]
        outcome.wrong.append(f"the survivor ended with {survivor.code}: {text}")


# ---- the books -------------------------------------------------------------------------------


def _check_books(plan: Round, folder: Path, outcome: Outcome) -> None:
    wrong = outcome.wrong
    ledger = folder / "ledger"
    wrong += [f"two at once: {line}" for line in lines(ledger, "overlap")]
    begun = Counter(tuple(line.split()[1:3]) for line in lines(ledger, "begin"))
    wrong += [
        f"{name} began {n} times in attempt {attempt}"
        for (name, attempt), n in begun.items()
        if n > 1
    ]
    texts: dict[str, str] = {}
    for piece, (name, needs, _) in zip(plan.pieces(""), plan.shape, strict=True):
        texts[name] = f"{name}({','.join(texts[f'p{i}'] for i in needs)})"
        if not piece.exists():
            wrong.append(f"{name} is not made")
        elif piece.load_or_create() != texts[name]:
            wrong.append(f"{name} holds {piece.load_or_create()!r}")
        numbers = [int(attempt) for n, attempt in begun if n == name]
        wrong += [f"{name}: {text}" for text in _wrong_attempts(piece, numbers, outcome.counts)]


def _wrong_attempts(piece: Piece, begun: list[int], counts: Counter[str]) -> Iterator[str]:
    paths = ArtifactPaths(str(piece.huldra_dir))
    attempts = claim.read_history(paths)
    counts["attempts"] += len(attempts)
    counts["artifacts"] += 1
    counts["creates"] += len(begun)
    counts["litter"] += sum(name.endswith(".tmp") for name in os.listdir(paths.claims))
    counts.update(
        f"attempt {attempt.status.value}" for attempt in attempts if attempt.claim.kind != QUEUED
    )
    yield from (f"attempt {attempt.number} is open" for attempt in attempts if attempt.end is None)
    if attempts[-1].status is not AttemptStatus.SUCCESS:
        yield f"the last attempt is {attempts[-1].status.value}"
    first_success = min(
        (t.number for t in attempts if t.status is AttemptStatus.SUCCESS), default=0
    )
    if late := [number for number in begun if number > first_success]:
        yield f"attempts {late} began after attempt {first_success} had made it"
    known = {attempt.number for attempt in attempts}
    if strange := set(begun) - known:
        yield f"_create ran in attempts that do not exist: {strange}"
    record = json.loads(Path(paths.success).read_text())
    if record["claim"] != attempts[-1].number:
        yield f"SUCCESS.json names attempt {record['claim']} of {attempts[-1].number}"
    state = json.loads(Path(paths.state).read_text())
    # A process that was killed between the two leaves its state behind, which is a label.
    is_current = state["attempt"]["number"] == attempts[-1].number and state["result"] == "success"
    counts["state behind"] += not is_current


def _check_processes(folder: Path, outcome: Outcome) -> None:
    """Whoever made anything is gone, or goes soon: workers end with their driver."""
    told = {tuple(line.split()[3:5]) for line in lines(folder / "ledger", "begin")}
    deadline = time.monotonic() + ENDS_WITHIN_S
    for pid, started in told:
        while start_time(int(pid)) == started:
            if time.monotonic() > deadline:
                outcome.wrong.append(f"process {pid} is left over")
                os.kill(int(pid), signal.SIGKILL)
                break
            time.sleep(0.02)
