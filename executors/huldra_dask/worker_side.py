"""What runs on a Dask worker: one node's task, and the order to stop some."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from huldra.engines.kit import Death, Resources, RetryPolicy, code_of, run_folder
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
    time_limit_s: float | None = None


async def run_in_child(call: NodeCall, *after: object) -> None:  # noqa: ARG001  `after` orders tasks
    """Make one node, in a child process of this worker; a child that dies is replaced.

    Raises `NodeEnded` when the artifact was not made.
    """
    log_directory = run_folder(call.payload)
    code = code_of(call.payload)
    deaths: list[Death] = []
    while not (why_not := _why_not(call, deaths)):
        child = await CHILDREN.take(call.name, call.gpus, log_directory, code)
        alive = False
        try:
            problem = await child.ask(call.payload, log_directory, call.time_limit_s)
            alive = True
        except ChildDied as death:
            if child.stopped_as:
                raise NodeEnded(child.stopped_as, call.name, "stopped on request") from None
            deaths.append(CHILDREN.death_of(death.args[0]))
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


def _why_not(call: NodeCall, deaths: Sequence[Death]) -> str:
    """Say why a node whose processes died like this does not get another one; "" where it does."""
    if not deaths:
        return ""
    return RetryPolicy(call.retries).why_not(deaths, Resources(memory_gb=call.memory_gb))


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
