"""What runs inside the Dask scheduler, asked for through `Client.run_on_scheduler`.

Each is one query for many keys, and plain data both ways. They run in the scheduler's event
loop, so what they see and do is one moment for the scheduler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any

from huldra.engines.kit import this_process

_CANCEL_AT_ONCE = 8
_HOLDER = "fire-and-forget"  # the scheduler's own client, which lets go of a task when it is over


def inspect(dask_scheduler: Any) -> dict[str, Any]:
    """The scheduler's id and process, its workers, and the tasks that no worker can run."""
    workers = [
        {
            "address": worker.address,
            "threads": worker.nthreads,
            "memory": worker.memory_limit,
            "resources": dict(worker.resources),
            "running": worker.status.name == "running",
        }
        for worker in dask_scheduler.workers.values()
    ]
    return {
        "id": dask_scheduler.id,
        "process": this_process().to_json(),
        "workers": workers,
        "unrunnable": {
            task.key: dict(task.resource_restrictions or {}) for task in _stuck(dask_scheduler)
        },
        "worker_ttl_s": dask_scheduler.worker_ttl,
    }


def _stuck(scheduler: Any) -> Iterable[Any]:
    return list(scheduler.unrunnable)


def states(keys: Collection[str], dask_scheduler: Any) -> dict[str, tuple[str, str, str]]:
    """State, key of the task to blame, and the error's text, of those keys that are known."""
    known = {}
    for key in keys:
        task = dask_scheduler.tasks.get(key)
        if task is not None and task.run_spec is not None:
            blamed = task.exception_blame
            source = blamed or task
            text = source.exception_text or ""
            known[key] = (task.state, source.key, text)
    return known


async def adopt(
    keys: Collection[str], sinks: Collection[str], timeout_s: float, dask_scheduler: Any
) -> list[str]:
    """Keep the graph under these sinks going without its client; returns the keys not yet known."""
    missing = await _until_known(dask_scheduler, keys, timeout_s)
    open_sinks = [key for key in sinks if _is_open(dask_scheduler, key)]
    dask_scheduler.client_desires_keys(open_sinks, _HOLDER)
    return missing


async def _until_known(scheduler: Any, keys: Collection[str], timeout_s: float) -> list[str]:
    """Wait until the scheduler knows all of `keys`; returns those that it does not by then.

    It takes a graph in over several attempts of its loop, and ignores what it gets about a key
    that it does not know yet.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    missing = [key for key in keys if key not in scheduler.tasks]
    while missing and loop.time() < deadline:
        await asyncio.sleep(0.01)
        missing = [key for key in missing if key not in scheduler.tasks]
    return missing


def hold(keys: Collection[str], client_id: str, dask_scheduler: Any) -> list[str]:
    """Let a client hold those of `keys` that are known and have not failed; returns them."""
    usable = []
    for key in keys:
        task = dask_scheduler.tasks.get(key)
        if task is not None and task.run_spec is not None and task.state != "erred":
            usable.append(key)
    dask_scheduler.client_desires_keys(usable, client_id)
    return usable


async def cancel(
    keys: Collection[str], on_the_way: Collection[str], timeout_s: float, dask_scheduler: Any
) -> dict[str, list[str]]:
    """Cancel the open ones of `keys` and all that needs them; returns who runs which of them.

    `on_the_way` are those of them that were sent and have not ended, known here by now or not.
    """
    await _until_known(dask_scheduler, on_the_way, timeout_s)
    targets = [key for key in keys if _is_open(dask_scheduler, key)]
    downstream = _downstream(dask_scheduler, targets)
    running: dict[str, list[str]] = {}
    for key in targets:
        worker = dask_scheduler.tasks[key].processing_on
        if worker is not None:
            running.setdefault(worker.address, []).append(key)
    # The scheduler insists that a client wants what is cancelled; upstream of a forgotten driver
    # none does.
    dask_scheduler.client_desires_keys([*downstream, *targets], _HOLDER)
    for group, reason in ((downstream, "upstream-cancelled"), (targets, "cancelled")):
        await _cancel_all(dask_scheduler, group, reason)
    return running


async def _cancel_all(scheduler: Any, keys: list[str], reason: str) -> None:
    # The scheduler's own cancel takes the square of the number of keys; so, a few at a time.
    for start in range(0, len(keys), _CANCEL_AT_ONCE):
        still = [key for key in keys[start : start + _CANCEL_AT_ONCE] if key in scheduler.tasks]
        if still:
            scheduler.stimulus_cancel(still, _HOLDER, force=True, reason=reason, msg="by huldra")
        await asyncio.sleep(0)


def _is_open(scheduler: Any, key: str) -> bool:
    task = scheduler.tasks.get(key)
    return task is not None and task.state not in ("memory", "erred", "forgotten")


def _downstream(scheduler: Any, keys: Iterable[str]) -> list[str]:
    """The open tasks that need any of these, the furthest first."""
    start = set(keys)
    found: dict[str, None] = {}
    stack = [scheduler.tasks[key] for key in start]
    while stack:
        for task in stack.pop().dependents:
            if task.key not in start and task.key not in found:
                found[task.key] = None
                stack.append(task)
    return [key for key in reversed(found) if _is_open(scheduler, key)]
