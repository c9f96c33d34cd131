"""The conformance suite through Ray Client, from a driver that is no part of the cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from huldra.errors import HuldraExecutorError
from huldra.testing import ExecutorSuite
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
    """The driver's executor, by its `ray://` address."""
    executor = connect(cluster.client_address)
    yield executor
    executor.close()


def connect(address: str) -> RayExecutor:
    """Connect; a server that Ray starts for each client does not always come up in Ray's time."""
    for _ in range(3):
        try:
            return RayExecutor(address)
        except HuldraExecutorError as error:
            if "Starting Ray client server failed" not in str(error):
                raise
    return RayExecutor(address)


class TestThroughRayClient(ExecutorSuite):
    """The supervisor works in the cluster, and this process only speaks to it."""

    patience_s = 90.0

    @pytest.fixture
    def executor(self, attached: RayExecutor) -> RayExecutor:
        return attached
