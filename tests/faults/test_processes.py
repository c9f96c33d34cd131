"""Exactly once, among real processes: kills, stops, signals, and eight that start at once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

import huldra
from huldra.store.layout import ArtifactPaths
from huldra.store.records import Attempt, AttemptStatus
from tests.support import children
from tests.support.odd import Failing, Gated, Note, lines

GATED = """
    from tests.support.odd import Gated
    print(Gated(name="a", gate={gate!r}, ledger={ledger!r}).load_or_create())
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def start_gated(root: Path, gate: Path, ledger: Path, **settings: str) -> subprocess.Popen[str]:
    """A process in the middle of `_create`."""
    begun = len(lines(ledger, "begin"))
    code = GATED.format(gate=str(gate), ledger=str(ledger))
    child = children.start(code, root, **settings)
    children.until(lambda: len(lines(ledger, "begin")) > begun or child.poll() is not None)
    assert child.poll() is None, child.communicate()
    return child


def history(root: Path, obj: huldra.Huldra[str]) -> list[Attempt]:
    with huldra.huldra_root(root):
        return huldra.StateManager.history(obj.huldra_dir)


def statuses(root: Path) -> list[str]:
    return [attempt.status.value for attempt in history(root, Gated(name="a"))]


def test_killed_owner_is_replaced_at_once(huldra_root: Path, gate: Path, ledger: Path) -> None:
    """After kill -9 the next call does not wait for the lease."""
    child = start_gated(huldra_root, gate, ledger)
    child.kill()
    child.communicate()
    gate.touch()
    started = time.monotonic()
    done = children.run(GATED.format(gate=str(gate), ledger=str(ledger)), huldra_root)
    assert done.stdout == "a\n", done.stderr
    assert time.monotonic() - started < 30  # the lease is 120 s
    assert statuses(huldra_root) == ["crashed", "success"]


def test_waiter_takes_over_from_an_owner_that_is_killed(
    huldra_root: Path, gate: Path, ledger: Path
) -> None:
    """A process that waits for another makes the artifact itself when the other dies."""
    owner = start_gated(huldra_root, gate, ledger)
    waiter = children.start(GATED.format(gate=str(gate), ledger=str(ledger)), huldra_root)
    owner.kill()
    owner.communicate()
    children.until(lambda: len(lines(ledger, "begin")) == 2)
    gate.touch()
    assert children.finish(waiter)[1] == "a\n"


def test_os_exit_in_create_is_seen_by_the_next_call(huldra_root: Path, tmp_path: Path) -> None:
    """`os._exit` leaves no word; the next call ends the attempt as crashed and tries again."""
    code = 'from tests.support.odd import Failing; Failing(name="f", how="leave").load_or_create()'
    for _ in range(2):
        assert children.run(code, huldra_root).returncode == 3
    found = [t.status.value for t in history(huldra_root, Failing(name="f", how="leave"))]
    assert found == ["crashed", "running"]


@pytest.mark.parametrize(
    ("signum", "status", "code"),
    [
        (signal.SIGINT, AttemptStatus.CANCELLED, 1),
        (signal.SIGTERM, AttemptStatus.PREEMPTED, -signal.SIGTERM),
    ],
)
def test_signal_is_recorded_and_reaches_the_users_finally(
    huldra_root: Path,
    gate: Path,
    ledger: Path,
    signum: signal.Signals,
    status: AttemptStatus,
    code: int,
) -> None:
    """Ctrl-C and SIGTERM run the user's `finally`, are recorded, and end the process as ever."""
    child = start_gated(huldra_root, gate, ledger)
    child.send_signal(signum)
    returned, _, err = children.finish(child)
    assert returned in (code, -signum), err
    assert len(lines(ledger, "finally")) == 1
    assert statuses(huldra_root) == [status.value]


def test_paused_owner_is_not_robbed_on_its_own_host(
    huldra_root: Path, gate: Path, ledger: Path
) -> None:
    """A living process that was stopped for longer than its lease keeps its claim."""
    short = {"HULDRA_LEASE_SECS": "0.6", "HULDRA_HEARTBEAT_SECS": "0.2"}
    owner = start_gated(huldra_root, gate, ledger, **short)
    owner.send_signal(signal.SIGSTOP)
    claim_file = Path(ArtifactPaths(str(_directory(huldra_root))).claim(1))
    children.until(lambda: time.time() - claim_file.stat().st_mtime > 1.5)
    waiter = children.start(GATED.format(gate=str(gate), ledger=str(ledger)), huldra_root, **short)
    with pytest.raises(subprocess.TimeoutExpired):
        waiter.wait(2)
    owner.send_signal(signal.SIGCONT)
    gate.touch()
    assert children.finish(owner)[1] == "a\n"
    assert children.finish(waiter)[1] == "a\n"
    assert len(lines(ledger, "begin")) == 1


