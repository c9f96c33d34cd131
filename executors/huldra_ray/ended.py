"""How a node's task ended, other than well: our own error, and what Ray's errors mean."""

from __future__ import annotations

import signal

from huldra.engines.kit import Death, JobStatus
from huldra.errors import NodeFailed

_LOST = frozenset(
    {
        "WorkerCrashedError",
        "LocalRayletDiedError",
        "NodeDiedError",
        "ObjectLostError",
        "ObjectFetchTimedOutError",
        "OwnerDiedError",
        "ReferenceCountingAssertionError",
        "ObjectReconstructionFailedError",
        "RaySystemError",
        "RuntimeEnvSetupError",
    }
)


class NodeEnded(NodeFailed):
    """A node's task did not end well: `status` is a `JobStatus` value, `name` the task's name."""

    def __init__(self, status: str, name: str, text: str) -> None:
        super().__init__(status, name, text)
        self.status = status
        self.name = name
        self.text = text

    def __str__(self) -> str:
        return f"{self.name} {self.status}: {self.text}"


class NeedsOtherWorker(NodeEnded):
    """A node's task came to a process that must not make it; the node is as it was."""


def why_other_worker(error: BaseException, name: str) -> str:
    """Why the node `name` has to go to another process; empty where its task ended otherwise."""
    cause = getattr(error, "cause", None)
    return cause.text if isinstance(cause, NeedsOtherWorker) and cause.name == name else ""


def status_of(error: BaseException, name: str) -> tuple[JobStatus, str]:
    """What the error of the task `name` means, and what it says.

    A worker's death reaches the task itself bare, and what needs that task wrapped as a task's
    error: that shows which it is.
    """
    wrapped = {cls.__name__ for cls in type(error).__mro__} & {"RayTaskError"}
    cause = getattr(error, "cause", None) if wrapped else None
    if isinstance(cause, NodeEnded):
        if cause.name != name:
            return JobStatus.UPSTREAM_FAILED, str(cause)
        return JobStatus(cause.status), cause.text
    if wrapped and _is_of_ray(cause):
        return JobStatus.UPSTREAM_FAILED, repr(cause)
    kind = type(error).__name__
    text = f"{kind}: {error}".strip()
    if kind == "TaskCancelledError":
        return JobStatus.CANCELLED, text
    if kind == "OutOfMemoryError":
        return JobStatus.OUT_OF_MEMORY, text
    if kind in _LOST:
        return JobStatus.LOST, text
    return JobStatus.FAILED, text


def death_of(error: BaseException, status: JobStatus, text: str) -> Death:
    """How a try ended that `status_of` calls a failure of the infrastructure.

    Ray does not report what ended a worker. Where its host lives, that is a kill most often.
    """
    is_kill = type(error).__name__ == "WorkerCrashedError"
    return Death(status, signal.SIGKILL if is_kill else 0, text)


def _is_of_ray(error: BaseException | None) -> bool:
    return error is not None and type(error).__module__.startswith("ray.")
