"""Workers on other hosts than the driver: what each engine has to keep there, written once.

A host is played by a process tree that has a host name and a table of pids of its own, while the
disk is shared. So a pid of it means nothing to the driver, or another process, and the other way
round; and all of it is lost at once when its first process is killed.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.engines.protocol import Executor, JobStatus
from huldra.store.process import Owner, start_time
from huldra.store.records import RUNNING, AttemptStatus
from huldra.store.snapshot import Liveness, process_liveness
from huldra.testing.pipelines import Step
from huldra.testing.suite import Scene
from tests.support import children, parts

NAMES = ("host-a", "host-b")
LEASE_S, HEARTBEAT_S = 3.0, 0.5
_WAITED_S = LEASE_S + 2 * HEARTBEAT_S  # by then an owner that does not beat has been replaced
_OTHER_HOST = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]

# Asks on the driver's host, in its own process, for what a node of another host is making.
_WAITER = """
import logging
from huldra.testing.pipelines import Step
logging.getLogger("huldra").addHandler(logging.FileHandler({log!r}))
print(Step(name={name!r}, notes={notes!r}).load_or_create()["from"])
"""


def prefix_of(name: str, *more: str) -> list[str]:
    """The command that runs a command as the first process of the host `name`.

    `more` are further options of `unshare`.
    """
    return [*_OTHER_HOST, *more, "sh", "-c", f'hostname {name} && exec "$@"', "sh"]


def require_other_hosts() -> None:
    """Give up where this machine does not let us play other hosts."""
    tried = subprocess.run([*prefix_of("probe"), "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        parts.give_up("hosts", f"{' '.join(_OTHER_HOST)}: {tried.stderr.strip()}")


class Site(ABC):
    """A cluster whose scheduler is beside the driver, and whose workers are on `NAMES`.

    Each host has one slot, so that two nodes at a time are on both.
    """

    executor: Executor

    def __init__(self, processes: list[subprocess.Popen[bytes]]) -> None:
        """`processes` are those that the cluster ends; a subclass gives the driver's executor."""
        self._processes = processes
        self._hosts: dict[str, subprocess.Popen[bytes]] = {}

    @abstractmethod
    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a host with a worker of one slot."""

    @abstractmethod
    def present(self) -> set[str]:
        """The hosts that the engine knows of."""

    def complete(self, until: Callable[[Callable[[], object], str], None]) -> None:
        """Start the hosts that are not there; returns when the engine knows of all."""
        missing = set(NAMES) - self._hosts.keys()
        until(lambda: not missing & self.present(), f"{missing} are known to be lost")
        for name in sorted(missing):
            self._hosts[name] = self.start(name)
        until(lambda: self.present() >= set(NAMES), f"{missing} are there")

    def lose(self, name: str) -> None:
        """Kill all processes of a host at once; returns when none is left."""
        unshare = self._hosts.pop(name)
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.kill(_first_of(unshare), signal.SIGKILL)
        unshare.wait()
        self._processes.remove(unshare)

    def freeze(self, name: str) -> None:
        """Stop all processes of a host: it says nothing any more, and its connections stay."""
        for pid in self.pids(name).values():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let a frozen host go on where it was."""
        for pid in self.pids(name).values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def pids(self, name: str) -> dict[int, int]:
        """The processes of a host: the pid that each has there, and here."""
        here = os.readlink(f"/proc/{_first_of(self._hosts[name])}/ns/pid")
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if os.readlink(entry / "ns" / "pid") == here:
                    found[_pid_there(entry)] = int(entry.name)
        return found


def _first_of(unshare: subprocess.Popen[bytes]) -> int:
    """The process that all others of a host end with."""
    try:
        text = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text()
    except FileNotFoundError:
        text = ""
    if not text:
        raise ProcessLookupError(f"the host of {unshare.args!r} has ended")
    return int(text.split()[0])


def _pid_there(entry: Path) -> int:
    (line,) = [x for x in (entry / "status").read_text().splitlines() if x.startswith("NSpid:")]
    return int(line.split()[-1])


