"""Fixtures of the local engine's own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from huldra_local import LocalExecutor
from tests.executors.local.stub import RUNNER, Orders


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    """Builds graphs for the stub runner."""
    return Orders(tmp_path)


@pytest.fixture
def make_pool() -> Iterator[Callable[..., LocalExecutor]]:
    """Makes pools of stub workers, and closes them."""
    pools = []

    def make(workers: int = 2, **options: Any) -> LocalExecutor:
        pools.append(LocalExecutor(workers, runner=RUNNER, **{"grace_s": 5.0, **options}))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


@pytest.fixture
def pool(make_pool: Callable[..., LocalExecutor]) -> LocalExecutor:
    """Two stub workers."""
    return make_pool()
