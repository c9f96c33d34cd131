"""What engines of other packages may ask for."""

from __future__ import annotations

import pytest

from huldra.engines import protocol
from huldra.engines.protocol import Capabilities, Task, TaskGraph
from huldra.engines.resources import Resources


def graph_with(**extra: object) -> TaskGraph:
    task = Task("m/C/1", "m-C-1-1", "C", "{}", "/d", "/d/log", resources=Resources(extra=extra))
    return TaskGraph("run", "/run/graph.json", "/", {task.key: task})


def refused(engine: Capabilities, **extra: object) -> list[str]:
    """The keys that this engine refuses."""
    found = protocol.refuse_by_capabilities(graph_with(**extra), engine)
    return [refusal.request for refusal in found]


def test_an_engine_takes_keys_with_its_own_prefix() -> None:
    """Whatever that prefix is; a key of nobody's stays refused."""
    assert refused(Capabilities(extra_prefix="pbs_"), pbs_queue="gpu", slurm_qos="x") == []
    assert refused(Capabilities(extra_prefix="pbs_"), pbz_queue="gpu") == ["pbz_queue"]


def test_other_engines_ignore_the_keys_of_a_registered_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """So one declaration serves them all, also where a package brings an engine."""
    assert refused(Capabilities(extra_prefix="local_"), pbs_queue="gpu") == ["pbs_queue"]
    monkeypatch.setattr(protocol, "registered_engines", lambda: {"pbs": "some_package"})
    assert refused(Capabilities(extra_prefix="local_"), pbs_queue="gpu") == []
