"""The conformance suite on Dask: a cluster of our own, and one outside of the driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import huldra
from huldra.testing import Driver, ExecutorSuite
from huldra.testing.pipelines import Step
from huldra_dask import DaskExecutor
from tests.executors.dask import clusters

pytestmark = pytest.mark.dask


@pytest.fixture(scope="module")
def own() -> Iterator[DaskExecutor]:
    """One cluster of our own for all tests of the module."""
    executor = DaskExecutor(workers=3)
    yield executor
    executor.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[clusters.Outside]:
    """One cluster in processes of its own for all tests of the module."""
    folder: Path = tmp_path_factory.mktemp("dask")
    with clusters.outside(folder) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def attached(cluster: clusters.Outside) -> Iterator[DaskExecutor]:
    """The driver's executor on that cluster."""
    executor = DaskExecutor(cluster.address)
    yield executor
    executor.close()


class TestOwnCluster(ExecutorSuite):
    """What `executor="dask"` starts: scheduler and worker threads inside the driver."""

    @pytest.fixture
    def executor(self, own: DaskExecutor) -> DaskExecutor:
        return own

    @pytest.fixture
    def driver(self) -> Driver:
        return Driver(executor="dask:3")


class TestOutsideCluster(ExecutorSuite):
    """A scheduler and two workers with nannies, in processes of their own."""

    @pytest.fixture
    def executor(self, attached: DaskExecutor) -> DaskExecutor:
        return attached

    @pytest.fixture
    def driver(self, cluster: clusters.Outside) -> Driver:
        return Driver(executor=cluster.name)


def test_what_shares_a_need_is_spread_over_the_workers(
    attached: DaskExecutor, huldra_root: Path
) -> None:
    """A free worker is given nodes, whoever made what they need: what moves is a token."""
    source = Step(name="source")
    sweep = huldra.load_or_create(
        [Step(name=str(number), needs=(source,)) for number in range(16)], executor=attached
    )
    assert len({result["pid"] for result in sweep.results(timeout=60).values()}) == 2
