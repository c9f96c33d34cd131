"""The fake engine does what the test says, and the core takes it for an engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from huldra.engines.protocol import Executor, JobStatus, Refusal
from huldra.errors import HuldraRefused, HuldraSubmitError
from huldra.testing import FakeExecutor
from huldra.testing.pipelines import Step


def two_steps(tmp_path: Path) -> tuple[Step, Step]:
    first = Step(name="first", notes=str(tmp_path))
    return first, Step(name="second", needs=(first,), notes=str(tmp_path))


def test_it_is_an_executor() -> None:
    """It has all that the seam asks for."""
    assert isinstance(FakeExecutor(), Executor)


def test_nothing_runs_until_the_test_says_so(huldra_root: Path, tmp_path: Path) -> None:
    """A graph is remembered; its nodes run when they are told to."""
    fake = FakeExecutor()
    first, second = two_steps(tmp_path)
    job = second.load_or_create(executor=fake)
    assert [len(graph.tasks) for graph in fake.graphs] == [2]
    assert not first.exists()
    fake.run_all()
    assert job.result(timeout=10)["inputs"] == {"first": "first"}
    assert set(fake.status([fake.ref(key) for key in fake.keys]).values()) == {JobStatus.SUCCEEDED}


def test_a_refusal_keeps_the_graph_away(huldra_root: Path, tmp_path: Path) -> None:
    """What `check` says is what the caller gets."""
    fake = FakeExecutor(refusals=[Refusal("some/key", "gpus", "there are none")])
    with pytest.raises(HuldraRefused, match="there are none"):
        two_steps(tmp_path)[1].load_or_create(executor=fake)
    assert fake.graphs == []


def test_a_submit_that_fails_half_way_takes_back_what_it_took(
    huldra_root: Path, tmp_path: Path
) -> None:
    """The accepted part is cancelled, and both nodes can be sent again."""
    fake = FakeExecutor(accepts=1)
    _, second = two_steps(tmp_path)
    with pytest.raises(HuldraSubmitError, match="takes 1 task"):
        second.load_or_create(executor=fake)
    assert fake.status(fake.cancelled)[fake.cancelled[0]] is JobStatus.CANCELLED
    again = FakeExecutor()
    job = second.load_or_create(executor=again)
    again.run_all()
    assert job.result(timeout=10)["name"] == "second"


def test_pytest_is_not_needed_for_the_fake() -> None:
    """Only the suite imports it."""
    code = "import sys, huldra.testing as t; t.FakeExecutor(); sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
