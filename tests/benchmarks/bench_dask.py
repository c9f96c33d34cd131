"""Dask with two workers of one thread, against Dask alone on the same cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.benchmarks import engines
from tests.benchmarks.table import Row, Skipped

TIMEOUT_S = 900.0


def rows() -> Iterator[Row]:
    """The rows of a cluster in processes of its own, and of one inside the driver."""
    try:
        import distributed
    except ImportError as error:
        raise Skipped("no distributed") from error
    from huldra_dask import DaskExecutor

    options: dict[str, Any] = {"dashboard_address": "127.0.0.1:0", "memory_limit": 0}
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield from engines.rows("Dask", DaskExecutor(client), Alone(client))
    own = DaskExecutor(workers=2)
    yield from engines.rows('"dask"', own, Alone(own.client))
    own.close()


class Alone:
    """Dask by its own API."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def sweep(self, work: Callable[..., None], arguments: list[Any]) -> None:
        """`Client.map`."""
        import distributed

        futures = self.send(work, arguments)
        with self._client.as_current():
            distributed.wait(futures)

    def chain(self, work: Callable[..., None], arguments: list[Any]) -> None:
        """`Client.submit`, each with the future of the one before."""
        last = None
        for argument in arguments:
            last = self._client.submit(work, argument, last, pure=False)
        last.result()  # type: ignore[union-attr]  # there is at least one

    def fan(self, work: Callable[..., None], arguments: list[Any]) -> None:
        """`Client.submit`, with futures as arguments."""
        first = self._client.submit(work, arguments[0], pure=False)
        middle = [self._client.submit(work, a, first, pure=False) for a in arguments[1:-1]]
        self._client.submit(work, arguments[-1], middle, pure=False).result()

    def send(self, work: Callable[..., None], arguments: list[Any]) -> Any:
        """`Client.map`."""
        return self._client.map(work, arguments, pure=False)

    def await_sent(self, count: int) -> None:
        """`Client.map` returns before the scheduler has heard of any."""
        self._await_tasks(lambda known: known >= count)

    def drop(self, sent: Any) -> None:
        """Cancel, and wait until the scheduler has none but what runs."""
        self._client.cancel(sent)
        self._await_tasks(lambda count: count < len(sent) // 100)

    def _await_tasks(self, is_reached: Callable[[int], bool]) -> None:
        while not is_reached(self._client.run_on_scheduler(_count_tasks)):
            time.sleep(0.005)


def _count_tasks(dask_scheduler: Any = None) -> int:
    return len(dask_scheduler.tasks)
