"""Signals and forks: any way out of `_create` is in the books, and handlers are as they were."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import huldra
from huldra.store.records import Attempt
from tests.faults.pausing import Point, Stopped
from tests.faults.samples import Forking, Outer, Swallowing, Tidying
from tests.support import children
from tests.support.odd import Gated, Note, lines


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return str(tmp_path / "ledger")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def statuses(obj: huldra.Huldra[str]) -> list[str]:
    return [attempt.status.value for attempt in huldra.StateManager.history(obj.huldra_dir)]


def begun(child: subprocess.Popen[str], ledger: str, count: int = 1) -> None:
    """Wait until `_create` has begun in the child."""
    children.until(lambda: len(lines(ledger, "begin")) >= count or child.poll() is not None)
    assert child.poll() is None, child.communicate()


def _said(child: subprocess.Popen[str], file: str, word: str) -> list[str]:
    """The lines with this word, once the child has written one."""
    children.until(lambda: bool(lines(file, word)) or child.poll() is not None)
    said = lines(file, word)
    assert said, child.communicate()
    return said


STORM = """
    import signal, sys
    from tests.support.odd import Note, leave
    ready, ledger = {ready!r}, {ledger!r}

    def work():
        for number in range(50):
            Note(name=f"n{{number}}", ledger=ledger).load_or_create()

    def interrupt(signum, _):
        # One that comes when the work is over would end this program at a line of its own.
        frame = sys._getframe()
        while frame is not None:
            if frame.f_code is work.__code__:
                raise KeyboardInterrupt
            frame = frame.f_back

    signal.signal(signal.SIGINT, interrupt)
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    interrupted = False
    # Python makes other errors of a Ctrl-C that comes in the middle of an import.
    Note(name="first").load_or_create()
    leave(ready, "ready")
    try:
        work()
    except KeyboardInterrupt:
        interrupted = True
    after = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    assert before == after, after
    # This process lives on, as a notebook does: what it left open would look alive to others.
    leave(ready, f"over {{interrupted}}")
    sys.stdin.readline()
"""


@pytest.mark.slow
def test_ctrl_c_at_any_moment_leaves_nothing_open(huldra_root: Path, tmp_path: Path) -> None:
    """SIGINT somewhere among fifty artifacts propagates, and another process goes on at once."""
    seed = int(os.environ.get("HULDRA_TEST_SEED", str(random.randrange(10**6))))
    print(f"HULDRA_TEST_SEED={seed}")
    dice = random.Random(seed)
    interrupted = 0
    for number in range(int(os.environ.get("HULDRA_TEST_SIGNAL_ROUNDS", "8"))):
        root, ready = tmp_path / f"store{number}", str(tmp_path / f"ready{number}")
        ledger = str(tmp_path / f"ledger{number}")
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(STORM.format(ready=ready, ledger=ledger))],
            env=children.environment(root),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        _said(child, ready, "ready")
        for _ in range(dice.choice([1, 1, 2, 3])):
            time.sleep(dice.random() * 0.03)  # the moment of the signal is what is random here
            child.send_signal(signal.SIGINT)
        interrupted += _said(child, ready, "over") == ["over True"]
        with huldra.huldra_root(root):
            for note in [Note(name=f"n{i}", ledger=ledger) for i in range(50)]:
                object.__setattr__(note, "_max_wait_time_sec", 5.0)
                assert note.load_or_create() == note.name
                assert statuses(note)[-1] == "success"
                assert statuses(note).count("success") == 1
        child.communicate("\n", timeout=30)
    print(f"{interrupted} of {number + 1} interrupted")


def test_signal_between_claim_and_create_stops_create_from_beginning(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """A signal that comes while the claim is being written down does not wait for `_create`."""
    code = f"from tests.support.odd import Note\nNote(name='a', ledger={ledger!r}).load_or_create()"
    for signum, word, point in (
        (signal.SIGINT, "cancelled", Point.BEFORE_FIRST_METADATA),
        (signal.SIGTERM, "preempted", Point.BEFORE_METADATA),
    ):
        child = Stopped(tmp_path / word, code, huldra_root, point)
        child.child.send_signal(signum)
        assert child.go_on()[0] in (-signum, 1)
        assert statuses(Note(name="a"))[-1] == word
        assert not lines(ledger)


def test_second_ctrl_c_in_the_users_finally_is_recorded(
    huldra_root: Path, gate: Path, ledger: str
) -> None:
    """An impatient Ctrl-C breaks the user's own clean-up, and nothing of ours."""
    code = f"""
        import tests.faults.samples as samples
        samples.Tidying(name="a", gate={str(gate)!r}, ledger={ledger!r}).load_or_create()
    """
    child = children.start(code, huldra_root)
    begun(child, ledger)
    child.send_signal(signal.SIGINT)
    children.until(lambda: bool(lines(ledger, "tidying")))
    child.send_signal(signal.SIGINT)
    assert children.finish(child)[0] in (-signal.SIGINT, 1)
    assert statuses(Tidying(name="a")) == ["cancelled"]