@pytest.mark.hosts
class HostsSuite:
    """The tests; a subclass gives the fixture `site`, of a scope that spares its start."""

    patience_s = 60.0

    @pytest.fixture(scope="class")
    @classmethod
    def site(cls) -> Site:
        """The cluster: every subclass says."""
        raise NotImplementedError("a subclass of HostsSuite must define the fixture `site`")

    @pytest.fixture
    def executor(self, site: Site, scene: Scene) -> Executor:
        """The driver's executor, once both hosts are there."""
        site.complete(scene.until)
        return site.executor

    @pytest.fixture
    def scene(self, tmp_path: Path) -> Iterator[Scene]:
        """A store of this test's own, with short leases; all comes back afterwards."""
        before = huldra.HULDRA_CONFIG.snapshot()
        scene = Scene(tmp_path, self.patience_s)
        huldra.set_huldra_root(scene.root)
        huldra.HULDRA_CONFIG.update(poll_interval=0.1, lease=LEASE_S, heartbeat=HEARTBEAT_S)
        yield scene
        scene.open("left", "right", "held")  # a test that failed leaves no slot taken
        scene.close()
        huldra.HULDRA_CONFIG.apply(before)

    def test_a_graph_runs_on_all_hosts(self, executor: Executor, scene: Scene) -> None:
        """Each node is made once, where its records say; the driver hears of it and loads it."""
        left, right = scene.step("left", "wait"), scene.step("right", "wait")
        last = scene.step("last", needs=[left, right])
        job = last.load_or_create(executor=executor)
        _hold_both(scene)
        scene.open("left", "right")
        assert scene.outcome(job)["inputs"] == {"left": "left", "right": "right"}
        assert {_host_of(left), _host_of(right)} == set(NAMES)
        for step in (left, right, last):
            assert step.get_metadata().hostname == _host_of(step)
            assert process_liveness(_owner_of(step)) is Liveness.UNKNOWN
            assert scene.count(step.name) == 1
        scene.until(lambda: _word(executor, job) is JobStatus.SUCCEEDED, "the engine says so")

    def test_a_waiter_on_the_drivers_host_does_not_rob_a_node_elsewhere(
        self, executor: Executor, scene: Scene, tmp_path: Path
    ) -> None:
        """A process that asks for what is made on another host waits for it and loads it."""
        held = scene.step("held", "wait")
        job = held.load_or_create(executor=executor)
        scene.await_note("held")
        log = tmp_path / "waiter.log"
        with _waiting_for(held, scene, log) as waiter:
            scene.until(lambda: _has_decided(waiter, log, scene), "the waiter waits, or does not")
            assert scene.count("held") == 1
            assert f"@{_host_of(held)} pid" in _text_of(log)
            scene.open("held")
            code, out, err = children.finish(waiter)
        assert (code, out) == (0, "_load\n"), err
        assert scene.outcome(job)["name"] == "held"
        assert scene.count("held") == 1
        assert _attempts_at(held) == [AttemptStatus.SUCCESS]

    def test_a_cancel_reaches_a_node_on_another_host(
        self, executor: Executor, scene: Scene
    ) -> None:
        """The node's own process ends it, and its host's slot is free for another one."""
        held = scene.step("held", "wait")
        job = held.load_or_create(executor=executor)
        scene.await_note("held")
        where = _host_of(held)
        job.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            job.result(timeout=self.patience_s)
        scene.until(lambda: _attempts_at(held) == [AttemptStatus.CANCELLED], "it was told there")
        assert _ended_by(held).host == where
        assert scene.count("held", "ended") == 0
        scene.send(executor, scene.step("left", "wait"), scene.step("right", "wait"))
        _hold_both(scene)

    def test_a_host_that_is_lost_costs_its_node_one_retry(
        self, executor: Executor, site: Site, scene: Scene
    ) -> None:
        """What it had in work is made on the other host, and what it has made stays made."""
        left, right = scene.step("left", "wait"), scene.step("right", "wait")
        held = scene.step("held", "wait", needs=[left, right])
        last = scene.step("last", needs=[held])
        job = last.load_or_create(executor=executor)
        _hold_both(scene)  # so that each host has made one of them
        scene.open("left", "right")
        scene.await_note("held")
        lost = _host_of(held)
        site.lose(lost)
        scene.await_note("held", count=2)
        scene.open("held")
        assert scene.outcome(job)["inputs"] == {"held": "held"}
        assert {lost, _host_of(held)} == set(NAMES)
        assert _attempts_at(held) == [AttemptStatus.CRASHED, AttemptStatus.SUCCESS]
        for step in (left, right, last):
            assert _attempts_at(step) == [AttemptStatus.SUCCESS]
        counts = {name: scene.count(name) for name in ("left", "right", "held", "last")}
        assert counts == {"left": 1, "right": 1, "held": 2, "last": 1}

    def test_a_host_that_falls_silent_is_replaced_and_cannot_come_between(
        self, executor: Executor, site: Site, scene: Scene
    ) -> None:
        """Its node is made on the other host; when it goes on, it ends what it had in work."""
        held = scene.step("held", "wait")
        job = held.load_or_create(executor=executor)
        scene.await_note("held")
        silent = _host_of(held)
        pid = site.pids(silent)[_owner_of(held).pid]
        began = start_time(pid)
        site.freeze(silent)
        scene.await_note("held", count=2)
        assert _host_of(held) != silent
        assert start_time(pid) == began, "it was to be silent, and not to end"
        site.thaw(silent)
        scene.until(lambda: start_time(pid) != began, "its node ends there")
        scene.open("held")
        assert scene.outcome(job)["name"] == "held"
        site.lose(silent)
        assert _attempts_at(held) == [AttemptStatus.CRASHED, AttemptStatus.SUCCESS]
        assert (scene.count("held"), scene.count("held", "ended")) == (2, 1)


