"""A sweep, a chain and a fan on an engine: huldra's, and the engine's own doing the same file work.

What the engine does alone is `floor.Miss.make`: the files of a miss, in plain standard library.
"""

from __future__ import annotations

import itertools
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import huldra
from huldra.engines.protocol import Executor, Task, TaskGraph
from huldra.store.job_ref import JobRef
from tests.benchmarks import floor
from tests.benchmarks.configs import Item, Step
from tests.benchmarks.measure import Subject, interleave
from tests.benchmarks.table import Row

SWEEP = 1000
CHAIN = 200
FAN = 100
GRAPH = 10_000
GOAL = 1.3
_ROUNDS = 3
_numbers = itertools.count(1)
_miss: list[floor.Miss] = []


class Alone(Protocol):
    """An engine's own API; each call returns when all is done."""

    def sweep(self, work: Callable[..., None], arguments: list[Any]) -> None:
        """Run independent calls."""

    def chain(self, work: Callable[..., None], arguments: list[Any]) -> None:
        """Run each call after the one before."""

    def fan(self, work: Callable[..., None], arguments: list[Any]) -> None:
        """Run the first, then all but the last, then the last."""

    def send(self, work: Callable[..., None], arguments: list[Any]) -> Any:
        """Send independent calls and return without waiting."""

    def await_sent(self, count: int) -> None:
        """Return once the engine has as many calls as were sent, in whatever way."""

    def drop(self, sent: Any) -> None:
        """Cancel what `send` sent; what runs already is let go by its gate afterwards."""


def make_floor(order: tuple[floor.Miss, str], *_: object) -> None:
    """One miss of the floor, on the engine."""
    miss, directory = order
    miss.make(directory)


def read_floor(directory: str, *_: object) -> None:
    """One hit of the floor, on the engine."""
    floor.hit(directory)


def rows(name: str, executor: Executor, alone: Alone) -> Iterator[Row]:
    """The engine's rows of the table."""
    _prepare(executor, alone)
    shapes: dict[str, tuple[int, Callable[[], list[Any]], Any]] = {
        f"{SWEEP} misses": (SWEEP, lambda: _items(SWEEP), alone.sweep),
        f"chain of {CHAIN}": (CHAIN, lambda: [_chain(CHAIN)], alone.chain),
        f"1 → {FAN} → 1": (FAN + 2, lambda: [_fan(FAN)], alone.fan),
    }
    for what, (count, objects, run_alone) in shapes.items():
        yield _ratio(f"{name}, {what}", count, executor, objects, run_alone)
    yield _hits(name, executor, alone)
    yield _dispatch(name, executor, alone)


def _ratio(
    what: str, count: int, executor: Executor, objects: Callable[[], list[Any]], run_alone: Any
) -> Row:
    def alone(_: int) -> Callable[[], object]:
        orders = _orders(count)
        return lambda: run_alone(make_floor, orders)

    subjects: dict[str, Subject] = {"huldra": lambda _: _run(objects(), executor), "alone": alone}
    timings = interleave(subjects, rounds=_ROUNDS)
    ours, theirs = timings["huldra"].wall_ms, timings["alone"].wall_ms
    beside = f"{ours / count:.2f} and {theirs / count:.2f} ms a node"
    return Row(what, ours, "ms", theirs, GOAL, beside)


def _hits(name: str, executor: Executor, alone: Alone) -> Row:
    objects = _items(SWEEP)
    _run(objects, executor)()
    directories = [str(obj.huldra_dir) for obj in objects]
    subjects: dict[str, Subject] = {
        "huldra": lambda _: _run([Item(number=obj.number) for obj in objects], executor),
        "alone": lambda _: lambda: alone.sweep(read_floor, directories),
    }
    timings = interleave(subjects, rounds=_ROUNDS)
    ours, theirs = timings["huldra"].wall_ms, timings["alone"].wall_ms
    return Row(f"{name}, {SWEEP} hits", ours, "ms", theirs, GOAL, "ours never reach the engine")


