"""The conformance suite on the local engine, in each of its forms."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

import huldra
from huldra.errors import HuldraError
from huldra.testing import Driver, ExecutorSuite
from huldra.testing.suite import Scene
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


def test_what_a_closed_pool_had_queued_is_free_again(tmp_path: Path) -> None:
    """A pool that was closed holds nothing: another one makes what it left."""
    before = huldra.HULDRA_CONFIG.snapshot()
    scene = Scene(tmp_path, patience_s=30.0)
    huldra.set_huldra_root(scene.root)
    try:
        held = scene.step("held", "wait")
        queued = scene.step("queued", needs=[held])
        first = LocalExecutor(1, grace_s=5.0)
        job = queued.load_or_create(executor=first)
        scene.await_note("held")
        first.close()
        assert isinstance(scene.failure(job), HuldraError)
        scene.open("held")
        second = LocalExecutor(1)
        assert scene.outcome(queued.load_or_create(executor=second))["name"] == "queued"
        second.close()
    finally:
        scene.close()
        huldra.HULDRA_CONFIG.apply(before)
