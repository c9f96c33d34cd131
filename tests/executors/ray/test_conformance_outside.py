"""The conformance suite on a Ray cluster outside of the driver, which jobs outlive."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from huldra.errors import HuldraExecutorError
from huldra.testing import Driver, ExecutorSuite
from huldra_ray import RayExecutor
from tests.executors.ray import clusters
from tests.support import children

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Outside]:
    """One cluster for all tests of the module."""
    with clusters.outside(cpus=3) as cluster:
        yield cluster


class TestOutsideCluster(ExecutorSuite):
    """A head in a process of its own, started in another folder and without our import path."""

    patience_s = 180.0  # each driver has worker processes of its own, which take seconds to start

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls, cluster: clusters.Outside) -> Iterator[RayExecutor]:
        with contextlib.closing(RayExecutor(cluster.address)) as executor:
            yield executor

    @pytest.fixture
    def driver(self, cluster: clusters.Outside) -> Driver:
        return Driver(executor=f"ray:{cluster.address}")


class TestThroughRayClient(ExecutorSuite):
    """The same cluster by its `ray://` address: this process only speaks to it."""

    patience_s = 90.0

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls, cluster: clusters.Outside) -> Iterator[RayExecutor]:
        with contextlib.closing(connect(cluster.client_address)) as executor:
            yield executor


_NOT_UP_IN_TIME = ("Starting Ray client server failed", "has already been cleaned up")


def connect(address: str) -> RayExecutor:
    """Connect; a server that Ray starts for each client does not always come up in Ray's time."""
    for _ in range(4):
        try:
            return RayExecutor(address)
        except HuldraExecutorError as error:
            if not any(sign in str(error) for sign in _NOT_UP_IN_TIME):
                raise
    return RayExecutor(address)


_GOES_FROM_ONE_TO_THE_NEXT = """
import ray
from huldra.testing.pipelines import Step
from huldra_ray import RayExecutor
from tests.executors.ray.test_conformance_outside import connect

for number in range(3):
    if number == 0:
        executor = RayExecutor(cpus=1)
    elif number == 1:
        executor = RayExecutor({address!r})
    else:
        executor = connect({client_address!r})
    Step(name=str(number)).load_or_create(executor=executor).result(timeout=60)
    {end}()
print("alive")
"""


@pytest.mark.parametrize("end", ["executor.close", "ray.shutdown"])
def test_a_driver_that_leaves_a_runtime_lives(
    cluster: clusters.Outside, huldra_root: Path, end: str
) -> None:
    """Whoever shuts Ray down, no thread of ours is left in there to bring the process down."""
    where = {"address": cluster.address, "client_address": cluster.client_address}
    program = _GOES_FROM_ONE_TO_THE_NEXT.format(**where, end=end)
    ended = children.run(program, huldra_root, timeout_s=200)
    assert (ended.returncode, ended.stdout.split()) == (0, ["alive"]), ended.stderr


_LEAVES_A_JOB_BEHIND = """
from huldra.testing.pipelines import Step
from huldra_ray import RayExecutor

folder = {notes!r}
executor = RayExecutor({address!r})
job = Step(name="waits", does="wait", notes=folder).load_or_create(executor=executor)
executor.close()
print(executor.status([job.ref])[job.ref].value)
again = Step(name="waits", does="wait", notes=folder)
other = again.load_or_create(executor=RayExecutor({address!r}))
print(other.job_id == job.job_id)
other.cancel()
"""


def test_a_driver_that_only_leaves_calls_no_job_lost(
    cluster: clusters.Outside, huldra_root: Path, tmp_path: Path
) -> None:
    """A closed executor does not know of jobs that outlive it, and a new one finds them."""
    program = _LEAVES_A_JOB_BEHIND.format(notes=str(tmp_path), address=cluster.address)
    ended = children.run(program, huldra_root)
    assert ended.stdout.split() == ["unknown", "True"], ended.stderr
