"""What crosses to Ray's processes by value: it finds huldra there, and hands over to it.

A worker was started elsewhere, by other users, and may not have huldra on its path. So
these few lines are pickled whole and take nothing but plain data.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def task_for(site: Mapping[str, Any]) -> Any:
    """The Ray function that runs one node as the driver of this `driver_path.describe()` would."""
    import ray
    from ray import cloudpickle as pickle

    cloudpickle: Any = pickle
    cloudpickle.register_pickle_by_value(importlib.import_module(__name__))
    # Ray's own retries would repeat a process that ran out of memory for ever.
    return ray.remote(max_retries=0, retry_exceptions=False)(_runner(site))


def _runner(site: Mapping[str, Any]) -> Callable[..., None]:
    def run(call: bytes, can_renew: bool, *after: object) -> None:  # noqa: ARG001
        """Make one node; raises `NodeEnded` when it is not made. `after` orders tasks, no more."""
        find_huldra(site)
        from huldra_ray.worker_side import run_call

        run_call(call, can_renew=can_renew)

    return run


def find_huldra(site: Mapping[str, Any]) -> None:
    """Import huldra from where the driver does; `huldra.worker.code` sees to all other modules.

    Another interpreter (one that a runtime_env's `pip` or `conda` made) keeps its own packages.
    """
    if "huldra_ray" in sys.modules:
        return
    first = list(site["path"])
    if sys.prefix != site["prefix"]:
        foreign = set(site["interpreter"])
        first = [entry for entry in first if entry not in foreign]
    sys.path[:] = dict.fromkeys([*first, *sys.path, *site["path"]])


class SupervisorActor:
    """A supervisor in an actor of its own, so that jobs outlive their driver."""

    def __init__(self, folders: list[str]) -> None:
        """Start it; `folders` are where its driver has huldra, which is preferred to others."""
        sys.path[:] = dict.fromkeys([*folders, *sys.path])
        from huldra_ray.supervisor import Supervisor

        self._inner = Supervisor(task_for)

    def submit(self, batch: list[dict[str, Any]], site: dict[str, Any]) -> None:
        """See `Supervisor.submit`."""
        self._inner.submit(batch, site)

    def status(self, names: list[str]) -> dict[str, tuple[str, str]]:
        """See `Supervisor.status`."""
        return self._inner.status(names)

    def news(self, cursor: int, timeout_s: float) -> tuple[int, list[tuple[str, str, str]]]:
        """See `Supervisor.news`."""
        return self._inner.news(cursor, timeout_s)

    def cancel(self, names: list[str]) -> None:
        """See `Supervisor.cancel`."""
        self._inner.cancel(names)