def _directory(root: Path) -> Path:
    with huldra.huldra_root(root):
        return Gated(name="a").huldra_dir


def _make_foreign(root: Path, beat_age_s: float) -> ArtifactPaths:
    """Attempt 1 of an owner on another host, whose last heartbeat is so old."""
    paths = ArtifactPaths(str(_directory(root)))
    os.makedirs(paths.claims)
    owner = {"token": "x", "host": "elsewhere", "user": "u", "pid": 1, "started": "1"}
    owner |= {"boot_id": "another", "pid_namespace": "p", "backend": "local", "job": None}
    record = {"huldra": 1, "claim": 1, "kind": "running", "claimed_at": "", "owner": owner}
    Path(paths.claim(1)).write_text(json.dumps(record))
    moment = time.time() - beat_age_s
    os.utime(paths.claim(1), (moment, moment))
    return paths


SHORT_LEASE = {"HULDRA_LEASE_SECS": "0.9", "HULDRA_HEARTBEAT_SECS": "0.3"}


def test_silent_owner_elsewhere_is_replaced_after_its_lease(
    huldra_root: Path, gate: Path, ledger: Path
) -> None:
    """What cannot be looked up counts as dead once its lease is over, and a margin."""
    _make_foreign(huldra_root, 3600)
    gate.touch()
    done = children.run(
        GATED.format(gate=str(gate), ledger=str(ledger)),
        huldra_root,
        HULDRA_POLL_INTERVAL_SECS="0.1",
        **SHORT_LEASE,
    )
    assert done.stdout == "a\n", done.stderr
    assert statuses(huldra_root) == ["crashed", "success"]


@pytest.mark.parametrize("jump_s", [-7200.0, 7200.0])
def test_clock_that_jumps_kills_no_living_owner(
    huldra_root: Path, gate: Path, ledger: Path, jump_s: float
) -> None:
    """An owner elsewhere that goes on beating is alive, whatever its clock says."""
    paths = _make_foreign(huldra_root, jump_s)
    waiter = children.start(
        GATED.format(gate=str(gate), ledger=str(ledger)),
        huldra_root,
        HULDRA_POLL_INTERVAL_SECS="0.05",
        **SHORT_LEASE,
    )
    begun = time.monotonic()
    beats = 0
    while time.monotonic() - begun < 4:
        moment = time.time() - jump_s + beats
        os.utime(paths.claim(1), (moment, moment))
        beats += 1
        assert waiter.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            waiter.wait(0.1)
    assert not lines(ledger)
    waiter.kill()
    waiter.communicate()


def test_silent_owner_with_a_clock_ahead_is_replaced_by_watching(
    huldra_root: Path, gate: Path, ledger: Path
) -> None:
    """A dead owner whose heartbeat lies in the future is told by its standing still."""
    _make_foreign(huldra_root, -7200)
    gate.touch()
    done = children.run(
        GATED.format(gate=str(gate), ledger=str(ledger)),
        huldra_root,
        HULDRA_POLL_INTERVAL_SECS="0.1",
        **SHORT_LEASE,
    )
    assert done.stdout == "a\n", done.stderr


def test_hand_over_takes_milliseconds(huldra_root: Path, gate: Path, ledger: Path) -> None:
    """A waiter on the owner's host goes on at once, whatever the poll interval is."""
    owner = start_gated(huldra_root, gate, ledger)
    code = (
        "import time\n"
        + GATED.replace("    print", "    print")
        .format(gate=str(gate), ledger=str(ledger))
        .replace("\n    ", "\n")
        + "\nprint(time.time())"
    )
    waiter = children.start(code, huldra_root, HULDRA_POLL_INTERVAL_SECS="3600")
    children.until(lambda: _is_waiting(waiter))
    gate.touch()
    assert children.finish(owner)[1] == "a\n"
    made = Path(ArtifactPaths(str(_directory(huldra_root))).success).stat().st_mtime
    loaded = float(children.finish(waiter)[1].split()[1])
    assert loaded - made < 2


def _is_waiting(child: subprocess.Popen[str]) -> bool:
    """Whether the child has imported everything: it sleeps between two looks at the disk."""
    maps = Path(f"/proc/{child.pid}/maps").read_text()
    state = Path(f"/proc/{child.pid}/wchan").read_text()
    return "libssl" in maps or "nanosleep" in state or "hrtimer" in state


