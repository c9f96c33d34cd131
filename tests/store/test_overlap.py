"""Overlapped calls: in threads where they wait, else not; errors and Ctrl-C end them all."""

from __future__ import annotations

import threading
import time

import pytest

from huldra.store.overlap import Overlap


def test_calls_that_do_not_wait_stay_in_the_callers_thread() -> None:
    """Where the file system is fast no thread is started, and the order is kept."""
    threads = set()

    def double(number: int) -> int:
        threads.add(threading.get_ident())
        return 2 * number

    assert Overlap().map(double, range(1000)) == [2 * number for number in range(1000)]
    assert threads == {threading.get_ident()}


def test_calls_that_wait_are_overlapped() -> None:
    """Once the first calls have waited, several wait at the same time, and the order is kept."""
    overlap, threads = Overlap(), set()

    def wait(number: int) -> int:
        threads.add(threading.get_ident())
        time.sleep(0.002)
        return number

    assert overlap.map(wait, range(100)) == list(range(100))
    assert overlap.is_slow
    assert len(threads) > 5
    assert overlap.map(wait, []) == []


def test_an_error_is_raised_when_no_call_runs_any_more() -> None:
    """The error of the first item that had one is raised, and nothing runs on behind it."""
    running, lock = [0], threading.Lock()

    def fail_late(number: int) -> None:
        with lock:
            running[0] += 1
        time.sleep(0.002)
        with lock:
            running[0] -= 1
        if number >= 40:
            raise ValueError(str(number))

    with pytest.raises(ValueError, match=r"^4"):
        Overlap().map(fail_late, range(200))
    assert running == [0]


def test_ctrl_c_ends_the_calls_of_all_threads() -> None:
    """A KeyboardInterrupt in the caller's thread is raised once the other threads have ended."""
    main = threading.get_ident()
    before = threading.active_count()

    def interrupted(number: int) -> None:
        time.sleep(0.002)
        if number >= 20 and threading.get_ident() == main:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Overlap().map(interrupted, range(10_000))
    assert threading.active_count() == before


def test_ctrl_c_while_the_threads_start_ends_those_that_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A KeyboardInterrupt before the last thread has started leaves none of them at work."""
    start, started, before = (
        threading.Thread.start,
        list[threading.Thread](),
        {*threading.enumerate()},
    )

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        started.append(thread)
        if len(started) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    called: list[int] = []

    def call(number: int) -> None:
        time.sleep(0.002)
        called.append(number)

    with pytest.raises(KeyboardInterrupt):
        Overlap().map(call, range(10_000))
    assert {*threading.enumerate()} <= before
    assert len(called) < 1000
