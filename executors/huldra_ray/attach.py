"""Jobs of other processes: found again by their ref, through the cluster's supervisor."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

from huldra.engines.kit import Executor, ForeignDriverExecutor, JobRef, JobStatus
from huldra.errors import HuldraExecutorError
from huldra_ray import NAME, runtime
from huldra_ray.executor import RayExecutor, _live

_lock = threading.Lock()


def connect_to_job(ref: JobRef) -> Executor:
    """The executor that sent it, when that is ours; else one on its cluster.

    Raises `HuldraExecutorError` when the cluster cannot be reached and may yet be alive.
    """
    address = str(ref.meta.get("address") or "")
    live = _live.get(address)
    if live is not None:
        return live
    if ref.meta.get("driver") is not None or not address:
        return ForeignDriverExecutor(NAME)
    if runtime.is_listening(address) is False:
        return _Gone(NAME)
    with _lock:
        return _live.get(address) or _attach(address)


def _attach(address: str) -> RayExecutor:
    ray = runtime.require()
    here = str(ray.get_runtime_context().gcs_address) if ray.is_initialized() else address
    if here != address:
        raise HuldraExecutorError(
            f"this process is connected to Ray at {here} and cannot query the cluster at {address}"
        )
    return RayExecutor(address)


class _Gone(ForeignDriverExecutor):
    """Stands for a cluster that is no more."""

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """All of them are lost."""
        return dict.fromkeys(refs, JobStatus.LOST)
