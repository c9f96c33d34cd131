"""Reaching a Ray runtime: the one that this process has, a cluster's, or one of our own."""

from __future__ import annotations

import importlib.metadata
import socket
from dataclasses import dataclass
from typing import Any

from huldra.errors import HuldraExecutorError

OLDEST = (2, 50)
INSTALL = "pip install 'ray>=2.50'"
_PROBE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Runtime:
    """A runtime: where its head listens, whether we started it, whether it ends with us."""

    address: str
    is_ours: bool
    ends_with_us: bool


def require() -> Any:
    """Import `ray`, or say in one line what to install."""
    try:
        import ray
    except ImportError as error:
        raise ImportError(f"executor 'ray' needs Ray: {INSTALL}") from error
    found = importlib.metadata.version("ray")
    if tuple(int(part) for part in found.split(".")[:2] if part.isdigit()) < OLDEST:
        raise ImportError(f"executor 'ray': ray {found} is too old: {INSTALL}")
    return ray


def reach(address: str | None, cpus: int | None = None, **options: Any) -> Runtime:
    """Connect to `address`, else use the runtime that is there, else start one of `cpus`."""
    ray = require()
    if ray.is_initialized():
        return _present(ray, is_ours=False)
    quiet: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": "ERROR",
        "configure_logging": False,
    }
    if address is None:
        quiet |= {"include_dashboard": False, "num_cpus": cpus}
        # Ray would listen on this host's address on the network; nobody there has business here.
        quiet |= {"_node_ip_address": "127.0.0.1"}
    else:
        quiet |= {"address": address}
    try:
        ray.init(**{**quiet, **options})
    except Exception as error:  # a node that did not come up is a bare Exception in Ray
        where = f"at {address}" if address else "of our own"
        reason = f"{error}; {_root(error)}".rstrip("; ")
        raise HuldraExecutorError(f"wanted a Ray runtime {where}, found none: {reason}") from error
    return _present(ray, is_ours=True)


def _root(error: BaseException) -> str:
    """The last line of what is behind an error: Ray says "failed to connect" for a wrong token."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return str(cause).strip().rpartition("\n")[2] if cause is not error else ""


def address_of(spec: str) -> tuple[str | None, int | None]:
    """What a name means: an address of Ray's, and how many cpus a runtime of our own has."""
    _, _, rest = spec.partition(":")
    if not rest:
        return None, None
    if rest.isdigit():
        return None, int(rest)
    if rest.startswith("//"):
        return f"ray:{rest}", None
    return rest, None


def is_listening(address: str) -> bool | None:
    """Whether somebody listens at `host:port`; None when it cannot be told from here."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_PROBE_TIMEOUT_S).close()
    except ConnectionRefusedError:
        return False
    except (OSError, ValueError):
        return None
    return True


def _present(ray: Any, *, is_ours: bool) -> Runtime:
    address = str(ray.get_runtime_context().gcs_address)
    return Runtime(address, is_ours, _ends_with_us())


def _ends_with_us() -> bool:
    """Whether this process started the head: only then does the runtime end with it."""
    from ray._private import worker

    # No public call tells; a driver of a cluster has no node of its own, or one that is no head.
    node = getattr(worker, "_global_node", None)
    return bool(node is not None and node.is_head())
