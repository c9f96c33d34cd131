"""What runs on a Dask worker: one node's task, and the order to stop some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from huldra.errors import NodeFailed
from huldra.executor import JobRef
from huldra_dask.children import CHILDREN, LOG_PREFIX, ChildDied
from huldra_dask.ended import NodeEnded


@dataclass(frozen=True, slots=True)
class NodeCall:
    """One node, as it travels to a worker: names and numbers, nothing of the user's."""

    ref: JobRef
    payload: str
    log_directory: str
    retries: int
    gpus: int = 0
    time_limit_s: float | None = None
    isolate: bool = True

    @property
    def name(self) -> str:
        """The task's key."""
        return self.ref.job_id


def run(call: NodeCall, *after: object) -> None:  # noqa: ARG001  `after` orders tasks, no more
    """Make one node, in a child process of this worker; a child that dies is replaced.

    Raises `NodeEnded` when the artifact was not made.
    """
    if call.isolate:
        _run_in_child(call)
    else:
        _run_here(call)


def stop(names: Sequence[str], status: str) -> list[str]:
    """Stop those of these nodes that run in children of this process; returns their names."""
    return CHILDREN.stop(names, status)


def _run_in_child(call: NodeCall) -> None:
    for _ in range(call.retries + 1):
        child = CHILDREN.take(call.name, call.gpus, call.log_directory)
        alive = False
        try:
            problem = child.ask(call.payload, call.ref, call.log_directory, call.time_limit_s)
            alive = True
        except ChildDied as death:
            if child.stopped_as:
                raise NodeEnded(child.stopped_as, call.name, "stopped on request") from None
            code = death.args[0]
        else:
            if problem is None:
                return
            raise NodeEnded("failed", call.name, problem)
        finally:
            CHILDREN.give_back(call.name, child, alive)
    reason = f"its process died {call.retries + 1} times, the last time with exit code {code}"
    raise NodeEnded("lost", call.name, f"{reason}; see {LOG_PREFIX}*.log in {call.log_directory}")


def _run_here(call: NodeCall) -> None:
    from huldra.worker import run_node

    try:
        run_node(call.payload, job=call.ref)
    except NodeFailed as error:
        raise NodeEnded("failed", call.name, str(error)) from None
    except SystemExit as error:  # Dask would take it as an order to end the worker
        raise NodeEnded("failed", call.name, f"SystemExit({error.code!r})") from None
