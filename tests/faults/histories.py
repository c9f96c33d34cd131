"""Random histories of one or two artifacts, checked against a model of what huldra promises.

Several processes ask for the artifacts: by a call, through an engine, on a slow or failing disk, or
on another host (other pids, another host name, shifted clocks). Meanwhile they are killed, stopped,
interrupted and cancelled, and the artifacts are removed and discarded. All write what they do into
one file, in the order in which it happens: `begin` and `end` of each `_create` with its claim, and
what was done to whom. An observer looks all the time at what stands as made. The model:

* one `_create` at a time: where a second one begins while the first one's process lives (a lock
  that the kernel drops with it), the first one's claim was removed, or it was on another host and
  stopped for longer than its lease;
* what was made is not made again, unless it was removed;
* what stands as made is whole at any moment, and after a removal nothing is published for a claim
  that was lost with it;
* every call ends, with the right value or a clear error; afterwards a new process gets all values,
  and each attempt has ended.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import huldra
from huldra.store import claim, files
from huldra.store.layout import ArtifactPaths
from huldra.store.process import Owner
from huldra.store.records import AttemptStatus
from tests.executors import hosts
from tests.faults import cases, disk
from tests.faults.cases import Child, Outcome
from tests.support import children
from tests.support.odd import leave

HALVES = ("first half", "second half")
LEASE_ACROSS_HOSTS_S, HEARTBEAT_ACROSS_HOSTS_S = 3.0, 0.5
_DICE_OF_ROUND = "{seed}:{number}:histories"


class Logged(huldra.Huldra[str]):
    """Two files, each written in one step: only a finished `_create` leaves both."""

    name: str
    needs: tuple[Logged, ...] = ()
    ledger: str = huldra.field(default="", hashed=False)
    actor: str = huldra.field(default="", hashed=False)
    pause_s: float = huldra.field(default=0.0, hashed=False)

    def _create(self) -> str:
        with disk.unseen():
            first, number = _claim_of(ArtifactPaths(str(self.huldra_dir)))
        who = f"{self.name} {self.actor} {first} {number}"
        with cases.locked(f"{self.ledger}.{self.name}.{first}.lock") as is_alone:
            leave(self.ledger, f"{'begin' if is_alone else 'overlap'} {who} {_now()}")
            try:
                self._compute()
            finally:
                leave(self.ledger, f"end {who} {_now()}")
        return text_of(self)

    def _compute(self) -> None:
        for need in self.needs:
            need.load_or_create()
        self._write(HALVES[0])
        time.sleep(self.pause_s)
        self._write(HALVES[1])

    def _write(self, half: str) -> None:
        files.write_atomic(str(self.huldra_dir / half), f"{self.name} {half}".encode())

    def _load(self) -> str:
        return "\n".join((self.huldra_dir / half).read_text() for half in HALVES)


def _now() -> float:
    """The time that all hosts share, whatever their clocks are made to say."""
    return time.clock_gettime(time.CLOCK_REALTIME)


def text_of(obj: Logged) -> str:
    """What the artifact holds when it is whole."""
    return "\n".join(f"{obj.name} {half}" for half in HALVES)


def _claim_of(paths: ArtifactPaths) -> tuple[str, int]:
    """The token of the artifact's first claim, which a removal changes, and our claim's number.

    Where the last claim is not this process's the claim was removed: `lost`, 0.
    """
    with contextlib.suppress(OSError, huldra.HuldraError):
        numbers = claim.numbers(paths)
        if numbers and _is_this_process(claim.read_claim(paths, numbers[-1]).owner):
            return claim.read_claim(paths, numbers[0]).owner.token or "unknown", numbers[-1]
    return "lost", 0


def _is_this_process(owner: Owner) -> bool:
    return owner.pid == os.getpid() and owner.host == os.uname().nodename


# ---- a round ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Actor:
    """A process that asks for an artifact: when, how, on which disk and on which host."""

    after_s: float
    artifact: int
    way: str
    disk: str
    pause_s: float
    host: str = ""
    boot_shift_s: int = 0
    clock_shift_s: float = 0.0


@dataclass(frozen=True)
class Event:
    """What is done at a moment: to an actor, or to an artifact."""

    after_s: float
    what: str
    target: int
    lasts_s: float = 0.0


@dataclass(frozen=True)
class History:
    """What is done in one round."""

    seed: int
    number: int
    artifacts: int
    actors: tuple[Actor, ...]
    events: tuple[Event, ...]

    @property
    def has_hosts(self) -> bool:
        """Return True if an actor is on another host."""
        return any(actor.host for actor in self.actors)

    def objects(self, ledger: Path, actor: int | str, pause_s: float = 0.0) -> list[Logged]:
        """The artifacts, as an actor asks for them; the second needs the first."""
        name = f"actor{actor}"
        first = Logged(name="a", ledger=str(ledger), actor=name, pause_s=pause_s)
        second = Logged(name="b", needs=(first,), ledger=str(ledger), actor=name, pause_s=pause_s)
        return [first, second][: self.artifacts]


def draw(seed: int, number: int, *, may_have_hosts: bool = True) -> History:
    """Draw round `number`."""
    dice = random.Random(_DICE_OF_ROUND.format(seed=seed, number=number))
    has_hosts = dice.random() < 0.15 and may_have_hosts
    artifacts = dice.choice([1, 1, 2])
    actors = tuple(_draw_actor(dice, artifacts, has_hosts) for _ in range(dice.randint(2, 5)))
    events = [
        _draw_event(dice, len(actors), artifacts, has_hosts) for _ in range(dice.randint(1, 6))
    ]
    return History(
        seed, number, artifacts, actors, tuple(sorted(events, key=lambda event: event.after_s))
    )


def can_play_hosts() -> bool:
    """Return True if this machine lets us play other hosts, with clocks of their own."""
    command = [*hosts.prefix_of("probe", "--time", "--boottime", "10"), "true"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _draw_actor(dice: random.Random, artifacts: int, has_hosts: bool) -> Actor:
    is_far = has_hosts and dice.random() < 0.6
    return Actor(
        after_s=dice.random() * (0.3 if has_hosts else 0.5),
        artifact=dice.randrange(artifacts),
        way="call"
        if is_far
        else dice.choice(["call", "call", "call", "force", "threads:1", "inline"]),
        disk="good" if is_far else dice.choice(["good", "good", "good", "slow", "failing"]),
        pause_s=dice.choice([0.0, 0.01, 0.1, 0.4]),
        host=dice.choice(hosts.NAMES) if is_far else "",
        boot_shift_s=dice.choice([0, 3600, 10**6]) if is_far else 0,
        clock_shift_s=dice.choice([0.0, -7200.0, 7200.0]) if is_far else 0.0,
    )


def _draw_event(dice: random.Random, actors: int, artifacts: int, has_hosts: bool) -> Event:
    what = dice.choice(
        ["kill"] * 4 + ["stop"] * 3 + ["interrupt", "end", "cancel", "discard"] + ["remove"] * 2
    )
    lasts_s = dice.random() * (6.0 if has_hosts else 1.2) if what == "stop" else 0.0
    target = dice.randrange(artifacts if what in ("cancel", "discard", "remove") else actors)
    return Event(dice.random() * (3.0 if has_hosts else 0.9), what, target, lasts_s)


# ---- actors ----------------------------------------------------------------------------------


def act(history: History, index: int, folder: Path) -> object:
    """Ask for the artifact, as actor `index`."""
    actor = history.actors[index]
    obj = history.objects(folder / "ledger", index, actor.pause_s)[actor.artifact]
    if actor.way in ("call", "force"):
        return obj.load_or_create(force=actor.way == "force")
    return obj.load_or_create(executor=actor.way).result()


def act_on_host(history: History, index: int, folder: Path) -> None:
    """Ask for it in a process that was started on another host, and report."""
    shift_s = history.actors[index].clock_shift_s
    clock, clock_ns = time.time, time.time_ns
    time.time = lambda: clock() + shift_s
    time.time_ns = lambda: clock_ns() + int(shift_s * 1e9)
    cases.call_and_report(lambda: act(history, index, folder), folder, f"actor{index}", None)


@dataclass(frozen=True)
class _Slow:
    """Each operation takes up to `longest_s`."""

    dice: random.Random
    longest_s: float = 0.01

    def __call__(self, operation: disk.Operation) -> None:
        time.sleep(self.dice.random() * self.longest_s)


@dataclass(frozen=True)
class _Failing:
    """Each operation fails with this chance, in one of several ways."""

    dice: random.Random
    chance: float = 0.02

    def __call__(self, operation: disk.Operation) -> disk.Failure | None:
        if self.dice.random() > self.chance:
            return None
        return disk.Failure(self.dice.choice(disk.ERRORS), is_done=self.dice.random() < 0.3)


def _fault_of(history: History, index: int) -> disk.Fault | None:
    dice = random.Random(f"{history.seed}:{history.number}:{index}")
    kinds: dict[str, Callable[[random.Random], disk.Fault]] = {"slow": _Slow, "failing": _Failing}
    kind = kinds.get(history.actors[index].disk)
    return kind(dice) if kind else None


_HOST_CODE = """
from pathlib import Path
from tests.faults import histories
history = histories.draw({seed}, {number})
histories.act_on_host(history, {index}, Path({folder!r}))
"""


@dataclass
class _FarChild(Child):
    """An actor on another host: `pid`, here, is that of its first process."""

    unshare: subprocess.Popen[bytes] | None = None

    def is_over(self) -> bool:
        assert self.unshare is not None
        self.code = self.unshare.poll()
        return self.code is not None


def _start_actor(history: History, index: int, folder: Path) -> Child:
    actor = history.actors[index]
    if not actor.host:
        fault = _fault_of(history, index)
        return cases.start(
            lambda: act(history, index, folder), folder, f"actor{index}", fault=fault
        )
    code = _HOST_CODE.format(
        seed=history.seed, number=history.number, index=index, folder=str(folder)
    )
    shift = [
        "--time",
        "--boottime",
        str(actor.boot_shift_s),
        "--monotonic",
        str(actor.boot_shift_s),
    ]
    with (folder / f"actor{index}.log").open("ab") as output:
        unshare = subprocess.Popen(
            [*hosts.prefix_of(actor.host, *shift), sys.executable, "-c", code],
            env={**children.environment(folder / "store", **cases.SETTINGS), **_far_settings()},
            stdout=output,
            stderr=output,
        )
    return _FarChild(unshare.pid, folder, f"actor{index}", unshare=unshare)


def _far_settings() -> dict[str, str]:
    return {
        "HULDRA_LEASE_SECS": str(LEASE_ACROSS_HOSTS_S),
        "HULDRA_HEARTBEAT_SECS": str(HEARTBEAT_ACROSS_HOSTS_S),
    }


def _pids_of(child: Child) -> list[int]:
    """The processes to signal: a host's are the children of the one that made it."""
    if not isinstance(child, _FarChild):
        return [child.pid]
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text()
        return [int(word) for word in text.split()]
    return []


