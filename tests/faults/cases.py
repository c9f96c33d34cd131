"""One artifact, the processes that want it, and what must hold of it afterwards.

What all forms of the fault harness share: a config that writes down when its `_create` runs, child
processes that report what became of their call, situations in which a call may find the artifact,
and the books: what has to be true of an artifact when all is over.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import huldra
from huldra import worker
from huldra.store import claim, files
from huldra.store.layout import ArtifactPaths
from huldra.store.process import start_time
from huldra.store.records import QUEUED, AttemptStatus
from tests.faults import disk
from tests.faults.samples import payload_of
from tests.support.odd import await_file, leave, lines

ENDS_WITHIN_S = 40.0
SETTINGS = {
    "HULDRA_LEASE_SECS": "0.6",
    "HULDRA_HEARTBEAT_SECS": "0.15",
    "HULDRA_POLL_INTERVAL_SECS": "0.05",
    "HULDRA_STALE_AFTER_SECS": "1",
    "HULDRA_LOG_LEVEL": "WARNING",
    "HULDRA_IGNORE_DIFF": "true",
}


class Work(huldra.Huldra[str]):
    """An artifact of one file, which is written in two halves.

    `_create` keeps a ledger outside of the store: that it begins, under which claim, that it ends,
    and whether another one of the same claims folder was running (`overlap`). `trouble` names a
    file: while it exists `_create` does what is in it (`raise`, `kill`), and a path `gate` is
    awaited between the two halves.
    """

    name: str
    needs: tuple[Work, ...] = ()
    ledger: str = huldra.field(default="", hashed=False)
    trouble: str = huldra.field(default="", hashed=False)
    gate: str = huldra.field(default="", hashed=False)
    pause_s: float = huldra.field(default=0.0, hashed=False)

    def _create(self) -> str:
        who = f"{self.name} {os.getpid()} {start_time(os.getpid())}"
        with alone(self.ledger, self.name, ArtifactPaths(str(self.huldra_dir))) as word:
            leave(self.ledger, f"{word} {who} {time.time_ns()}")
            text = self._compute()
            leave(self.ledger, f"end {who} {time.time_ns()}")
        return text

    def _compute(self) -> str:
        for need in self.needs:
            need.load_or_create()
        text = text_of(self)
        half = len(text) // 2
        with (self.huldra_dir / "text").open("w") as file:
            file.write(text[:half])
            file.flush()
            self._meet_trouble()
            file.write(text[half:])
        return text

    def _meet_trouble(self) -> None:
        if self.gate:
            await_file(Path(self.gate))
        time.sleep(self.pause_s)
        if self.trouble and Path(self.trouble).exists():
            if Path(self.trouble).read_text() == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("trouble")

    def _load(self) -> str:
        return (self.huldra_dir / "text").read_text()


class CheckedWork(Work):
    """Valid only with all of its text."""

    def _validate(self) -> bool:
        file = self.huldra_dir / "text"
        return file.exists() and file.read_text() == text_of(self)


class Stored(huldra.Huldra[str]):
    """What `_create` returns is stored by huldra, which reads it back."""

    name: str
    needs: tuple[Work, ...] = ()
    ledger: str = huldra.field(default="", hashed=False)

    def _create(self) -> str:
        who = f"{self.name} {os.getpid()} {start_time(os.getpid())}"
        with alone(self.ledger, self.name, ArtifactPaths(str(self.huldra_dir))) as word:
            leave(self.ledger, f"{word} {who} {time.time_ns()}")
            return text_of(self)


def text_of(work: Work | Stored) -> str:
    """What the artifact holds when it is whole: some pages, so that a disk may lose them."""
    return f"{work.name}({','.join(need.name for need in work.needs)})\n" * 800


@contextlib.contextmanager
def alone(ledger: str, name: str, paths: ArtifactPaths) -> Iterator[str]:
    """Give `begin`, `overlap` where another `_create` of these claims runs, or `lost`.

    The lock goes with its process. It is one for each claims folder that there was: whoever makes
    the artifact after somebody removed it is not together with an owner of before.
    """
    with disk.unseen():
        token = _token_of_first(paths) if _is_ours(paths) else None
    if token is None:
        yield "lost"
        return
    with locked(f"{ledger}.{name}.{token}.lock") as is_alone:
        yield "begin" if is_alone else "overlap"


@contextlib.contextmanager
def locked(path: str) -> Iterator[bool]:
    """Hold the lock of this name, which goes with the process; False where another one has it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _token_of_first(paths: ArtifactPaths) -> str | None:
    with contextlib.suppress(OSError, huldra.HuldraError):
        for number in claim.numbers(paths)[:1]:
            return claim.read_claim(paths, number).owner.token
    return None


def _is_ours(paths: ArtifactPaths) -> bool:
    with contextlib.suppress(OSError, huldra.HuldraError):
        attempt = claim.last_attempt(paths)
        return attempt is not None and attempt.claim.owner.pid == os.getpid()
    return False


# ---- processes -------------------------------------------------------------------------------


