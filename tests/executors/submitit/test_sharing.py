"""How many nodes share a job."""

from __future__ import annotations

import pytest

from huldra.catalog.usage import History
from huldra.engines.resources import Resources
from huldra.store.job_ref import JobRef
from huldra_submitit import sharing
from huldra_submitit.groups import Group, dependency_text, group
from huldra_submitit.jobs import _of_whole_jobs
from huldra_submitit.sharing import Sharing, limits_of
from tests.executors.submitit.fakes import graph, sweep, task


def counts_of(share: Sharing, *, time_min: float | None = None) -> set[int]:
    one = task("m/A/1", resources=Resources(time_min=time_min))
    return set(share.counts(graph(one)).values())


def test_two_thousand_short_nodes_are_twenty_jobs() -> None:
    """One array of twenty elements; what waits for some of them waits for their elements."""
    tasks = sweep(2000, 1, report=False)
    counts = Sharing(nodes_per_job=100).counts(tasks)
    groups = group(tasks, dict.fromkeys(tasks.tasks, ""), 1001, counts.__getitem__)
    assert [(len(each.keys), each.jobs, each.is_array) for each in groups] == [
        (1, 1, False),
        (2000, 20, True),
    ]
    assert groups[1].elements(tasks) == tuple(range(20))


def test_a_node_waits_for_the_job_that_its_dependency_is_in() -> None:
    """By the element's number, once for each."""
    firsts = [task(f"m/A/{n}") for n in range(6)]
    last = task("m/B/0", after=("m/A/2", "m/A/3"))
    tasks = graph(*firsts, last)
    groups = [Group(tuple(f"m/A/{n}" for n in range(6)), per_job=2), Group(("m/B/0",))]
    assert dependency_text(groups[1], tasks, groups[:1], ["7"], "slurm") == "afterany:7_1"


def test_minutes_are_filled_by_limits_and_by_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node's own limit first, then what its class took; else one node a job."""
    past = History(5, 2.0, 3.0, 1.0, 0.1, 0.1)
    monkeypatch.setattr(sharing, "history", lambda *_: past)
    half_an_hour = Sharing(minutes_per_job=30)
    assert counts_of(half_an_hour, time_min=10) == {3}
    assert counts_of(half_an_hour) == {900}
    assert counts_of(Sharing()) == {1}
    monkeypatch.setattr(sharing, "history", lambda *_: None)
    assert counts_of(half_an_hour) == {1}


def test_a_job_asks_for_the_time_of_all_its_nodes() -> None:
    """Or for what was given for it; each node keeps its own limit."""
    shared = Group(("m/A/1", "m/A/2"), per_job=2)
    assert Sharing(2).parameters({"time": 10}, shared) == {"time": 20}
    assert Sharing(2, 15.0).parameters({"time": 10}, shared) == {"time": 15}
    assert Sharing(2).parameters({"time": None}, shared) == {"time": None}
    assert Sharing(2).parameters({"time": 10}, Group(("m/A/1",))) == {"time": 10}
    limited = task("m/A/1", resources=Resources(memory_gb=2, time_min=5))
    assert limits_of(graph(limited), shared, None) == ((2, 5), (None, None))


def test_a_node_without_a_limit_has_that_of_a_job_of_its_own() -> None:
    """The executor's time is multiplied for the job: no node may use it up alone."""
    limited = task("m/A/1", resources=Resources(time_min=5))
    shared = Group(("m/A/1", "m/A/2"), per_job=2)
    assert limits_of(graph(limited, task("m/A/2")), shared, 10.0) == ((None, 5), (None, 10.0))


def test_a_job_is_cancelled_with_the_last_of_its_nodes() -> None:
    """As long as it runs others, the request beside the claim has to do."""
    refs = [JobRef("slurm", "7_0", {"shared": 2, "at": at}) for at in range(2)]
    alone = JobRef("slurm", "8", {})
    assert _of_whole_jobs([refs[0], alone]) == [alone]
    assert _of_whole_jobs([*refs, alone]) == [*refs, alone]


@pytest.mark.parametrize("odd", [0, -1])
def test_no_nodes_a_job_are_refused(odd: int) -> None:
    """Naming the parameter."""
    with pytest.raises(ValueError, match="nodes_per_job must be above 0"):
        Sharing(nodes_per_job=odd)