# ---- playing ---------------------------------------------------------------------------------


def play(history: History, folder: Path) -> Outcome:
    """Play one round in `folder`, an empty one, and check its history."""
    outcome = Outcome()
    folder.mkdir(parents=True)
    huldra.set_huldra_root(folder / "store")
    if history.has_hosts:
        lease = {"lease": LEASE_ACROSS_HOSTS_S, "heartbeat": HEARTBEAT_ACROSS_HOSTS_S}
        huldra.HULDRA_CONFIG.update(**lease)
    try:
        _play(history, folder, outcome)
    finally:
        huldra.HULDRA_CONFIG.reload()
    return outcome


def _play(history: History, folder: Path, outcome: Outcome) -> None:
    observer = cases.start(lambda: _observe(history, folder), folder, "observer")
    actors = _Play(history, folder, outcome).run()
    cases.finished(list(actors.values()), outcome)
    for index, child in actors.items():
        _check_call(history, index, child, outcome)
        cases.until(child.is_over)
    (folder / "over").touch()
    cases.finished([observer], outcome)
    cases.until(observer.is_over)
    _survive(history, folder, outcome)
    _check_history(history, folder, outcome)


@dataclass
class _Play:
    """One round while it is played."""

    history: History
    folder: Path
    outcome: Outcome
    actors: dict[int, Child] = field(default_factory=dict)

    def run(self) -> dict[int, Child]:
        """Start the actors and do what is due; return when all is done."""
        due: list[tuple[float, Callable[[], None]]] = [
            *((actor.after_s, self._starting(i)) for i, actor in enumerate(self.history.actors)),
            *((event.after_s, self._doing(event)) for event in self.history.events),
            *(
                (event.after_s + event.lasts_s, self._continuing(event.target))
                for event in self.history.events
                if event.what == "stop"
            ),
        ]
        started = time.monotonic()
        for after_s, do in sorted(due, key=lambda item: item[0]):
            while time.monotonic() - started < after_s:
                time.sleep(0.001)  # the schedule's resolution
            do()
        return self.actors

    def _note(self, line: str) -> None:
        leave(str(self.folder / "ledger"), line)

    def _starting(self, index: int) -> Callable[[], None]:
        def start() -> None:
            self.actors[index] = _start_actor(self.history, index, self.folder)

        return start

    def _doing(self, event: Event) -> Callable[[], None]:
        return lambda: getattr(self, f"_{event.what}")(event.target)

    def _signal(self, index: int, signum: signal.Signals) -> bool:
        child = self.actors.get(index)
        if child is None or child.is_over():
            self.outcome.counts["missed"] += 1
            return False
        for pid in _pids_of(child):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
        self.outcome.counts[f"{signum.name}{' far' if isinstance(child, _FarChild) else ''}"] += 1
        return True

    def _kill(self, index: int) -> None:
        self._signal(index, signal.SIGKILL)

    def _stop(self, index: int) -> None:
        if self._signal(index, signal.SIGSTOP):
            self._note(f"stop actor{index} {_now()}")

    def _continuing(self, index: int) -> Callable[[], None]:
        def go_on() -> None:
            child = self.actors.get(index)
            if child is not None and not child.is_over():
                self._note(f"continue actor{index} {_now()}")
                for pid in _pids_of(child):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)

        return go_on

    def _interrupt(self, index: int) -> None:
        self._signal(index, signal.SIGINT)

    def _end(self, index: int) -> None:
        self._signal(index, signal.SIGTERM)

    def _cancel(self, artifact: int) -> None:
        obj = self.history.objects(self.folder / "ledger", "none")[artifact]
        child = cases.start(
            lambda: huldra.Job(obj, None, None).cancel(), self.folder, f"cancel{time.monotonic()}"
        )
        cases.finished([child], self.outcome)
        cases.until(child.is_over)
        self.outcome.counts["cancels"] += 1

    def _discard(self, artifact: int) -> None:
        obj = self.history.objects(self.folder / "ledger", "none")[artifact]
        child = cases.start(obj.discard, self.folder, f"discard{time.monotonic()}")
        cases.finished([child], self.outcome)
        cases.until(child.is_over)
        report = child.report()
        self.outcome.counts["discards" if report.get("value") else "discards refused"] += 1
        if not report.get("is_clear", True):
            self.outcome.wrong.append(f"discard: {report}")

    def _remove(self, artifact: int) -> None:
        obj = self.history.objects(self.folder / "ledger", "none")[artifact]
        directory = Path(ArtifactPaths(str(obj.huldra_dir)).directory)
        aside = self.folder / f"aside{time.monotonic()}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(directory, aside)
            self._note(f"removed {obj.name} {_now()}")
            shutil.rmtree(aside, ignore_errors=True)
            self.outcome.counts["removals"] += 1


