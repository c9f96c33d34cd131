"""Two hosts on one machine: owners in another pid namespace, on another boot, or out of sight."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

import huldra
from huldra.attempts import context, liveness
from huldra.attempts.liveness import Watch
from huldra.engines import registry
from huldra.engines.protocol import JobStatus
from huldra.store import claim, success
from huldra.store.job_ref import JobRef
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner
from huldra.store.snapshot import Liveness, process_liveness
from tests.faults.samples import HeldEngine, Stepping, payload_of
from tests.support import children
from tests.support.odd import Note, lines

SHORT = {
    "HULDRA_LEASE_SECS": "1.5",
    "HULDRA_HEARTBEAT_SECS": "0.3",
    "HULDRA_POLL_INTERVAL_SECS": "0.05",
}
PID_NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def _needs(*command: str) -> None:
    """Skip where this machine does not let us play another host."""
    tried = subprocess.run(command, capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"{' '.join(command)}: {tried.stderr.strip()}")


def elsewhere(code: str, root: Path, *prefix: str, **settings: str) -> subprocess.Popen[str]:
    """Start `code` behind a command that changes what it sees of the machine."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", textwrap.dedent(code)],
        env=children.environment(root, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def inner_pid(child: subprocess.Popen[str]) -> int:
    """The pid, here, of the process that `unshare --fork` started."""
    listed = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    return int(listed[0])


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return str(tmp_path / "ledger")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def stepping(gate: Path, ledger: str) -> str:
    return (
        "from tests.faults.samples import Stepping\n"
        f"print(Stepping(name='a', gate={str(gate)!r}, ledger={ledger!r}).load_or_create())"
    )


def begun_by(ledger: str) -> int:
    return len(lines(ledger, "begin"))


def test_owner_in_another_pid_namespace_is_waited_for_and_replaced_after_its_lease(
    huldra_root: Path, gate: Path, ledger: str
) -> None:
    """Its pid says nothing here: while it beats it lives, and when it is silent it is dead."""
    _needs(*PID_NAMESPACE, "true")
    owner = elsewhere(stepping(gate, ledger), huldra_root, *PID_NAMESPACE, **SHORT)
    children.until(lambda: begun_by(ledger) == 1)
    waiter = children.start(stepping(gate, ledger), huldra_root, **SHORT)
    with pytest.raises(subprocess.TimeoutExpired):
        waiter.wait(4)
    assert begun_by(ledger) == 1
    owner.kill()
    owner.communicate()
    children.until(lambda: begun_by(ledger) == 2)
    gate.touch()
    assert children.finish(waiter)[1] == "a\n"
    assert _statuses() == ["crashed", "success"]


BOOTED_LONG_AGO = ["--time", "--boottime", "1000000", "--monotonic", "1000000"]
ELSEWHERE_SINCE_LONG = [*PID_NAMESPACE, *BOOTED_LONG_AGO]
HERE_SINCE_LONG = ["unshare", "--fork", "--kill-child", *BOOTED_LONG_AGO]


@pytest.mark.parametrize(
    ("of_owner", "of_waiter", "ahead_s"),
    [
        (ELSEWHERE_SINCE_LONG, [], 7200.0),
        (ELSEWHERE_SINCE_LONG, [], -7200.0),
        ([], ELSEWHERE_SINCE_LONG, 7200.0),
        (HERE_SINCE_LONG, [], 0.0),
    ],
    ids=["owner ahead", "owner behind", "waiter ahead", "same pids, another boot time"],
)
def test_hosts_whose_clocks_differ_wait_for_the_living_and_replace_the_dead(
    huldra_root: Path,
    gate: Path,
    ledger: str,
    of_owner: list[str],
    of_waiter: list[str],
    ahead_s: float,
) -> None:
    """Neither the time of day nor the time since boot of another host says who is alive."""
    _needs(*(of_owner or of_waiter), "true")
    owner = elsewhere(
        _ahead(ahead_s if of_owner else 0.0) + stepping(gate, ledger),
        huldra_root,
        *of_owner,
        **SHORT,
    )
    children.until(lambda: begun_by(ledger) == 1)
    waiter = elsewhere(
        _ahead(ahead_s if of_waiter else 0.0) + stepping(gate, ledger),
        huldra_root,
        *of_waiter,
        **SHORT,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        waiter.wait(4)
    assert begun_by(ledger) == 1
    owner.kill()
    owner.communicate()
    children.until(lambda: begun_by(ledger) == 2)
    gate.touch()
    assert children.finish(waiter)[1] == "a\n"
    assert _statuses() == ["crashed", "success"]


def _ahead(seconds: float) -> str:
    """Code that sets the process's time of day, which a namespace cannot."""
    return (
        "import time\n"
        "now, now_ns = time.time, time.time_ns\n"
        f"time.time = lambda: now() + {seconds}\n"
        f"time.time_ns = lambda: now_ns() + int({seconds} * 1e9)\n"
    )


def test_owner_is_held_to_its_own_lease_and_not_to_the_waiters(
    huldra_root: Path, gate: Path, ledger: str
) -> None:
    """A waiter with a short lease does not rob a remote owner that has promised a longer one."""
    _needs(*PID_NAMESPACE, "true")
    long = {**SHORT, "HULDRA_LEASE_SECS": "60", "HULDRA_HEARTBEAT_SECS": "20"}
    owner = elsewhere(stepping(gate, ledger), huldra_root, *PID_NAMESPACE, **long)
    children.until(lambda: begun_by(ledger) == 1)
    waiter = children.start(stepping(gate, ledger), huldra_root, **SHORT)
    with pytest.raises(subprocess.TimeoutExpired):
        waiter.wait(5)
    gate.touch()
    assert children.finish(owner)[1] == "a\n"
    assert children.finish(waiter)[1] == "a\n"
    assert begun_by(ledger) == 1


def _statuses() -> list[str]:
    attempts = huldra.StateManager.history(Stepping(name="a").huldra_dir)
    return [attempt.status.value for attempt in attempts]


def test_remote_owner_stopped_beyond_its_lease_publishes_nothing(
    huldra_root: Path, gate: Path, ledger: str
) -> None:
    """It wakes after it was replaced: the result is the successor's, and the owner loads it."""
    _needs(*PID_NAMESPACE, "true")
    owner = elsewhere(stepping(gate, ledger), huldra_root, *PID_NAMESPACE, **SHORT)
    children.until(lambda: begun_by(ledger) == 1)
    pid = inner_pid(owner)
    os.kill(pid, signal.SIGSTOP)
    successor = children.start(stepping(gate, ledger), huldra_root, **SHORT)
    children.until(lambda: begun_by(ledger) == 2)
    gate.touch()
    assert children.finish(successor)[1] == "a\n"
    paths = ArtifactPaths(str(Stepping(name="a").huldra_dir))
    before = success.read_success(paths)
    os.kill(pid, signal.SIGCONT)
    code, out, err = children.finish(owner)
    assert (code, out) == (0, "a\n"), err
    assert success.read_success(paths) == before
    assert _statuses() == ["crashed", "success"]
    state = huldra.StateManager.read(paths.directory)
    assert state.attempt is not None
    assert state.attempt.number == 2


@pytest.fixture
def short_lease() -> Iterator[None]:
    """Let what this process sends to engines have the short lease, too."""
    config = huldra.HULDRA_CONFIG
    before = {name: config.snapshot()[name] for name in ("lease", "heartbeat", "poll_interval")}
    config.update(lease=1.5, heartbeat=0.3, poll_interval=0.05)
    yield
    config.update(**before)


@pytest.mark.usefixtures("short_lease")
def test_remote_worker_that_was_replaced_is_stopped(
    huldra_root: Path, gate: Path, ledger: str, tmp_path: Path
) -> None:
    """Where the process is huldra's own it ends when its claim is gone, and steps no further."""
    _needs(*PID_NAMESPACE, "true")
    payload = payload_of(Stepping(name="a", gate=str(gate), ledger=ledger))
    file = tmp_path / "payload"
    file.write_text(payload)
    code = f"""
        import sys
        from huldra.worker import main
        sys.exit(main([{str(file)!r}]))
    """
    owner = elsewhere(code, huldra_root, *PID_NAMESPACE, **SHORT)
    children.until(lambda: begun_by(ledger) == 1)
    pid = inner_pid(owner)
    os.kill(pid, signal.SIGSTOP)
    successor = children.start(stepping(gate, ledger), huldra_root, **SHORT)
    children.until(lambda: begun_by(ledger) == 2)
    os.kill(pid, signal.SIGCONT)
    assert children.finish(owner)[0] != 0
    steps = _steps_of_first(ledger)
    children.until(lambda: len(lines(ledger, "step")) > steps + 5)
    assert _steps_of_first(ledger) == steps
    gate.touch()
    assert children.finish(successor)[1] == "a\n"


def _steps_of_first(ledger: str) -> int:
    first = lines(ledger, "begin")[0].split()[2]
    return sum(line.split()[2] == first for line in lines(ledger, "step"))


def queueing(gate: Path, ledger: str) -> str:
    """A driver whose only worker is held, so that what it sends after that stays queued."""
    return f"""
        import huldra
        from tests.faults.samples import Stepping
        from tests.support.odd import Note
        held = Stepping(name="held", gate={str(gate)!r}, ledger={ledger!r})
        note = Note(name="a", ledger={ledger!r})
        huldra.load_or_create([held, note], executor="local:1").wait()
    """


_LOAD_NOTE = """
    from tests.support.odd import Note
    print(Note(name="a", ledger={!r}).load_or_create())
"""


def test_queue_of_a_driver_that_died_out_of_sight_blocks_nobody(
    huldra_root: Path, gate: Path, ledger: str
) -> None:
    """A container dies with its driver: what that had queued is free once its lease is over."""
    _needs(*PID_NAMESPACE, "true")
    driver = elsewhere(queueing(gate, ledger), huldra_root, *PID_NAMESPACE, **SHORT)
    children.until(lambda: begun_by(ledger) == 1)
    paths = ArtifactPaths(str(Note(name="a").huldra_dir))
    children.until(lambda: claim.last_attempt(paths) is not None)
    driver.kill()
    driver.communicate()
    waiter = children.start(_LOAD_NOTE.format(ledger), huldra_root, **SHORT)
    assert children.finish(waiter)[1] == "a\n"
    assert [attempt.status.value for attempt in claim.read_history(paths)] == ["crashed", "success"]


def test_queue_of_a_driver_that_lives_out_of_sight_is_not_taken(
    huldra_root: Path, gate: Path, ledger: str
) -> None:
    """Its one lease for the whole run is renewed for as long as anything of that is queued."""
    _needs(*PID_NAMESPACE, "true")
    driver = elsewhere(queueing(gate, ledger), huldra_root, *PID_NAMESPACE, **SHORT)
    children.until(lambda: begun_by(ledger) == 1)
    waiter = children.start(_LOAD_NOTE.format(ledger), huldra_root, **SHORT)
    with pytest.raises(subprocess.TimeoutExpired):
        waiter.wait(5)
    gate.touch()
    assert children.finish(waiter)[1] == "a\n"
    assert children.finish(driver)[0] == 0
    paths = ArtifactPaths(str(Note(name="a").huldra_dir))
    assert [attempt.status.value for attempt in claim.read_history(paths)] == ["started", "success"]


def test_owner_on_another_boot_is_known_by_its_lease_alone(
    huldra_root: Path, gate: Path, ledger: str, tmp_path: Path
) -> None:
    """The same pid and start time on another boot is another process."""
    boot = tmp_path / "boot_id"
    boot.write_text("another-boot\n")
    there = f"mount --bind {boot} /proc/sys/kernel/random/boot_id"
    _needs("unshare", "--mount", "sh", "-c", there)
    prefix = ["unshare", "--mount", "sh", "-c", f'{there} && exec "$@"', "sh"]
    owner = elsewhere(stepping(gate, ledger), huldra_root, *prefix, **SHORT)
    children.until(lambda: begun_by(ledger) == 1)
    paths = ArtifactPaths(str(Stepping(name="a").huldra_dir))
    attempt = claim.last_attempt(paths)
    assert attempt is not None
    assert attempt.claim.owner.boot_id == "another-boot"
    assert process_liveness(attempt.claim.owner) is Liveness.UNKNOWN
    owner.send_signal(signal.SIGSTOP)
    successor = children.start(stepping(gate, ledger), huldra_root, **SHORT)
    children.until(lambda: begun_by(ledger) == 2)
    gate.touch()
    assert children.finish(successor)[1] == "a\n"
    owner.send_signal(signal.SIGCONT)
    assert children.finish(owner)[1] == "a\n"
    assert _statuses() == ["crashed", "success"]


def test_process_under_another_namespaces_proc_does_not_take_a_stranger_for_itself(
    huldra_root: Path,
) -> None:
    """Where `/proc` shows other pids than ours, nothing is concluded from it."""
    bare = ["unshare", "--pid", "--fork", "--kill-child"]
    _needs(*bare, "true")
    child = elsewhere(
        "from huldra.store.process import this_process; print(repr(this_process().started))",
        huldra_root,
        *bare,
    )
    assert children.finish(child)[1] == "''\n"


@pytest.mark.parametrize("hidepid", ["1", "2"])
def test_owner_that_proc_hides_is_not_taken_for_dead(huldra_root: Path, hidepid: str) -> None:
    """On a machine that hides other users' processes, what is not seen may well live."""
    mount = f"mount -t proc -o hidepid={hidepid} proc /proc"
    _needs("unshare", "--mount", "sh", "-c", mount)
    owner = subprocess.Popen(["sleep", "60"])
    gone = subprocess.Popen(["true"])
    gone.wait()
    code = f"""
        import os
        from dataclasses import replace
        from huldra.store.process import start_time, this_process
        from huldra.store.snapshot import process_liveness
        me = this_process()
        seen = replace(me, pid={owner.pid}, started=start_time({owner.pid}))
        gone = replace(me, pid={gone.pid}, started="1")
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        me = this_process()
        print(start_time({owner.pid}), process_liveness(seen).value)
        print(process_liveness(gone).value)
    """
    prefix = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    try:
        child = elsewhere(code, huldra_root, *prefix)
        _, out, err = children.finish(child)
    finally:
        owner.kill()
        owner.wait()
    assert out == "None unknown\ndead\n", err


def _foreign_attempt(paths: ArtifactPaths, job: JobRef) -> None:
    """Attempt 1 of a process of `job` that runs on a machine which cannot be looked at."""
    from dataclasses import replace

    owner = replace(new_owner("held", job), boot_id="another", pid=1)
    os.makedirs(paths.claims, exist_ok=True)
    assert claim.claim_next(paths, 1, owner) is not None


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> HeldEngine:
    """An engine that every ref of it finds again."""
    engine = HeldEngine()
    monkeypatch.setattr(registry, "connect", lambda ref: engine)
    return engine


@pytest.mark.usefixtures("short_lease")
def test_job_that_its_engine_runs_again_does_not_wait_for_itself(
    huldra_root: Path, engine: HeldEngine
) -> None:
    """The engine says that the job runs: that is we, and not the process that held the claim."""
    job = JobRef("held", "7")
    engine.statuses["7"] = JobStatus.RUNNING
    paths = ArtifactPaths(str(Note(name="a").huldra_dir))
    _foreign_attempt(paths, job)
    attempt = claim.last_attempt(paths)
    assert attempt is not None
    assert liveness.claim_liveness(paths, attempt, Watch()) is Liveness.ALIVE
    os.utime(paths.claim(1), (0, 0))
    token = context.worker.set(context.WorkerContext("held", job))
    try:
        assert Note(name="a").load_or_create() == "a"
    finally:
        context.worker.reset(token)


def test_what_was_said_of_a_job_before_its_new_attempt_does_not_end_that(
    huldra_root: Path, engine: HeldEngine
) -> None:
    """An engine's "over", a moment old, is of the run before the one that holds the claim now."""
    job = JobRef("held", "8")
    engine.statuses["8"] = JobStatus.PREEMPTED
    assert liveness.job_status(job) is JobStatus.PREEMPTED
    engine.statuses["8"] = JobStatus.RUNNING
    paths = ArtifactPaths(str(Note(name="a").huldra_dir))
    _foreign_attempt(paths, job)
    attempt = claim.last_attempt(paths)
    assert attempt is not None
    assert liveness.claim_liveness(paths, attempt, Watch()) is Liveness.ALIVE


def test_plan_asks_an_engine_once_for_all_that_is_over(
    huldra_root: Path, engine: HeldEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many dead jobs a plan meets, the engine gets one question."""
    notes = [Note(name=f"n{i}") for i in range(20)]
    for number, note in enumerate(notes):
        engine.statuses[f"p{number}"] = JobStatus.LOST
        _foreign_attempt(ArtifactPaths(str(note.huldra_dir)), JobRef("held", f"p{number}"))
    asked: list[int] = []
    original = engine.status

    def counting(refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        asked.append(len(refs))
        return original(refs)

    monkeypatch.setattr(engine, "status", counting)
    assert len(huldra.plan(notes).to_run) == 20
    assert asked == [20]
