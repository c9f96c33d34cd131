"""The conformance suite on a real Slurm."""

from __future__ import annotations

import pytest

from huldra.testing import Driver, ExecutorSuite
from tests.executors.slurm.cluster import Cluster


@pytest.mark.slow
@pytest.mark.timeout(400)
class TestSlurm(ExecutorSuite):
    """By name, on a cluster with accounting."""

    patience_s = 180.0
    sweep_size = 12

    @pytest.fixture
    def executor(self, cluster: Cluster) -> str:
        return "slurm"

    @pytest.fixture
    def driver(self, cluster: Cluster) -> Driver:
        return Driver(executor="slurm", environ={"SLURM_CONF": str(cluster.conf)})