def _check_call(history: History, index: int, child: Child, outcome: Outcome) -> None:
    report = child.report()
    actor = history.actors[index]
    if "value" in report:
        right = text_of(history.objects(Path(), index)[actor.artifact])
        outcome.counts["calls that got it"] += 1
        if report["value"] != right:
            outcome.wrong.append(f"actor{index} got {report['value']!r}")
    elif "error" in report:
        outcome.counts[f"calls with {str(report['error']).partition(':')[0]}"] += 1
        if not report["is_clear"]:
            outcome.wrong.append(f"actor{index} raised no error of huldra's: {report['error']}")
    else:
        outcome.counts["calls that died"] += 1


def _survive(history: History, folder: Path, outcome: Outcome) -> None:
    objects = history.objects(folder / "ledger", "survivor")
    survivor = cases.start(lambda: [obj.load_or_create() for obj in objects], folder, "survivor")
    cases.finished([survivor], outcome)
    cases.until(survivor.is_over)
    if survivor.report().get("value") != [text_of(obj) for obj in objects]:
        outcome.wrong.append(f"the survivor ended with {survivor.report()}: {survivor.log()}")
    for obj in objects:
        _check_disk(obj, outcome)


def _check_disk(obj: Logged, outcome: Outcome) -> None:
    if not obj.exists():
        outcome.wrong.append(f"{obj.name} is not made")
        return
    if not _is_whole(obj):
        outcome.wrong.append(f"{obj.name} counts as made and is not whole")
    wrong = cases.wrong_attempts(ArtifactPaths(str(obj.huldra_dir)), outcome.counts)
    outcome.wrong += [f"{obj.name}: {text}" for text in wrong]