def _hold_both(scene: Scene) -> None:
    """Return once `left` and `right` are in work, at the same time."""
    scene.await_note("left")
    scene.await_note("right")


@contextlib.contextmanager
def _waiting_for(step: Step, scene: Scene, log: Path) -> Iterator[subprocess.Popen[str]]:
    """A process beside the driver that asks for `step`, and says so when that takes long."""
    waiter = children.start(
        _WAITER.format(name=step.name, notes=step.notes, log=str(log)),
        scene.root,
        HULDRA_LOG_LEVEL="INFO",
        HULDRA_LEASE_SECS=str(LEASE_S),
        HULDRA_HEARTBEAT_SECS=str(HEARTBEAT_S),
        HULDRA_POLL_INTERVAL_SECS="0.1",
        HULDRA_WAIT_LOG_EVERY_SECS=str(_WAITED_S),
    )
    with waiter:
        try:
            yield waiter
        finally:
            waiter.kill()


def _has_decided(waiter: subprocess.Popen[str], log: Path, scene: Scene) -> bool:
    """Whether the waiter has said that it waits for long, has begun itself, or has ended."""
    says_so = "waiting" in _text_of(log)
    return says_so or scene.count("held") > 1 or waiter.poll() is not None


def _word(executor: Executor, job: huldra.Job[Any]) -> JobStatus:
    """What the engine tells the driver of a job."""
    assert job.ref is not None
    return executor.status([job.ref])[job.ref]


def _text_of(log: Path) -> str:
    return log.read_text() if log.exists() else ""


def _owner_of(step: Step) -> Owner:
    """Who makes, or has made, the step."""
    attempt = huldra.StateManager.read(step.huldra_dir).attempt
    assert attempt is not None
    return attempt.owner


def _host_of(step: Step) -> str:
    return _owner_of(step).host


def _ended_by(step: Step) -> Owner:
    end = huldra.StateManager.history(step.huldra_dir)[-1].end
    assert end is not None
    return end.by


def _attempts_at(step: Step) -> list[AttemptStatus]:
    """How each attempt ended, or that it runs; without the attempts in which it was queued."""
    attempts = huldra.StateManager.history(step.huldra_dir)
    return [attempt.status for attempt in attempts if attempt.claim.kind == RUNNING]
