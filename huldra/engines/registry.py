"""Executors by name, by the user's own engine object, and by the ref of a job.

Adapters are packages found by a table (ours) or by the entry-point group `huldra.executors`
(others). Each offers three functions: `from_name(spec, **options)`, `from_object(obj)` and
`connect(ref)`; `docs/executors.md` says what they promise.
"""

from __future__ import annotations

import atexit
import importlib
import os
import threading
from functools import lru_cache
from typing import Any, cast

from huldra.engines.protocol import ENTRY_POINTS, Executor, registered_engines
from huldra.errors import HuldraExecutorError
from huldra.store.job_ref import JobRef

_PACKAGES = {
    "local": "huldra_local",
    "inline": "huldra_local",
    "threads": "huldra_local",
    "slurm": "huldra_submitit",
    "submitit": "huldra_submitit",
    "dask": "huldra_dask",
    "ray": "huldra_ray",
}

_by_name: dict[str, Executor] = {}
_lock = threading.Lock()


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603  a thread of a forked parent may have held it, and is not here
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


@lru_cache(maxsize=1)
def _packages() -> dict[str, str]:
    return {**registered_engines(), **_PACKAGES}


def _adapter(engine: str) -> Any:
    package = _packages().get(engine)
    if package is None:
        known = ", ".join(sorted(_packages()))
        raise HuldraExecutorError(
            f"unknown executor {engine!r}; known: {known}, each as 'name' or 'name:options', and"
            f" the engines that packages add through the entry-point group {ENTRY_POINTS!r}"
        )
    return importlib.import_module(package)


def refuse_unknown(wanted: object) -> None:
    """Raise `HuldraExecutorError` for a name that no adapter has; starts and connects nothing."""
    if isinstance(wanted, str):
        _adapter(wanted.partition(":")[0])


def resolve(wanted: object) -> Executor:
    """The executor that `wanted` means: an executor, its name, or an engine's own object.

    An executor made from a name is kept for the life of the process, and closed at its end.
    Raises `HuldraExecutorError` when nothing fits, and `ImportError` naming what to install.
    """
    if isinstance(wanted, str):
        return _named(wanted)
    if isinstance(wanted, Executor):
        return wanted
    for package in sorted(set(_packages().values())):
        executor = importlib.import_module(package).from_object(wanted)
        if executor is not None:
            return cast(Executor, executor)
    raise HuldraExecutorError(
        f"executor={wanted!r} ({type(wanted).__module__}.{type(wanted).__qualname__}) is not an"
        " executor; pass a name ('local:8', 'slurm', 'dask', 'ray'), a submitit executor, a Dask"
        " client or cluster, a concurrent.futures executor, or an object with the methods of"
        " huldra.engines.protocol.Executor"
    )


def _named(spec: str) -> Executor:
    with _lock:
        if spec not in _by_name:
            if not _by_name:
                atexit.register(close_all)
            _by_name[spec] = _adapter(spec.partition(":")[0]).from_name(spec)
        return _by_name[spec]


def connect(ref: JobRef) -> Executor:
    """An executor good enough for `status`, `wait`, `cancel` and `logs` of a job met on disk."""
    return cast(Executor, _adapter(ref.engine).connect(ref))


def forget(executor: Executor) -> None:
    """Make the next use of this executor's name start a new one."""
    with _lock:
        for spec in [spec for spec, known in _by_name.items() if known is executor]:
            del _by_name[spec]


def close_all() -> None:
    """Close every executor that was made from a name."""
    with _lock:
        executors = list(_by_name.values())
        _by_name.clear()
    for executor in executors:
        executor.close()