# ---- the observer ----------------------------------------------------------------------------


def _observe(history: History, folder: Path) -> int:
    """Look at what stands as made until the round is over; how often something stood."""
    looks, torn = 0, set[bytes]()
    objects = history.objects(folder / "ledger", "observer")
    while not (folder / "over").exists():
        for obj in objects:
            looks += _look(obj, folder, torn)
        time.sleep(0.002)
    return looks


def _look(obj: Logged, folder: Path, torn: set[bytes]) -> bool:
    """Look once; `torn` are the records of which the history has it already."""
    success = Path(ArtifactPaths(str(obj.huldra_dir)).success)
    before = _bytes_of(success)
    if before is None:
        return False
    if before not in torn and not _is_whole(obj) and _bytes_of(success) == before:
        torn.add(before)
        leave(str(folder / "ledger"), f"torn {obj.name}")
    return True


def _is_whole(obj: Logged) -> bool:
    try:
        return obj._load() == text_of(obj)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


# ---- the model -------------------------------------------------------------------------------


@dataclass
class _Running:
    """A `_create` that has begun and not ended, and for how long its process has been stopped."""

    actor: str
    first: str
    stopped_at: float | None = None
    stopped_s: float = 0.0

    def silent_s(self, now: float) -> float:
        """For how long it has been stopped, or was the longest time."""
        lasts_s = now - self.stopped_at if self.stopped_at is not None else 0.0
        return max(self.stopped_s, lasts_s)


