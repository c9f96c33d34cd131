"""The conformance suite on the local engine, in each of its forms."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections.abc import Iterator

import pytest

from huldra.testing import Driver, ExecutorSuite
from huldra_local import LocalExecutor


class TestPool(ExecutorSuite):
    """Worker processes."""

    @pytest.fixture
    def executor(self) -> Iterator[LocalExecutor]:
        executor = LocalExecutor(2, grace_s=5.0)
        yield executor
        executor.close()

    @pytest.fixture
    def driver(self) -> Driver:
        return Driver(executor="local:2")


class TestThreads(ExecutorSuite):
    """Threads of this process."""

    @pytest.fixture
    def executor(self) -> Iterator[concurrent.futures.Executor]:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            yield pool

    @pytest.fixture
    def driver(self) -> Driver:
        return Driver(executor="threads:2")


class TestInline(ExecutorSuite):
    """Inside `submit`."""

    runs_in_submit = True

    @pytest.fixture
    def executor(self) -> str:
        return "inline"


class TestProcessPool(ExecutorSuite):
    """A `ProcessPoolExecutor` of the user's: the documented subset."""

    sweep_size = 40

    @pytest.fixture
    def executor(self) -> Iterator[concurrent.futures.Executor]:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            yield pool
