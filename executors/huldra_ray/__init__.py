"""Huldra on Ray: each artifact is a task of the user's runtime.

`ray` is imported when an executor is made, not before.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from huldra.engines.kit import Executor, JobRef

NAME = "ray"

__all__ = ["RayExecutor", "connect", "from_name", "from_object"]


def from_name(spec: str, **options: Any) -> Executor:
    """An executor for `"ray"`, `"ray:4"` (cpus), `"ray:auto"` or `"ray://host:port"`.

    Without an address: the runtime that this process has, else one that ends with it.
    """
    from huldra_ray.executor import RayExecutor

    return RayExecutor.from_name(spec, **options)


def from_object(obj: object) -> Executor | None:
    """An executor for the module `ray`, or for what `ray.init()` gave; None for anything else."""
    names = {f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}" for cls in type(obj).__mro__}
    is_module = isinstance(obj, ModuleType) and obj.__name__ == "ray"
    if not is_module and "ray.BaseContext" not in names:
        return None
    from huldra_ray.executor import RayExecutor

    return RayExecutor.here()


def connect(ref: JobRef) -> Executor:
    """An executor that can be asked for the job of another process.

    Raises `HuldraExecutorError` when its cluster cannot be reached from here.
    """
    from huldra_ray.attach import connect_to_job

    return connect_to_job(ref)


def __getattr__(name: str) -> Any:
    if name == "RayExecutor":
        from huldra_ray.executor import RayExecutor

        return RayExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
