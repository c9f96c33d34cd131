"""A driver's side of the supervisor: found where there is one, started by who sends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from huldra.errors import HuldraExecutorError
from huldra_ray import supervisor_client
from huldra_ray.supervisor_client import SupervisorProxy

pytestmark = pytest.mark.ray


class Cluster:
    """Stands for Ray in a driver of a cluster, which has a supervisor once that was started."""

    is_started = False
    sent: tuple[Any, ...] = ()

    def get_actor(self, name: str, namespace: str) -> Any:
        if not self.is_started:
            raise ValueError(f"no actor {name} in {namespace}")
        return SimpleNamespace(submit=SimpleNamespace(remote=self._submit))

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address="192.0.2.7:6379")

    def is_initialized(self) -> bool:
        return True

    def get(self, answer: Any, timeout: float) -> Any:
        return answer

    def start(self, contact: str) -> None:
        assert contact == "ray://host:10001"
        self.is_started = True

    def _submit(self, *words: Any) -> None:
        self.sent = words


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr(supervisor_client, "_start_supervisor", cluster.start)
    return cluster


def test_to_ask_starts_nothing(cluster: Cluster) -> None:
    """Jobs of a cluster without a supervisor are not known there, and cannot be cancelled."""
    proxy = SupervisorProxy(cluster, "ray://host:10001")
    assert proxy.status(["n"]) == {}
    proxy.cancel(["n"])
    assert proxy.news(-1, 0.0) == (0, [])
    assert not cluster.is_started


def test_who_sends_starts_it(cluster: Cluster) -> None:
    """By the address that this process came by, which may be a Ray Client's."""
    SupervisorProxy(cluster, "ray://host:10001").submit([], {"digest": "d"})
    assert cluster.is_started
    assert cluster.sent == ([], {"digest": "d"})


def test_who_waits_for_news_ends_with_the_driver(cluster: Cluster) -> None:
    """Also while there is no supervisor to ask."""
    proxy = SupervisorProxy(cluster, "ray://host:10001")
    proxy.close()
    with pytest.raises(HuldraExecutorError, match="shut down"):
        proxy.news(0, 60.0)
