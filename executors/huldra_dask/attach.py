"""Jobs of other processes: found again by their ref, through their scheduler."""

from __future__ import annotations

import threading

from huldra.engines.kit import Executor, ForeignDriverExecutor, JobRef, JobStatus, status_of_driver
from huldra_dask import NAME
from huldra_dask.executor import DaskExecutor, _live

_connected: dict[str, DaskExecutor] = {}
_lock = threading.Lock()


def connect_to_job(ref: JobRef) -> Executor:
    """The executor that sent it, when that is ours; else a client of its scheduler.

    Raises `HuldraExecutorError` when the scheduler cannot be reached and may yet be alive.
    """
    live = _live.get(str(ref.meta.get("scheduler_id")))
    if live is not None:
        return live
    address = str(ref.meta.get("scheduler") or "")
    is_lost = status_of_driver(ref.meta.get("driver")) is JobStatus.LOST
    if is_lost or not address or address.startswith("inproc"):
        return ForeignDriverExecutor(NAME)
    return _client_of(address)


def _client_of(address: str) -> DaskExecutor:
    with _lock:
        found = _connected.get(address)
        if found is None or found.is_closed:
            found = _connected[address] = DaskExecutor(address)
        return found
