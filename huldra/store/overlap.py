"""Many calls to the file system: several at a time where it lets each of them wait.

A file server answers after a millisecond, and takes many questions at once. A disk of this machine
answers in microseconds, and there threads would only cost. The first calls tell which one it is.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_THREADS = 32
_TIMED = 8  # calls out of each block whose waiting is measured
_BLOCK = 256
_SLOW_S = 0.0003  # of waiting a call, from which on threads pay for themselves


class Overlap:
    """Calls a function for many items, in threads once it has shown that it waits.

    What is called must be safe in several threads at once, and must not run code of the user's.
    """

    def __init__(self) -> None:
        self.is_slow = False

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Return `[function(item) for item in items]`.

        Raises the error of the first item that had one, once no call runs any more; then some of
        the others were not called.
        """
        results: list[R] = []
        while not self.is_slow and len(results) < len(items):
            block = items[len(results) : len(results) + _BLOCK]
            waits_s = [_timed(function, item, results) for item in block[:_TIMED]]
            if len(waits_s) == _TIMED and sorted(waits_s)[_TIMED // 2] > _SLOW_S:
                self.is_slow = True
            else:
                results += map(function, block[_TIMED:])
        if len(results) < len(items):
            results += _in_threads(function, items[len(results) :])
        return results


def _timed(function: Callable[[T], R], item: T, results: list[R]) -> float:
    """Append the result; return for how many seconds the call waited, and did not compute."""
    wall_s, cpu_s = time.perf_counter(), time.thread_time()
    results.append(function(item))
    return time.perf_counter() - wall_s - (time.thread_time() - cpu_s)


def _in_threads(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    results: list[Any] = [None] * len(items)
    left = deque(enumerate(items))
    errors: list[tuple[int, BaseException]] = []

    def work() -> None:
        while not errors:
            try:
                number, item = left.popleft()
            except IndexError:
                return
            try:
                results[number] = function(item)
            except BaseException as error:  # noqa: BLE001  raised below, in the caller's thread
                errors.append((number, error))

    threads: list[threading.Thread] = []
    try:
        _start(work, min(_THREADS, len(items)) - 1, threads)
        work()
    except BaseException as error:  # noqa: BLE001  Ctrl-C: raised below, and ends all threads
        errors.append((-1, error))
    _join(threads, errors)
    if errors:
        # One that is no `Exception` (Ctrl-C) goes before those of the items.
        raise min(errors, key=lambda found: (isinstance(found[1], Exception), found[0]))[1]
    return results


def _start(work: Callable[[], None], count: int, threads: list[threading.Thread]) -> None:
    """Start threads, each of which is in `threads` before it runs: Ctrl-C may come in between."""
    for _ in range(count):
        run = contextvars.copy_context().run
        thread = threading.Thread(target=run, args=(work,), name="huldra-overlap", daemon=True)
        threads.append(thread)
        try:
            thread.start()
        except RuntimeError:  # no more of them here: the caller's own thread does the rest
            return


def _join(threads: list[threading.Thread], errors: list[tuple[int, BaseException]]) -> None:
    """Wait for all threads, whatever interrupts it: nothing may be claimed after the call.

    One that never started is passed over, and so is one that Ctrl-C met as it started: it finds
    the error and calls nothing.
    """
    for thread in threads:
        while True:
            try:
                if not thread.is_alive():
                    break
                thread.join()
            except BaseException as error:  # noqa: BLE001  Ctrl-C: raised by the caller
                errors.append((-1, error))