class Model:
    """Reads a history line by line, in the order of what happened."""

    def __init__(self, hosts: Mapping[str, str], counts: Counter[str]) -> None:
        """`hosts` says where each actor is; the test's own host is the empty name."""
        self._hosts = hosts
        self._counts = counts
        self._running: dict[str, list[_Running]] = {}

    def contradictions(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield what contradicts the model."""
        for line in lines:
            word, *rest = line.split()
            if wrong := getattr(self, f"_{word}")(*rest):
                yield f"{wrong}: {line}"

    def _begin(self, name: str, actor: str, first: str, number: str, now: str) -> None:
        del number, now
        self._counts["creates"] += 1
        self._counts["creates whose claim was removed"] += first == "lost"
        self._running.setdefault(name, []).append(_Running(actor, first))

    def _overlap(self, name: str, actor: str, first: str, number: str, now: str) -> str | None:
        others = [run for run in self._running.get(name, []) if run.first == first]
        self._begin(name, actor, first, number, now)
        if first == "lost":
            return None  # none of these has a claim, and none of them can publish
        if others and all(self._was_given_up(run, actor, float(now)) for run in others):
            self._counts["replaced by another host after a stop"] += 1
            return None
        return f"two at once, beside {[run.actor for run in others]}"

    def _was_given_up(self, other: _Running, actor: str, now: float) -> bool:
        is_elsewhere = self._hosts[other.actor] != self._hosts[actor]
        return is_elsewhere and other.silent_s(now) >= LEASE_ACROSS_HOSTS_S

    def _end(self, name: str, actor: str, first: str, number: str, now: str) -> None:
        del number, now
        runs = self._running.get(name, [])
        ended = [run for run in runs if (run.actor, run.first) == (actor, first)]
        if ended:
            runs.remove(ended[0])

    def _runs_of(self, actor: str) -> Iterator[_Running]:
        for runs in self._running.values():
            yield from (run for run in runs if run.actor == actor)

    def _stop(self, actor: str, now: str) -> None:
        for run in self._runs_of(actor):
            run.stopped_at = float(now)

    def _continue(self, actor: str, now: str) -> None:
        for run in self._runs_of(actor):
            run.stopped_s, run.stopped_at = run.silent_s(float(now)), None

    def _removed(self, name: str, now: str) -> None:
        """Nothing: what is made after a removal has another first claim."""

    def _torn(self, name: str) -> str:
        return f"{name} stood as made and was not whole"


def _check_history(history: History, folder: Path, outcome: Outcome) -> None:
    lines = _lines(folder / "ledger")
    places = {f"actor{index}": actor.host for index, actor in enumerate(history.actors)}
    model = Model({**places, "actorsurvivor": ""}, outcome.counts)
    outcome.wrong += model.contradictions(lines)
    for obj in history.objects(folder / "ledger", "none"):
        paths = ArtifactPaths(str(obj.huldra_dir))
        outcome.wrong += [f"{obj.name}: {text}" for text in made_again(obj.name, paths, lines)]


def made_again(name: str, paths: ArtifactPaths, lines: Iterable[str]) -> Iterator[str]:
    """Yield each attempt that began after one that had made the artifact."""
    attempts = claim.read_history(paths)
    successes = [a.number for a in attempts if a.status is AttemptStatus.SUCCESS]
    first = attempts[0].claim.owner.token if attempts else ""
    for line in lines:
        word, *rest = line.split()
        if word not in ("begin", "overlap") or (rest[0], rest[2]) != (name, first):
            continue
        if successes and int(rest[3]) > successes[0]:
            yield f"attempt {rest[3]} began after attempt {successes[0]} had made it"


def _lines(ledger: Path) -> list[str]:
    return ledger.read_text().splitlines() if ledger.exists() else []
