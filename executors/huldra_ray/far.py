"""What crosses to Ray workers by value: it finds huldra there, and hands over to it.

A worker was started somewhere else, by another process, and may not have huldra on its path. So
these few lines are pickled whole, take nothing but plain data, and add the driver's folders where
huldra is not found.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def runner(paths: list[str]) -> Callable[..., None]:
    """What runs one node, where huldra is found in `paths` if it is not there anyway."""

    def run(call: bytes, *after: object) -> None:  # noqa: ARG001  `after` orders tasks, no more
        """Make one node; raises `NodeEnded` when it was not made."""
        reach(paths)
        from huldra_ray.worker_side import run_call

        run_call(call)

    return run


class FarSupervisor:
    """A supervisor in an actor of its own, so that jobs outlive their driver."""

    def __init__(self, paths: list[str]) -> None:
        """Start it; `paths` are the folders where its driver has huldra."""
        reach(paths)
        from huldra_ray.supervisor import Supervisor

        self._inner = Supervisor(paths)

    def submit(self, batch: list[dict[str, Any]]) -> None:
        """See `Supervisor.submit`."""
        self._inner.submit(batch)

    def status(self, names: list[str]) -> dict[str, tuple[str, str]]:
        """See `Supervisor.status`."""
        return self._inner.status(names)

    def news(self, cursor: int, timeout_s: float) -> tuple[int, list[tuple[str, str, str]]]:
        """See `Supervisor.news`."""
        return self._inner.news(cursor, timeout_s)

    def cancel(self, names: list[str]) -> None:
        """See `Supervisor.cancel`."""
        self._inner.cancel(names)


def reach(paths: list[str]) -> None:
    """Make huldra importable here, if it is not."""
    try:
        import huldra_ray  # noqa: F401  whether it is there is the question
    except ImportError:
        sys.path.extend(path for path in paths if path not in sys.path)
