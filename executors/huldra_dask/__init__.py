"""Huldra on Dask: each artifact is a task of the user's scheduler.

`distributed` is imported when an executor is made, not before.
"""

from __future__ import annotations

from typing import Any

from huldra.engines.kit import Executor, JobRef

NAME = "dask"

__all__ = ["DaskExecutor", "connect", "from_name", "from_object"]


def from_name(spec: str, **options: Any) -> Executor:
    """An executor for `"dask"`, `"dask:8"` (workers) or `"dask://host:port"`.

    Without an address a cluster is started inside this process, and ends with it.
    """
    from huldra_dask.executor import DaskExecutor

    return DaskExecutor.from_name(spec, **options)


def from_object(obj: object) -> Executor | None:
    """An executor for the user's `distributed.Client` or cluster; None for anything else."""
    names = {f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}" for cls in type(obj).__mro__}
    if not names & {"distributed.Client", "distributed.Cluster"}:
        return None
    from huldra_dask.executor import DaskExecutor

    return DaskExecutor.of(obj)


def connect(ref: JobRef) -> Executor:
    """An executor that can be asked for the job of another process.

    Raises `HuldraExecutorError` when its scheduler cannot be reached.
    """
    from huldra_dask.attach import connect_to_job

    return connect_to_job(ref)


def __getattr__(name: str) -> Any:
    if name == "DaskExecutor":
        from huldra_dask.executor import DaskExecutor

        return DaskExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
