"""The conformance suite on Ray: a runtime of our own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from huldra.testing import Driver, ExecutorSuite
from huldra_ray import RayExecutor

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]


@pytest.fixture(scope="module")
def own() -> Iterator[RayExecutor]:
    """One runtime for all tests of the module: it takes ten seconds to start."""
    executor = RayExecutor(cpus=3)
    yield executor
    executor.close()


class TestOwnRuntime(ExecutorSuite):
    """What `executor="ray"` starts."""

    @pytest.fixture
    def executor(self, own: RayExecutor) -> RayExecutor:
        return own

    @pytest.fixture
    def driver(self) -> Driver:
        return Driver(executor="ray:3")
