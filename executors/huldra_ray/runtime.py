"""Reaching a Ray runtime: the one that this process has, a cluster's, or one of our own."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from huldra.errors import HuldraExecutorError

OLDEST = (2, 50)
INSTALL = "pip install 'ray>=2.50'"
_LOOPBACK = "127.0.0.1"
_PROBE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Runtime:
    """A runtime: where its head listens, whether we started it, whether it ends with us.

    `contact` is the address by which this process came to it, which differs for `ray://`.
    """

    address: str
    contact: str
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
    """Use the runtime that this process has, else connect to `address`, else start one of `cpus`.

    A runtime of our own listens on the loopback alone.
    """
    ray = require()
    if ray.is_initialized():
        return _present(ray, is_ours=False)
    quiet: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": "ERROR",
        "configure_logging": False,
    }
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address is None:
        # "local", since Ray would join any cluster that was started on this machine.
        quiet |= {"address": "local", "include_dashboard": False, "num_cpus": cpus}
    else:
        quiet |= {"address": address}
    try:
        with contextlib.nullcontext() if address else _on_loopback():
            ray.init(**{**quiet, **options})
    except Exception as error:  # a node that did not come up is a bare Exception in Ray
        where = f"at {address}" if address else "of our own"
        reason = f"{error}; {_root(error)}".rstrip("; ")
        raise HuldraExecutorError(f"wanted a Ray runtime {where}, found none: {reason}") from error
    if address is None and "_node_ip_address" not in options:
        _refuse_other_interfaces(ray)
    return _present(ray, is_ours=True, contact=address)


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """While entered, a head that starts here takes the loopback for this host's address.

    Ray listens where the address of its node is, and replaces a loopback one that it is given by
    an address on the network, unless it believes that this machine can have no cluster.
    """
    from ray._private import ray_constants

    before = getattr(ray_constants, "ENABLE_RAY_CLUSTER", True)
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _refuse_other_interfaces(ray: Any) -> None:
    """End a runtime of our own that the network can reach: who reaches it runs code here."""
    addresses = {str(node["NodeManagerAddress"]) for node in ray.nodes()}
    if addresses <= {_LOOPBACK}:
        return
    ray.shutdown()
    raise HuldraExecutorError(
        f"wanted a Ray runtime of our own on {_LOOPBACK}, found it on {', '.join(addresses)}: Ray"
        f" {importlib.metadata.version('ray')} does not keep to the loopback. Install another"
        " version, or start Ray yourself (`ray.init()`) if others may reach it, and say"
        " executor=ray"
    )


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
    """Return True if a process listens at `host:port`; None where this host cannot know."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_PROBE_TIMEOUT_S).close()
    except ConnectionRefusedError:
        return False
    except (OSError, ValueError):
        return None
    return True


def _present(ray: Any, *, is_ours: bool, contact: str | None = None) -> Runtime:
    address = str(ray.get_runtime_context().gcs_address)
    return Runtime(address, contact or _client_address() or address, is_ours, _ends_with_us())


def _client_address() -> str | None:
    """The address of the server that this process speaks to, where it is a Ray Client."""
    from ray.util import client

    api: Any = client.ray
    # No public call returns it.
    return f"ray://{api.worker._conn_str}" if api.is_connected() else None  # noqa: SLF001


def _ends_with_us() -> bool:
    """Return True if this process started the head: only then does the runtime end with it."""
    from ray._private import worker

    # No public call returns it. A driver of a cluster has no node of its own, or one that is no
    # head.
    node = getattr(worker, "_global_node", None)
    return bool(node is not None and node.is_head())
