"""The conformance suite on a Ray cluster outside of the driver, which jobs outlive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from huldra.testing import Driver, ExecutorSuite
from huldra_ray import RayExecutor
from tests.executors.ray import clusters

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Outside]:
    """One cluster for all tests of the module."""
    with clusters.outside(cpus=3) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def attached(cluster: clusters.Outside) -> Iterator[RayExecutor]:
    """The driver's executor on that cluster."""
    executor = RayExecutor(cluster.address)
    yield executor
    executor.close()


class TestOutsideCluster(ExecutorSuite):
    """A head in a process of its own, started in another folder and without our import path."""

    patience_s = 90.0

    @pytest.fixture
    def executor(self, attached: RayExecutor) -> RayExecutor:
        return attached

    @pytest.fixture
    def driver(self, cluster: clusters.Outside) -> Driver:
        return Driver(executor=f"ray:{cluster.address}")
