"""What runs on a Dask worker: one node's task, and the order to stop some."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from huldra.engines.kit import (
    Death,
    JobStatus,
    Resources,
    Retry,
    RetryPolicy,
    code_of,
    run_folder,
)
from huldra.errors import NodeFailed
from huldra_dask import NAME
from huldra_dask.children import CHILDREN, ChildDied
from huldra_dask.ended import NodeEnded


@dataclass(frozen=True)
class NodeCall:
    """One node, as it travels to a worker: names and numbers, nothing of the user's.

    No tuple or dict: Dask would look for keys of its tasks in there, and find the task's own.
    """

    name: str  # the task's key
    payload: str
    retries: int
    gpus: int = 0
    memory_gb: float | None = None
    time_min: float | None = None
    retry: Retry | None = None

    def declared(self) -> Resources:
        """What its first try requests of memory and time."""
        return Resources(memory_gb=self.memory_gb, time_min=self.time_min, retry=self.retry)


async def run_in_child(call: NodeCall, *after: object) -> None:  # noqa: ARG001  `after` orders tasks
    """Make one node, in a child process of this worker; a child that dies is replaced.

    Raises `NodeEnded` when the artifact was not made.
    """
    log_directory = run_folder(call.payload)
    code = code_of(call.payload)
    policy, deaths, why_not = RetryPolicy(call.retries), list[Death](), ""
    while not why_not:
        limit_min = policy.request(deaths, call.declared()).time_min
        child = await CHILDREN.take(call.name, call.gpus, log_directory, code)
        alive = False
        try:
            limit_s = limit_min * 60 if limit_min else None
            problem = await child.ask(call.payload, log_directory, limit_s)
            alive = True
        except ChildDied as death:
            if child.stopped_as == JobStatus.TIMED_OUT:
                text = f"it reached its time limit of {limit_min:g} minutes"
                deaths.append(Death(JobStatus.TIMED_OUT, text=text))
            elif child.stopped_as:
                raise NodeEnded(child.stopped_as, call.name, "stopped on request") from None
            else:
                deaths.append(CHILDREN.death_of(child, death.args[0]))
            why_not = policy.why_not(deaths, call.declared())
        except asyncio.CancelledError:  # the worker closes, and does not wait for what runs
            child.dismiss()
            raise
        else:
            if problem is None:
                return
            raise NodeEnded("failed", call.name, problem)
        finally:
            CHILDREN.give_back(call.name, child, alive=alive)
    text = f"{why_not}; see {NAME}-*.log in {log_directory}"
    raise NodeEnded(deaths[-1].status.value, call.name, text)


def run_here(call: NodeCall, *after: object) -> None:  # noqa: ARG001  `after` orders tasks
    """Make one node in a thread of this worker.

    Raises `NodeEnded` when the artifact was not made.
    """
    from huldra.worker.node import run_node

    try:
        run_node(call.payload)
    except NodeFailed as error:
        raise NodeEnded("failed", call.name, str(error)) from None
    except SystemExit as error:  # Dask would take it as an order to end the worker
        raise NodeEnded("failed", call.name, f"SystemExit({error.code!r})") from None


def stop(names: Sequence[str], status: str) -> list[str]:
    """Stop those of these nodes that run in children of this process; returns their names."""
    return CHILDREN.stop(names, status)
