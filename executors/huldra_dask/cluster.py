"""Reaching a cluster: one of our own in this process, or a client of one that is there."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
from dataclasses import dataclass
from typing import Any

from huldra.errors import HuldraExecutorError

OLDEST = (2025, 1)
CONNECT_TIMEOUT_S = 15.0
_PROBE_TIMEOUT_S = 2.0
_ANY_PORT_HERE = "127.0.0.1:0"
INSTALL = "pip install 'distributed>=2025.1'"


@dataclass(frozen=True)
class Reached:
    """A client, and what of it is ours to close; `owned` clusters end with this process."""

    client: Any
    ours: tuple[Any, ...] = ()
    owned: bool = False


def require() -> Any:
    """Import `distributed`, or say in one line what to install."""
    try:
        import distributed
    except ImportError as error:
        raise ImportError(f"executor 'dask' needs Dask: {INSTALL}") from error
    found = importlib.metadata.version("distributed")
    version = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if version < OLDEST:
        raise ImportError(f"executor 'dask': distributed {found} is too old: {INSTALL}")
    return distributed


def start_own(workers: int | None = None, **options: Any) -> Reached:
    """A scheduler and a worker inside this process; nodes run in children of it.

    Up in a twentieth of a second and without the main guard that Dask's processes need.
    """
    import dask.config

    distributed = require()
    threads = workers or _cpu_count()
    settings = {
        # Both measure every task, for a screen that is not shown.
        "distributed.worker.profile.enabled": False,
        "distributed.scheduler.active-memory-manager.start": False,
        # There is one worker: what is held back from it could go nowhere else.
        "distributed.scheduler.worker-saturation": float("inf"),
        # This process may hold the GIL for as long as its user likes.
        "distributed.scheduler.worker-ttl": None,
    }
    with dask.config.set(settings):
        cluster = distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=threads,
            processes=False,
            # Dask has an HTTP server in each part, dashboard or not: no more than this host's.
            dashboard_address=_ANY_PORT_HERE,
            worker_dashboard_address=_ANY_PORT_HERE,
            # The limit would count this process's memory and not that of the nodes.
            memory_limit=None,
            resources={"CPU": threads, "MEMORY": _memory_bytes(), **options.pop("resources", {})},
            **options,
        )
        client = distributed.Client(cluster, set_as_default=False)
    return Reached(client, (client, cluster), owned=True)


def connect_to(address: str, timeout_s: float = CONNECT_TIMEOUT_S) -> Reached:
    """A client of the scheduler at `address` (`tcp://host:port`)."""
    distributed = require()
    try:
        client = distributed.Client(address, set_as_default=False, timeout=timeout_s)
    except (OSError, TimeoutError) as error:
        raise HuldraExecutorError(
            f"no Dask scheduler answered at {address} within {timeout_s:g} s: {error}"
        ) from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise HuldraExecutorError(
            f"cannot connect to the Dask scheduler at {address} from this process:"
            f" {error}{_what_tls_needs(address)}"
        ) from error
    return Reached(client, (client,))


def _what_tls_needs(address: str) -> str:
    """What to do about a connection with TLS: its keys do not travel with a job's address."""
    if not address.startswith("tls:"):
        return ""
    return (
        "; set distributed.comm.tls.ca-file and distributed.comm.tls.client.cert and .key in Dask's"
        " configuration (or DASK_DISTRIBUTED__COMM__TLS__CA_FILE and its like in the environment),"
        " or pass executor=distributed.Client(address, security=…)"
    )


async def is_refused(address: str) -> bool:
    """Return True if no process listens at a scheduler's address, as far as can be seen."""
    from distributed.comm.addressing import parse_host_port

    try:
        host, port = parse_host_port(address)
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        return False
    return False


def reach(target: Any) -> Reached:
    """A client of what the user gave: a client, a cluster or an address."""
    distributed = require()
    if isinstance(target, str):
        return connect_to(target)
    if isinstance(target, distributed.Client):
        if target.asynchronous:
            raise HuldraExecutorError(
                "expected a synchronous Dask client, found an asynchronous one; create it with"
                " Client(address), without asynchronous=True"
            )
        if target.scheduler is None or str(target.status) in ("closed", "closing"):
            raise HuldraExecutorError(
                f"expected a connected Dask client, found {target!r}, which is closed; create a"
                " new one with Client(address), or pass the address itself"
            )
        return Reached(target)
    client = distributed.Client(target, set_as_default=False)
    return Reached(client, (client,))


def _cpu_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_bytes() -> float:
    from distributed.system import MEMORY_LIMIT

    return float(MEMORY_LIMIT)
