"""Ray with two cpus, against Ray alone on the same runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.benchmarks import engines
from tests.benchmarks.table import Row, Skipped

TIMEOUT_S = 900.0


def rows() -> Iterator[Row]:
    """The rows of a runtime of our own."""
    try:
        import ray  # noqa: F401  whether it is there is the question
    except ImportError as error:
        raise Skipped("no ray") from error
    from huldra_ray import RayExecutor

    executor = RayExecutor(cpus=2)
    yield from engines.rows("Ray", executor, Alone())
    executor.close()


class Alone:
    """Ray by its own API."""

    def sweep(self, work: Callable[..., None], arguments: list[Any]) -> None:
        """`task.remote`, and one `get` for all."""
        import ray

        ray.get(self.send(work, arguments))

    def chain(self, work: Callable[..., None], arguments: list[Any]) -> None:
        """`task.remote`, each with the ref of the one before."""
        import ray

        task, last = ray.remote(max_retries=0)(work), None
        for argument in arguments:
            last = task.remote(argument, last)
        ray.get(last)

    def fan(self, work: Callable[..., None], arguments: list[Any]) -> None:
        """`task.remote`, with refs as arguments."""
        import ray

        task = ray.remote(max_retries=0)(work)
        first = task.remote(arguments[0])
        middle = [task.remote(argument, first) for argument in arguments[1:-1]]
        ray.get(task.remote(arguments[-1], *middle))

    def send(self, work: Callable[..., None], arguments: list[Any]) -> Any:
        """`task.remote`."""
        import ray

        task = ray.remote(max_retries=0)(work)
        return [task.remote(argument) for argument in arguments]

    def await_sent(self, count: int) -> None:
        """Each call has left when `remote` returns."""

    def drop(self, sent: Any) -> None:
        """Cancel, by force."""
        import ray

        for ref in sent:
            ray.cancel(ref, force=True)
        ray.wait(sent, num_returns=len(sent), timeout=60, fetch_local=False)