def test_waiters_of_a_failure_do_not_retry_it(huldra_root: Path, tmp_path: Path) -> None:
    """Four processes that want what fails get the error of one attempt."""
    ledger = str(tmp_path / "ledger")
    go = tmp_path / "go"
    code = f"""
        from pathlib import Path
        from tests.support.odd import Failing, await_file, leave
        leave({ledger!r}, "ready")
        await_file(Path({str(go)!r}))
        try:
            Failing(name="f", ledger={ledger!r}).load_or_create()
        except Exception as error:
            print(type(error).__name__, "was told to fail" in str(error))
    """
    racing = [children.start(code, huldra_root) for _ in range(4)]
    children.until(lambda: len(lines(ledger, "ready")) == 4)
    go.touch()
    said = [children.finish(child) for child in racing]
    assert [out for _, out, _ in said] == ["HuldraComputeError True\n"] * 4, said
    # A process that comes after the failure has been recorded makes a call of its own.
    assert 1 <= len(lines(ledger, "begin")) <= 4


STORM = """
    import sys
    from pathlib import Path
    from tests.support.odd import Note, await_file, leave
    shared = [Note(name=f"s{{i}}", ledger={ledger!r}) for i in range(5)]
    notes = [
        Note(name=f"n{{i}}", needs=(shared[i % 5],), ledger={ledger!r}) for i in range({count})
    ]
    leave({ready!r}, "ready")
    await_file(Path({go!r}))
    for note in notes[{first}:] + notes[:{first}]:
        assert note.load_or_create() == note.name
"""


@pytest.mark.slow
def test_eight_processes_make_fifty_artifacts_once(huldra_root: Path, tmp_path: Path) -> None:
    """Eight processes want fifty artifacts with shared dependencies at one instant: 50 calls."""
    ledger, ready, go = str(tmp_path / "ledger"), str(tmp_path / "ready"), tmp_path / "go"
    racing = [
        children.start(
            STORM.format(ledger=ledger, ready=ready, go=str(go), count=45, first=0), huldra_root
        )
        for _ in range(8)
    ]
    children.until(lambda: len(lines(ready)) == 8)
    go.touch()
    for child in racing:
        code, _, err = children.finish(child)
        assert code == 0, err
    assert len(lines(ledger, "begin")) == 50
    assert len(lines(ledger, "end")) == 50


@pytest.mark.faults
def test_random_kills_leave_nothing_stuck_and_nothing_twice(
    huldra_root: Path, tmp_path: Path
) -> None:
    """Kill -9 at random moments of many runs; afterwards all is made, once a surviving claim."""
    rounds = int(os.environ.get("HULDRA_TEST_KILL_ROUNDS", "12"))
    seed = int(os.environ.get("HULDRA_TEST_SEED", str(random.randrange(10**6))))
    print(f"HULDRA_TEST_SEED={seed} HULDRA_TEST_KILL_ROUNDS={rounds}")
    dice = random.Random(seed)
    for number in range(rounds):
        _round_of_kills(huldra_root / str(number), tmp_path / f"ledger{number}", tmp_path, dice)


def _round_of_kills(root: Path, ledger: Path, tmp_path: Path, dice: random.Random) -> None:
    ready, go = tmp_path / f"{ledger.name}.ready", tmp_path / f"{ledger.name}.go"

    def code(first: int) -> str:
        where = {"ledger": str(ledger), "ready": str(ready), "go": str(go)}
        return STORM.format(**where, count=20, first=first)

    racing = [children.start(code(dice.randrange(20)), root) for _ in range(3)]
    children.until(lambda: len(lines(ready)) == 3)
    go.touch()
    for child in racing[:-1]:
        time.sleep(dice.random() * 0.05)  # the moment of the kill is what is random here
        child.kill()
    time.sleep(dice.random() * 0.05)  # as above
    racing[-1].kill()
    killed = {str(child.pid) for child in racing}
    for child in racing:
        child.communicate()
    survivor = children.run(code(0), root)
    assert survivor.returncode == 0, survivor.stderr
    _check_books(root, ledger, killed)


def _check_books(root: Path, ledger: Path, killed: set[str]) -> None:
    """Every artifact is made; each owner but the last died; each attempt has one end."""
    begun: dict[str, list[str]] = {}
    for line in lines(ledger, "begin"):
        _, name, pid = line.split()
        begun.setdefault(name, []).append(pid)
    with huldra.huldra_root(root):
        shared = [Note(name=f"s{i}") for i in range(5)]
        notes = [Note(name=f"n{i}", needs=(shared[i % 5],)) for i in range(20)]
        for note in [*shared, *notes]:
            assert note.exists()
            assert set(begun[note.name][:-1]) <= killed, (note.name, begun[note.name])
            attempts = huldra.StateManager.history(note.huldra_dir)
            assert all(attempt.end is not None for attempt in attempts)
            assert attempts[-1].status is AttemptStatus.SUCCESS
            assert len(begun[note.name]) <= len(attempts)
