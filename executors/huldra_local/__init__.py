"""The local engine: a pool of warm processes, threads, in-process, and `concurrent.futures`.

Names: `"local"` and `"local:8"` (a `LocalExecutor` of 8 workers), `"threads"` and `"threads:8"`,
`"inline"`. Any `concurrent.futures.Executor` object is taken as it is.
"""

from __future__ import annotations

import concurrent.futures
from typing import Any

from huldra.engines.kit import LOCAL as ENGINE
from huldra.engines.kit import Executor, JobRef
from huldra.errors import HuldraExecutorError
from huldra_local.engine import find_or_view, living
from huldra_local.futures import FuturesExecutor, ThreadsExecutor
from huldra_local.inline import InlineExecutor
from huldra_local.machine import available_cpus
from huldra_local.pool import LocalExecutor

__all__ = [
    "FuturesExecutor",
    "InlineExecutor",
    "LocalExecutor",
    "ThreadsExecutor",
    "connect",
    "from_name",
    "from_object",
]


def from_name(spec: str, **options: Any) -> Executor:
    """The executor of a name like `"local:8"`; options are those of its class.

    Raises `HuldraExecutorError` for a name or a count that makes no sense.
    """
    form, _, count = spec.partition(":")
    if form == "inline" and not count:
        return InlineExecutor(**options)
    if form == "threads":
        return ThreadsExecutor(_count(spec, count) or available_cpus(), **options)
    if form == "local":
        return LocalExecutor(_count(spec, count), **options)
    raise _unknown(spec)


def _count(spec: str, count: str) -> int | None:
    if not count and not spec.endswith(":"):
        return None
    if count.isascii() and count.isdigit() and int(count) > 0:
        return int(count)
    raise _unknown(spec)


def _unknown(spec: str) -> HuldraExecutorError:
    return HuldraExecutorError(
        f'expected the name of a local executor, found {spec!r}; valid are "local", "local:8"'
        ' (8 worker processes), "threads", "threads:8" and "inline"'
    )


def from_object(obj: object) -> Executor | None:
    """The executor that wraps a `concurrent.futures.Executor`; None for anything else.

    One pool has one wrapper as long as it has open jobs, so that a later graph can wait for an
    earlier one without taking a thread for it.
    """
    if not isinstance(obj, concurrent.futures.Executor):
        return None
    known = (e for e in living() if isinstance(e, FuturesExecutor) and e.wraps(obj))
    return next(known, None) or FuturesExecutor(obj)


def connect(ref: JobRef) -> Executor:
    """What can be known of a job: all of it in its own process, alive or lost in another."""
    if ref.engine != ENGINE:
        raise HuldraExecutorError(
            f"expected a job of the local engine, found one of {ref.engine!r}"
        )
    return find_or_view(ref)