def test_sigterm_while_the_user_tidies_up_is_not_raised_twice(
    huldra_root: Path, gate: Path, ledger: str
) -> None:
    """Engines repeat themselves: a second SIGTERM does not break the user's `finally`."""
    code = f"""
        import tests.faults.samples as samples
        samples.Tidying(name="a", gate={str(gate)!r}, ledger={ledger!r}).load_or_create()
    """
    child = children.start(code, huldra_root)
    begun(child, ledger)
    child.send_signal(signal.SIGTERM)
    children.until(lambda: bool(lines(ledger, "tidying")))
    child.send_signal(signal.SIGTERM)
    gate.touch()
    assert children.finish(child)[0] == -signal.SIGTERM
    assert lines(ledger, "tidied")
    assert statuses(Tidying(name="a")) == ["preempted"]


@pytest.mark.parametrize(("how", "word"), [("raise", "preempted"), ("go on", "success")])
def test_sigterm_that_the_users_code_swallows_still_ends_the_process(
    huldra_root: Path, gate: Path, ledger: str, how: str, word: str
) -> None:
    """`except BaseException` in `_create` makes a preemption no failure, and keeps no process."""
    code = f"""
        from tests.faults.samples import Swallowing
        note = Swallowing(name="a", how={how!r}, gate={str(gate)!r}, ledger={ledger!r})
        note.load_or_create()
        print("survived")
    """
    child = children.start(code, huldra_root)
    begun(child, ledger)
    child.send_signal(signal.SIGTERM)
    returned, out, _ = children.finish(child)
    assert (returned, out) == (-signal.SIGTERM, "")
    assert statuses(Swallowing(name="a", how=how)) == [word]


def test_sigterm_in_a_nested_call_preempts_both(huldra_root: Path, gate: Path, ledger: str) -> None:
    """What `_create` makes inside ends with it, and the process dies of the signal."""
    code = f"""
        from tests.faults.samples import Outer
        Outer(name="a", gate={str(gate)!r}, ledger={ledger!r}).load_or_create()
    """
    child = children.start(code, huldra_root)
    begun(child, ledger, 2)
    child.send_signal(signal.SIGTERM)
    assert children.finish(child)[0] == -signal.SIGTERM
    assert len(lines(ledger, "finally")) == 2
    assert statuses(Outer(name="a")) == ["preempted"]
    assert statuses(Gated(name="inner")) == ["preempted"]


def test_users_own_handlers_are_called_and_come_back(
    huldra_root: Path, gate: Path, ledger: str
) -> None:
    """A SIGINT handler of the user's acts as before; a SIGTERM one is called after the books."""
    code = f"""
        import os, signal
        from tests.support.odd import Gated, leave
        signal.signal(signal.SIGINT, lambda *_: leave({ledger!r}, "mine INT"))
        signal.signal(signal.SIGTERM, lambda *_: leave({ledger!r}, "mine TERM"))
        before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
        try:
            Gated(name="a", gate={str(gate)!r}, ledger={ledger!r}).load_or_create()
        except Exception as error:
            print(type(error).__name__)
        assert before == [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    """
    child = children.start(code, huldra_root)
    begun(child, ledger)
    child.send_signal(signal.SIGINT)
    children.until(lambda: bool(lines(ledger, "mine INT")))
    child.send_signal(signal.SIGTERM)
    code_, out, err = children.finish(child)
    assert (code_, out) == (0, "HuldraCancelled\n"), err
    assert lines(ledger, "mine TERM")
    assert statuses(Gated(name="a")) == ["preempted"]