@dataclass
class Child:
    """A forked process and what it reported."""

    pid: int
    folder: Path
    name: str
    code: int | None = None

    def is_over(self) -> bool:
        """Return True if it has ended; then `code` is how."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None

    @property
    def report_file(self) -> Path:
        """Where it reports."""
        return self.folder / f"{self.name}.json"

    def has_reported(self) -> bool:
        """Return True if its call is over; the process may be alive."""
        return self.report_file.exists() or self.is_over()

    def report(self) -> dict[str, object]:
        """What became of its call: `value`, or `error` and `is_clear`."""
        if not self.report_file.exists():
            return {"code": self.code}
        return dict(json.loads(self.report_file.read_text()))

    def log(self) -> str:
        """The end of what it printed."""
        file = self.folder / f"{self.name}.log"
        return file.read_text()[-1500:] if file.exists() else ""

    def kill(self) -> None:
        """End it, if it has not ended."""
        if not self.is_over():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)
                os.kill(self.pid, signal.SIGKILL)
            until(self.is_over)


def until(condition: Callable[[], object], timeout_s: float = ENDS_WITHIN_S) -> bool:
    """Return True once the condition holds, False when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def start(
    call: Callable[[], object],
    folder: Path,
    name: str,
    *,
    fault: disk.Fault | None = None,
    stays: bool = False,
) -> Child:
    """Fork a process that calls `call` under `fault` and reports; with `stays` it lives on after.

    It then lives until `<name>.leave` exists.
    """
    # A signal that comes before the child is set up would end the set-up.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return Child(pid, folder, name)
    code = 1
    try:
        handle = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        call_and_report(call, folder, name, fault)
        if stays:
            disk.await_path(folder / f"{name}.leave")
        code = 0
    except BaseException:  # noqa: BLE001  the end of a process: all that is left to do is to print it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def call_and_report(
    call: Callable[[], object], folder: Path, name: str, fault: disk.Fault | None
) -> None:
    """Call `call` under `fault`, and leave in `<name>.json` what became of it."""
    if fault is not None:
        disk.Disk(huldra.get_huldra_root(), fault).install()
    report: dict[str, object]
    try:
        report = {"value": call()}
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001  it is reported
        traceback.print_exc()
        is_clear = isinstance(error, huldra.HuldraError | KeyboardInterrupt) or _has_note(error)
        report = {"error": f"{type(error).__name__}: {error}", "is_clear": is_clear}
    (folder / "mended").touch()
    files.write_atomic(str(folder / f"{name}.json"), json.dumps(report).encode())


def _has_note(error: BaseException) -> bool:
    """Return True if it is the user's own error, of `_load` for example, which huldra explains."""
    return any("huldra" in note for note in getattr(error, "__notes__", ()))


def finished(children: list[Child], outcome: Outcome, timeout_s: float = ENDS_WITHIN_S) -> None:
    """Wait for the children's calls; one that does not end in time is a fault, and is killed."""
    for child in children:
        if not until(child.has_reported, timeout_s):
            outcome.wrong.append(f"the {child.name} did not end in {timeout_s:g} s")
            child.kill()


# ---- what must hold --------------------------------------------------------------------------


@dataclass
class Outcome:
    """What a case came to."""

    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def check_report(child: Child, text: str, outcome: Outcome, *, must_have: bool = False) -> None:
    """The call gave the right value, or an error of huldra's; never another value or error."""
    report = child.report()
    outcome.counts[f"{child.name} {_word(report)}"] += 1
    if "value" in report:
        if report["value"] not in (text, None, 0, 1):
            outcome.wrong.append(f"the {child.name} got {str(report['value'])[:60]!r}")
    elif "error" in report and not report["is_clear"]:
        outcome.wrong.append(f"the {child.name} raised no error of huldra's: {report['error']}")
    if must_have and report.get("value") != text:
        outcome.wrong.append(f"the {child.name} ended with {str(report)[:300]}: {child.log()}")


def _word(report: dict[str, object]) -> str:
    if "value" in report:
        return "got it"
    return str(report["error"]).partition(":")[0] if "error" in report else "died"


def check_published(work: Work | Stored, outcome: Outcome, when: str) -> None:
    """What stands as made is whole."""
    if not work.exists():
        return
    try:
        text = work.load()
    except Exception as error:  # noqa: BLE001  any error here is the finding
        outcome.wrong.append(f"{when}, it counts as made and does not load: {error!r}")
        return
    if text != text_of(work):
        outcome.wrong.append(f"{when}, it counts as made with {len(text)} characters")


def check_books(
    work: Work | Stored, ledger: Path, outcome: Outcome, *, has_history: bool = True
) -> None:
    """All is over: the artifact is made and whole, each attempt has ended, and none overlapped.

    Where attempts were removed (`has_history` False) they are not asked for.
    """
    outcome.wrong += [f"two at once: {line}" for line in lines(ledger, f"overlap {work.name} ")]
    if not work.exists():
        outcome.wrong.append(f"{work.name} is not made")
    else:
        check_published(work, outcome, f"at the end, {work.name}")
        if has_history:
            wrong = wrong_attempts(ArtifactPaths(str(work.huldra_dir)), outcome.counts)
            outcome.wrong += [f"{work.name}: {text}" for text in wrong]


