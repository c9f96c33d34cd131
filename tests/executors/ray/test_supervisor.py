"""What a supervisor does with the ends of tasks, played by a stand-in for Ray's."""

from __future__ import annotations

import json
from concurrent.futures import Future
from typing import Any

import pytest

from huldra.engines.resources import Resources, Retry
from huldra_ray.ended import NeedsOtherWorker, NodeEnded
from huldra_ray.resources import GIB, growing
from huldra_ray.runtime_envs import DRIVER_VARIABLE
from huldra_ray.supervisor import Supervisor
from tests.support.children import until

pytestmark = pytest.mark.ray
SITE = {"digest": "d", "path": [], "interpreter": [], "prefix": "/"}


class Sent:
    """One task as it was sent: where to, with what; the test says how it ends."""

    def __init__(self, options: dict[str, Any], arguments: tuple[Any, ...]) -> None:
        self.workers = options.get("runtime_env", {}).get("env_vars", {}).get(DRIVER_VARIABLE)
        self.options = options
        self.call, self.can_renew = arguments[:2]
        self._end: Future[None] = Future()

    def future(self) -> Future[None]:
        return self._end

    def end(self, error: Exception | None = None) -> None:
        from ray.exceptions import RayTaskError

        if error is None:
            self._end.set_result(None)
        else:
            wrapped: Any = RayTaskError("run", "text", error)
            self._end.set_exception(wrapped.as_instanceof_cause())


class Tasks:
    """Stands for Ray: keeps what was sent."""

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        self.sent: list[Sent] = []
        self._options = options or {}

    def options(self, **options: Any) -> Tasks:
        other = Tasks(options)
        other.sent = self.sent
        return other

    def remote(self, *arguments: Any) -> Sent:
        self.sent.append(Sent(self._options, arguments))
        return self.sent[-1]

    def last(self, count: int) -> Sent:
        """The task that was sent as the `count`th."""
        until(lambda: len(self.sent) == count, f"{count} were sent")
        return self.sent[-1]


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> Tasks:
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    return Tasks()


@pytest.fixture
def supervisor(tasks: Tasks) -> Supervisor:
    """One that has sent a node without any retries."""
    supervisor = Supervisor(lambda site: tasks)
    options = {"runtime_env": {"env_vars": {DRIVER_VARIABLE: "d"}}}
    entry = {"name": "n", "directory": "/", "call": b"", "after": [], "retries": 0}
    supervisor.submit([{**entry, "options": options}], SITE)
    return supervisor


def status(supervisor: Supervisor) -> str:
    return supervisor.status(["n"])["n"][0]


def test_a_node_goes_to_another_process_without_a_retry(
    supervisor: Supervisor, tasks: Tasks
) -> None:
    """And so do later nodes of that driver: no task goes to the workers of before."""
    tasks.last(1).end(NeedsOtherWorker("failed", "n", "it has other code"))
    tasks.last(2).end()
    until(lambda: status(supervisor) == "succeeded", "it was made")
    entry = {"name": "m", "directory": "/", "call": b"", "after": [], "retries": 0, "options": {}}
    supervisor.submit([entry], SITE)
    tasks.last(3)
    assert [task.workers for task in tasks.sent] == ["d", "d-1", "d-1"]


def test_a_node_does_not_look_for_another_process_for_ever(
    supervisor: Supervisor, tasks: Tasks
) -> None:
    """After some tries it has to be made, or to fail, where it is."""
    for count in range(1, 6):
        tasks.last(count).end(NeedsOtherWorker("failed", "n", "it has other code"))
    tasks.last(6).end(NodeEnded("failed", "n", "it has other code"))
    until(lambda: status(supervisor) == "failed", "it has failed")
    assert [task.can_renew for task in tasks.sent] == [True] * 5 + [False]


def test_a_node_out_of_memory_requests_more_at_its_next_try(tasks: Tasks) -> None:
    """As its `Retry` says, up to the largest node of the cluster; its time limit likewise."""
    supervisor = Supervisor(lambda site: tasks)
    retry = Retry(memory=4.0, time=2.0, max_tries=4)
    asked = growing(Resources(memory_gb=1, time_min=10, retry=retry), most_gb=3.0)
    entry = {"name": "n", "directory": "/", "call": b"{}", "after": [], "retries": 0}
    options = {"runtime_env": {"env_vars": {DRIVER_VARIABLE: "d"}}, "memory": GIB}
    supervisor.submit([{**entry, "options": options, "asked": asked}], SITE)
    tasks.last(1).end(NodeEnded("out_of_memory", "n", "it was killed"))
    tasks.last(2).end(NodeEnded("timed_out", "n", "it took too long"))
    assert tasks.last(2).options["memory"] == 3 * GIB
    assert json.loads(tasks.last(3).call)["time_limit_s"] == 1200
    tasks.last(3).end(NodeEnded("out_of_memory", "n", "it was killed"))
    until(lambda: status(supervisor) == "out_of_memory", "it has ended")
