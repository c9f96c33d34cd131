"""Ray nodes on other hosts than the driver and the head."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

import pytest

from huldra_ray import RayExecutor, runtime
from huldra_ray.supervisor_start import NAMESPACE, SUPERVISOR
from tests.executors import hosts
from tests.executors.ray import clusters
from tests.support import children

pytestmark = [
    pytest.mark.ray,
    pytest.mark.faults,
    pytest.mark.xdist_group("ray"),
    pytest.mark.timeout(300),
]

# That a node is gone is known after a second or two, and not after fifteen.
_SOON = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "3",
    # That a worker says nothing any more, although its connection stays: after seven minutes.
    "RAY_grpc_client_keepalive_time_ms": "2000",
    "RAY_grpc_client_keepalive_timeout_ms": "8000",
}


class RaySite(hosts.Site):
    """A head beside the driver, which takes no nodes, and a raylet on each host."""

    def __init__(self, cluster: clusters.Outside) -> None:
        # The hosts come before the executor, whose supervisor might else have nowhere to go but
        # the head: it has to be there also where it could be on the host that a test loses.
        super().__init__(cluster.nodes)
        self._cluster = cluster
        runtime.require().init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        self.complete(children.until)
        self.executor = RayExecutor()

    def close(self) -> None:
        """Leave the cluster, and end the actor that would keep its head for twenty seconds."""
        self.executor.close()
        ray = runtime.require()
        with contextlib.suppress(ValueError):  # there is none
            ray.kill(ray.get_actor(SUPERVISOR, namespace=NAMESPACE))
        ray.shutdown()

    def start(self, name: str) -> subprocess.Popen[bytes]:
        return self._cluster.add_node(name, cpus=1, prefix=hosts.prefix_of(name))

    def present(self) -> set[str]:
        nodes = runtime.require().nodes()
        return {node["NodeManagerHostname"] for node in nodes if node["Alive"]}


class TestHosts(hosts.HostsSuite):
    """Each host has a raylet, workers, a folder and an object store of its own."""

    patience_s = 90.0

    @pytest.fixture(scope="class")
    @classmethod
    def site(cls) -> Iterator[RaySite]:
        hosts.require_other_hosts()
        with (
            clusters.outside(cpus=0, **_SOON) as cluster,
            contextlib.closing(RaySite(cluster)) as site,
        ):
            yield site
