"""All that an adapter may import of huldra, beside `huldra.worker`, its errors and its settings.

Behind each name stands the room that owns it; an adapter that keeps to this list goes on working
when a room is rebuilt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from huldra.engines import descendants
from huldra.engines.foreign_driver import ForeignDriverExecutor, driver_record, status_of_driver
from huldra.engines.memory import MemoryKills
from huldra.engines.output import output_files_of, print_file, printing_to, startup_log_path
from huldra.engines.protocol import (
    Capabilities,
    Executor,
    JobStatus,
    NamesJobs,
    OnSubmitted,
    RecoversJobs,
    Refusal,
    ReportsFailures,
    SubmittedNode,
    Task,
    TaskGraph,
    code_of,
    refuse_by_capabilities,
    run_folder,
)
from huldra.engines.release import ExitRelease, release_queued
from huldra.engines.resources import RESOURCE_KEYS, Resources, Retry
from huldra.engines.retry import Death, RetryPolicy, how_it_ended, memory_advice
from huldra.engines.sent_jobs import SentJobs
from huldra.logs.capture import get_logger
from huldra.provenance import sources
from huldra.store.artifact import StateManager
from huldra.store.files import make_directories, object_bytes, read_object, write_atomic
from huldra.store.job_ref import JobRef, task_name
from huldra.store.process import LOCAL, Owner, is_same_process, start_time, this_process
from huldra.store.records import AttemptStatus

if TYPE_CHECKING:
    from huldra.catalog.usage import History

__all__ = [
    "LOCAL",
    "RESOURCE_KEYS",
    "AttemptStatus",
    "Capabilities",
    "Death",
    "Executor",
    "ExitRelease",
    "ForeignDriverExecutor",
    "JobRef",
    "JobStatus",
    "MemoryKills",
    "NamesJobs",
    "OnSubmitted",
    "Owner",
    "RecoversJobs",
    "Refusal",
    "ReportsFailures",
    "Resources",
    "Retry",
    "RetryPolicy",
    "SentJobs",
    "StateManager",
    "SubmittedNode",
    "Task",
    "TaskGraph",
    "code_of",
    "descendants",
    "driver_record",
    "get_logger",
    "history",
    "how_it_ended",
    "is_same_process",
    "make_directories",
    "memory_advice",
    "object_bytes",
    "output_files_of",
    "print_file",
    "printing_to",
    "read_object",
    "refuse_by_capabilities",
    "release_queued",
    "run_folder",
    "sources",
    "start_time",
    "startup_log_path",
    "status_of_driver",
    "task_name",
    "this_process",
    "write_atomic",
]


def history(root: str, namespace: str) -> History | None:
    """Return what the artifacts of a class used that were made last; None without any."""
    from huldra.catalog import usage  # here: few adapters ask, and a catalog is much to import

    return usage.history(root, namespace)