def test_ignored_sigint_stays_ignored(huldra_root: Path, gate: Path, ledger: str) -> None:
    """What runs under nohup, or in a shell's background, is not interrupted."""
    code = f"""
        import signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        from tests.support.odd import Gated
        print(Gated(name="a", gate={str(gate)!r}, ledger={ledger!r}).load_or_create())
    """
    child = children.start(code, huldra_root)
    begun(child, ledger)
    child.send_signal(signal.SIGINT)
    gate.touch()
    assert children.finish(child)[:2] == (0, "a\n")


@pytest.mark.parametrize("when", ["claims/1", ".tmp", "state.json", "1.end", "SUCCESS.json"])
def test_handler_that_raises_in_our_bookkeeping_leaves_nothing_open(
    huldra_root: Path, tmp_path: Path, ledger: str, when: str
) -> None:
    """An alarm of the user's may raise anywhere; the process lives on, and others are not stuck."""
    code = f"""
        import signal, sys
        from pathlib import Path
        from huldra.store import files
        from tests.support.odd import Note, await_file, leave
        class Alarm(Exception): pass
        def ring(*_): raise Alarm
        signal.signal(signal.SIGALRM, ring)
        for name in ("link_new", "write_atomic", "write_hidden", "rename_new"):
            def ringing(path, *rest, original=getattr(files, name), **keywords):
                value = original(path, *rest, **keywords)
                if path.endswith({when!r}):
                    signal.raise_signal(signal.SIGALRM)
                return value
            setattr(files, name, ringing)
        try:
            Note(name="a", ledger={ledger!r}).load_or_create()
        except Exception as error:
            print(type(error).__name__, flush=True)
        leave({str(tmp_path / "ready")!r}, "over")
        await_file(Path({str(tmp_path / "go")!r}))
    """
    child = children.start(code, huldra_root)
    children.until(lambda: bool(lines(tmp_path / "ready")) or child.poll() is not None)
    note = Note(name="a", ledger=ledger)
    object.__setattr__(note, "_max_wait_time_sec", 3.0)
    assert note.load_or_create() == "a"
    (tmp_path / "go").touch()
    assert children.finish(child)[0] == 0


@pytest.mark.parametrize("how", ["return", "raise", "exit", "signal"])
def test_child_forked_in_create_decides_nothing(huldra_root: Path, ledger: str, how: str) -> None:
    """A forked child that leaves through our frames ends no attempt and publishes nothing."""
    code = f"""
        import os, sys
        from tests.faults.samples import Forking
        me = os.getpid()
        try:
            Forking(name="a", how={how!r}, ledger={ledger!r}).load_or_create()
        except ValueError:
            os._exit(0)
        if os.getpid() != me:
            os._exit(0)
        print("parent")
    """
    done = children.run(code, huldra_root)
    assert done.stdout == "parent\n", done.stderr
    forking = Forking(name="a", how=how)
    assert statuses(forking) == ["success"]
    attempt = huldra.StateManager.history(forking.huldra_dir)[0]
    assert attempt.end is not None
    assert attempt.end.by.pid == int(lines(ledger, "begin")[0].split()[2])
    assert len(lines(ledger, "end")) == 1


def test_child_forked_while_threads_are_busy_does_not_hang(huldra_root: Path) -> None:
    """Whatever lock of ours another thread holds at a fork, the child has locks of its own."""
    code = """
        import os, threading, warnings
        from huldra.attempts import heartbeat, liveness
        from huldra.engines import registry
        from huldra.logs import capture as logs
        from huldra.provenance import git
        from huldra.executor import JobRef
        from tests.support.odd import Note
        warnings.simplefilter("ignore")
        Note(name="a").load_or_create()
        held = threading.Event()
        def hold():
            with registry._lock, liveness._engine_status.lock, heartbeat._renewer.changed:
                with logs._setup.lock:
                    held.set()
                    threading.Event().wait()
        threading.Thread(target=hold, daemon=True).start()
        held.wait()
        pid = os.fork()
        if pid == 0:
            assert Note(name="b").load_or_create() == "b"
            assert Note(name="c").load_or_create(executor="inline").result(20) == "c"
            liveness.job_status(JobRef("local", "none"))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        os._exit(0)
    """
    done = children.run(code, huldra_root)
    assert done.stdout == "0\n", done.stderr


