"""How a node's task ended, other than well: the one error that our tasks raise on Dask.

It crosses worker, scheduler and client, and is read in three ways: by the client as an object,
by the scheduler as the text of its `repr`, and by people.
"""

from __future__ import annotations

import re

from huldra.engines.kit import JobStatus
from huldra.errors import NodeFailed

_REPR = re.compile(r"NodeEnded\('(\w+)', '([^']*)'")
# Dask's own errors that say that a worker or the cluster failed, not the code that it ran.
_ENGINE_FAILED = ("KilledWorker", "NoValidWorkerError", "NoWorkerError", "WorkerStartTimeoutError")


class NodeEnded(NodeFailed):
    """A node's task did not end well: `status` is a `JobStatus` word, `name` the task's key."""

    def __init__(self, status: str, name: str, text: str) -> None:
        super().__init__(status, name, text)
        self.status = status
        self.name = name
        self.text = text

    def __str__(self) -> str:
        return f"{self.name} {self.status}: {self.text}"


def status_of_error(error: BaseException | None, name: str) -> JobStatus:
    """What an error that Dask reports for the task `name` means."""
    origin = getattr(error, "name", None) or getattr(error, "task", None) or name
    return status_of_text(repr(error), str(origin), name)


def status_of_text(text: str, origin: str, name: str) -> JobStatus:
    """The same from the error's `repr`; `origin` is the task that raised it."""
    found = _REPR.match(text)
    if (found.group(2) if found else origin) != name:
        return JobStatus.UPSTREAM_FAILED
    if found:
        return JobStatus(found.group(1))
    if text.startswith(_ENGINE_FAILED):
        return JobStatus.LOST
    return JobStatus.FAILED
