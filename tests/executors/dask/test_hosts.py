"""Dask workers on other hosts than the driver and the scheduler."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

import pytest

from huldra_dask import DaskExecutor
from tests.executors import hosts
from tests.executors.dask import clusters

pytestmark = [
    pytest.mark.dask,
    pytest.mark.faults,
    pytest.mark.xdist_group("dask-hosts"),
    pytest.mark.timeout(180),
]

# That a worker says nothing any more is known after some seconds, and not after five minutes.
_SOON = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "6s"}


class DaskSite(hosts.Site):
    """A scheduler beside the driver, and a worker with its nanny on each host."""

    def __init__(self, cluster: clusters.Outside, executor: DaskExecutor) -> None:
        super().__init__(cluster.workers)
        self.executor = executor
        self._cluster = cluster
        self._client = executor.client

    def start(self, name: str) -> subprocess.Popen[bytes]:
        return self._cluster.add_worker("--name", name, prefix=hosts.prefix_of(name))

    def present(self) -> set[str]:
        workers = self._client.scheduler_info()["workers"]
        return {worker["name"] for worker in workers.values()}


class TestHosts(hosts.HostsSuite):
    """Only the scheduler's address is shared, and the disk."""

    patience_s = 90.0  # the scheduler tries for thirty seconds to restart a silent worker

    @pytest.fixture(scope="class")
    @classmethod
    def site(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskSite]:
        hosts.require_other_hosts()
        folder = tmp_path_factory.mktemp("dask")
        with (
            clusters.outside(folder, workers=0, **_SOON) as cluster,
            contextlib.closing(DaskExecutor(cluster.address)) as executor,
        ):
            yield DaskSite(cluster, executor)