def wrong_attempts(paths: ArtifactPaths, counts: Counter[str]) -> Iterator[str]:
    """Yield what is wrong with the attempts of an artifact that is made, and in nobody's hands."""
    attempts = claim.read_history(paths)
    counts["attempts"] += len(attempts)
    counts.update(
        f"attempt {attempt.status.value}" for attempt in attempts if attempt.claim.kind != QUEUED
    )
    yield from (f"attempt {attempt.number} is open" for attempt in attempts if attempt.end is None)
    record = json.loads(Path(paths.success).read_text())
    successes = {attempt.number for attempt in attempts if attempt.status is AttemptStatus.SUCCESS}
    if record["claim"] not in successes:
        yield f"SUCCESS.json names attempt {record['claim']} of the successes {successes}"


# ---- situations ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """Where a case is played: an empty folder with a store in it."""

    folder: Path

    @property
    def ledger(self) -> Path:
        """Where `_create` keeps its ledger."""
        return self.folder / "ledger"

    def work(self, **fields: object) -> Work:
        """The artifact of the case, unless `fields` say otherwise."""
        values: dict[str, object] = {"name": "a", "ledger": str(self.ledger), **fields}
        return Work(**values)  # type: ignore[arg-type]  # fields of tests

    def checked(self, **fields: object) -> CheckedWork:
        """The same, and `_validate` looks at its text."""
        values: dict[str, object] = {"name": "a", "ledger": str(self.ledger), **fields}
        return CheckedWork(**values)  # type: ignore[arg-type]  # as above

    def call(self, call: Callable[[], object], name: str = "prepare") -> None:
        """Call it in a process of its own, to its end, whatever that is."""
        child = start(call, self.folder, name)
        if not until(child.is_over):
            child.kill()
            raise AssertionError(f"{name} did not end: {child.log()}")
        child.report_file.unlink(missing_ok=True)
        (self.folder / "mended").unlink(missing_ok=True)


@dataclass(frozen=True)
class Situation:
    """What the call under test finds; `ask` is that call, and `work` is what it should give."""

    work: Work | Stored
    ask: Callable[[], object]


def _new(stage: Stage) -> Situation:
    """Nothing is there."""
    work = stage.work()
    return Situation(work, work.load_or_create)


def _failed(stage: Stage) -> Situation:
    """An attempt has failed."""
    return _after_trouble(stage, "raise")


def _crashed(stage: Stage) -> Situation:
    """A process died in `_create`, and its claim is open."""
    return _after_trouble(stage, "kill")


def _after_trouble(stage: Stage, how: str) -> Situation:
    trouble = stage.folder / "trouble"
    trouble.write_text(how)
    work = stage.work(trouble=str(trouble))
    stage.call(work.load_or_create)
    trouble.unlink()
    return Situation(work, work.load_or_create)


def _invalid(stage: Stage) -> Situation:
    """It was made, and `_validate` does not accept it any more."""
    work = stage.checked()
    stage.call(work.load_or_create)
    (work.huldra_dir / "text").write_text("damaged")
    return Situation(work, work.load_or_create)


def _unpublished(stage: Stage) -> Situation:
    """Its owner died between the end of its attempt and SUCCESS.json."""
    work = stage.work()
    stage.call(work.load_or_create)
    Path(ArtifactPaths(str(work.huldra_dir)).success).unlink()
    return Situation(work, work.load_or_create)


def _made(stage: Stage) -> Situation:
    """It is made."""
    work = stage.work()
    stage.call(work.load_or_create)
    return Situation(work, work.load_or_create)


def _needing(stage: Stage) -> Situation:
    """It needs another one, which is not made either."""
    work = stage.work(needs=(stage.work(name="need"),))
    return Situation(work, work.load_or_create)


def _queued(stage: Stage) -> Situation:
    """It was sent to an engine, and the call under test is the job's."""
    work = stage.work()
    payload = stage.folder / "payload"
    payload.write_text(payload_of(work))
    return Situation(work, lambda: worker.main([str(payload)]))


def _sent(stage: Stage) -> Situation:
    """The call sends it to an engine, with what it needs, and waits for the job."""
    work = stage.work(needs=(stage.work(name="need"),))
    return Situation(work, lambda: work.load_or_create(executor="inline").result(timeout=30))


def _stored(stage: Stage) -> Situation:
    """Nothing is there, and huldra stores what `_create` returns."""
    work = Stored(name="a", ledger=str(stage.ledger))
    return Situation(work, work.load_or_create)


def _forced(stage: Stage) -> Situation:
    """It is made, and the call discards that and makes it again."""
    work = stage.work()
    stage.call(work.load_or_create)
    return Situation(work, lambda: work.load_or_create(force=True))


SITUATIONS: dict[str, Callable[[Stage], Situation]] = {
    "new": _new,
    "failed": _failed,
    "crashed": _crashed,
    "invalid": _invalid,
    "unpublished": _unpublished,
    "made": _made,
    "needing": _needing,
    "queued": _queued,
    "sent": _sent,
    "forced": _forced,
    "stored": _stored,
}