def _dispatch(name: str, executor: Executor, alone: Alone) -> Row:
    """Sending a graph of 10,000 that does not run: the adapter's part, until the engine has all.

    Of the calls alone, that of the engine may be over before anything has left this process.
    """
    before_mb = _memory_mb()
    calls_ms: dict[str, list[float]] = {"adapter": [], "alone": []}
    left: list[Callable[[], None]] = []

    def sending(who: str, send: Callable[[], Callable[[], None]]) -> None:
        started = time.perf_counter()
        left.append(send())
        calls_ms[who].append((time.perf_counter() - started) * 1e3)
        alone.await_sent(GRAPH)

    def clear() -> None:
        while left:
            left.pop()()

    def adapter(_: int) -> Callable[[], object]:
        clear()
        graph = _held_graph()
        return lambda: sending("adapter", lambda: _submit(executor, graph))

    def by_itself(_: int) -> Callable[[], object]:
        clear()
        gate = Path(f"{os.environ['HULDRA_PATH']}-alone/{next(_numbers)}.open")
        return lambda: sending("alone", lambda: _send(alone, gate))

    timings = interleave({"adapter": adapter, "alone": by_itself}, rounds=_ROUNDS)
    clear()
    ours, theirs = (statistics.median(calls_ms[who][1:]) for who in ("adapter", "alone"))
    return Row(
        f"{name}, sending a graph of {GRAPH:,}",
        timings["adapter"].wall_ms,
        "ms",
        timings["alone"].wall_ms,
        GOAL,
        f"the calls took {ours:.0f} and {theirs:.0f} ms; the driver's memory grew by"
        f" {_memory_mb() - before_mb:.0f} MB, {before_mb:.0f} before",
    )


def _submit(executor: Executor, graph: TaskGraph) -> Callable[[], None]:
    """Send a graph; returns what drops it."""
    refs: list[JobRef] = []
    executor.submit(graph, lambda _, ref: refs.append(ref))

    def drop() -> None:
        # Whoever waits to read it is let go, and whoever comes now finds nothing.
        handle = os.open(graph.run_path, os.O_RDWR | os.O_NONBLOCK)
        os.unlink(graph.run_path)
        os.close(handle)
        executor.cancel(refs)
        left = set(refs)
        while left:
            left -= executor.wait(left, 10.0)

    return drop


def _send(alone: Alone, gate: Path) -> Callable[[], None]:
    """Send calls that wait; returns what drops them."""
    sent = alone.send(_wait_for, [str(gate)] * GRAPH)

    def drop() -> None:
        alone.drop(sent)
        gate.touch()

    return drop


def _held_graph() -> TaskGraph:
    """Independent tasks; those that start wait for their run record, which is a pipe."""
    run_id = f"bench{next(_numbers)}"
    root = str(huldra.get_huldra_root())
    folder = Path(root) / "runs" / run_id
    folder.mkdir(parents=True)
    os.mkfifo(folder / "graph.json")
    tasks = {}
    for number in range(GRAPH):
        digest = f"{number:032x}"
        key = f"tests.benchmarks.configs/Item/{digest}"
        tasks[key] = Task(
            key=key,
            task_name=f"tests.benchmarks.configs/Item-{digest}-{run_id[5:]}",
            label="Item",
            payload=f'{{"protocol": 1, "run": "{folder}/graph.json", "key": "{key}"}}',
            directory=f"{root}/data/{key}",
            log_path=f"{root}/data/{key}/.huldra/huldra.log",
        )
    return TaskGraph(run_id, f"{folder}/graph.json", root, tasks)


def _wait_for(gate: str, *_: object) -> None:
    while not os.path.exists(gate):
        time.sleep(0.01)


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _prepare(executor: Executor, alone: Alone) -> None:
    """Warm both, and take the bytes of one miss."""
    objects = _items(20)
    _run(objects, executor)()
    _miss.append(floor.Miss.of(str(objects[0].huldra_dir)))
    alone.sweep(make_floor, _orders(20))


def _run(objects: list[Any], executor: Executor) -> Callable[[], object]:
    return lambda: huldra.load_or_create(objects, executor=executor).wait(timeout=240)


def _orders(count: int) -> list[Any]:
    """What the floor is asked for: new folders beside the store."""
    folder = f"{os.environ['HULDRA_PATH']}-alone/{next(_numbers)}"
    os.makedirs(folder)
    return [(_miss[0], f"{folder}/{number}") for number in range(count)]


def _items(count: int) -> list[Item]:
    return [Item(number=next(_numbers)) for _ in range(count)]


def _chain(count: int) -> Step:
    top = Step(number=next(_numbers))
    for _ in range(1, count):
        top = Step(number=next(_numbers), parents=[top])
    return top


def _fan(count: int) -> Step:
    source = Step(number=next(_numbers))
    middle = [Step(number=next(_numbers), parents=[source]) for _ in range(count)]
    return Step(number=next(_numbers), parents=list(middle))