def test_parent_killed_while_its_forked_child_lives_is_dead(
    huldra_root: Path, gate: Path, ledger: str, tmp_path: Path
) -> None:
    """The claim is the parent's: an orphan of `_create` does not keep it."""
    code = f"""
        import os
        from tests.support.odd import Gated, leave
        import threading
        from pathlib import Path
        def fork():
            if os.fork() == 0:
                leave({str(tmp_path / "child")!r}, f"child {{os.getpid()}}")
                threading.Event().wait(60)
                os._exit(0)
        original = Gated._create
        def forking(self):
            fork()
            return original(self)
        Gated._create = forking
        Gated(name="a", gate={str(gate)!r}, ledger={ledger!r}).load_or_create()
    """
    child = children.start(code, huldra_root)
    begun(child, ledger)
    children.until(lambda: bool(lines(tmp_path / "child", "child")))
    child.kill()
    child.wait()
    gate.touch()
    try:
        assert Gated(name="a", gate=str(gate), ledger=ledger).load_or_create() == "a"
    finally:
        os.kill(int(lines(tmp_path / "child", "child")[0].split()[1]), signal.SIGKILL)
        child.communicate()


POOL = """
    import concurrent.futures, multiprocessing, sys
    from tests.support.odd import Note, load
    def main():
        notes = [Note(name=f"n{{i % 5}}", ledger={ledger!r}, pause_s=0.02) for i in range(30)]
        if {kind!r} == "thread":
            pool = concurrent.futures.ThreadPoolExecutor(4)
        else:
            pool = concurrent.futures.ProcessPoolExecutor(
                4, mp_context=multiprocessing.get_context({kind!r})
            )
        with pool:
            assert sorted(set(pool.map(load, notes))) == [f"n{{i}}" for i in range(5)]
        print("done")
    if __name__ == "__main__":
        main()
"""


@pytest.mark.parametrize("kind", ["thread", "fork", "spawn", "forkserver"])
def test_pools_of_the_users_make_each_artifact_once(
    huldra_root: Path, tmp_path: Path, ledger: str, kind: str
) -> None:
    """Thread and process pools outside of `_create` share one store without doing work twice."""
    script = tmp_path / "pool.py"
    script.write_text(textwrap.dedent(POOL.format(ledger=ledger, kind=kind)))
    done = subprocess.run(
        [sys.executable, str(script)],
        env=children.environment(huldra_root),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "done\n", done.stderr
    assert len(lines(ledger, "begin")) == 5


def test_ctrl_c_while_dispatching_frees_what_was_queued(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """Interrupted between a node's claim and its sending, a live driver holds nothing."""
    code = f"""
        from tests.support.odd import Note, await_file, leave
        from pathlib import Path
        notes = [Note(name=f"n{{i}}", ledger={ledger!r}) for i in range(3)]
        import huldra
        try:
            huldra.load_or_create(notes, executor="local:1")
        except KeyboardInterrupt:
            leave({str(tmp_path / "over")!r}, "over")
            await_file(Path({str(tmp_path / "end")!r}))
    """
    for number, point in enumerate([Point.AFTER_CLAIM, Point.BEFORE_RUN_RECORD]):
        folder = tmp_path / f"stop{number}"
        driver = Stopped(folder, textwrap.dedent(code), huldra_root, point)
        driver.child.send_signal(signal.SIGINT)
        (folder / "go").touch()
        children.until(lambda n=number: len(lines(tmp_path / "over")) > n)  # type: ignore[misc]  # bound
        for i in range(3):
            note = Note(name=f"n{i}")
            assert all(t.end is not None for t in _history(note)), (number, i)
        (tmp_path / "end").touch()
        assert driver.go_on()[0] == 0
        (tmp_path / "end").unlink()


def _history(note: Note) -> list[Attempt]:
    try:
        return huldra.StateManager.history(note.huldra_dir)
    except huldra.HuldraArtifactMissing:
        return []
