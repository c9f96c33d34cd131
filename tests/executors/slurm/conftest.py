"""The clusters that the tests run on, started once a session and only where they can be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import huldra
from tests.executors.slurm import cluster as clusters
from tests.executors.slurm.cluster import Cluster, Options
from tests.executors.slurm.stage import Stage
from tests.support import parts


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here; with `--dist loadgroup` it stays on one worker, on one cluster."""
    for item in items:
        if item.path.is_relative_to(clusters.HERE):
            item.add_marker(pytest.mark.slurm)
            item.add_marker(pytest.mark.xdist_group("slurm"))


def _started(options: Options) -> Iterator[Cluster]:
    if reason := clusters.why_not():
        parts.give_up("slurm", reason)
    with Cluster(options) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def full_cluster() -> Iterator[Cluster]:
    """A Slurm with accounting."""
    yield from _started(Options())


@pytest.fixture(scope="session")
def bare_cluster() -> Iterator[Cluster]:
    """A Slurm without accounting, with arrays of at most 50 elements."""
    yield from _started(Options(accounting=False, max_array_size=50))


def _entered(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    yield cluster
    cluster.cancel_all()


@pytest.fixture
def cluster(full_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster with accounting, for one test; it leaves no jobs behind."""
    yield from _entered(full_cluster, monkeypatch)


@pytest.fixture
def small_cluster(bare_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster without accounting, for one test; it leaves no jobs behind."""
    yield from _entered(bare_cluster, monkeypatch)


def _staged(folder: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(folder, cluster)
    monkeypatch.setenv("PATH", stage.count_commands())
    before = huldra.HULDRA_CONFIG.snapshot()
    huldra.set_huldra_root(stage.root)
    huldra.HULDRA_CONFIG.update(poll_interval=0.5, preempt_max=2)
    yield stage
    stage.close()
    huldra.HULDRA_CONFIG.apply(before)


@pytest.fixture
def stage(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A store on the cluster with accounting."""
    yield from _staged(tmp_path, cluster, monkeypatch)


@pytest.fixture
def small_stage(
    small_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    """A store on the cluster without accounting."""
    yield from _staged(tmp_path, small_cluster, monkeypatch)
