"""How a graph becomes few arrays."""

from __future__ import annotations

from collections.abc import Mapping

from huldra.engines.protocol import TaskGraph
from huldra.store.job_ref import JobRef
from huldra_submitit.groups import Group, dependency_text, group, index_text, job_name
from tests.executors.submitit.fakes import graph, sweep, task


def groups_of(
    tasks: TaskGraph, size: int = 1001, prints: Mapping[str, str] | None = None
) -> list[Group]:
    """Group by class unless the test says otherwise."""
    marks = prints or {key: key.rpartition("/")[0] for key in tasks.tasks}
    return group(tasks, marks, size)


def texts_of(tasks: TaskGraph, groups: list[Group]) -> list[str]:
    """The dependency text of each group; group N has job id 10N."""
    ids = [str(10 * n) for n in range(len(groups))]
    return [
        dependency_text(each, tasks, groups[:n], ids[:n], "slurm") for n, each in enumerate(groups)
    ]


def test_a_sweep_over_three_datasets_goes_out_in_five_arrays() -> None:
    """200 models, each waiting for its own dataset alone, and a report."""
    tasks = sweep(200, 3)
    groups = groups_of(tasks)
    assert len(groups) == 5
    assert texts_of(tasks, groups) == [
        "",
        "afterany:0_0",
        "afterany:0_1",
        "afterany:0_2",
        "afterany:10:20:30",
    ]


def test_many_datasets_put_a_barrier_before_one_array_of_models() -> None:
    """2,000 models over 40 datasets do not become 40 arrays."""
    tasks = sweep(2000, 40)
    groups = groups_of(tasks)
    assert len(groups) == 4  # datasets, models in two chunks, report
    assert texts_of(tasks, groups)[1] == "afterany:0"


def test_one_hundred_between_two_is_three_submissions() -> None:
    """1 → 100 → 1."""
    assert len(groups_of(sweep(100, 1))) == 3


def test_arrays_are_cut_at_the_sites_largest() -> None:
    """MaxArraySize holds for each array."""
    groups = groups_of(sweep(120, 1, report=False), size=50)
    assert [len(each.keys) for each in groups] == [1, 50, 50, 20]


def test_a_site_without_arrays_gets_plain_jobs() -> None:
    """MaxArraySize 0 or 1 leaves no arrays."""
    groups = groups_of(sweep(3, 1, report=False), size=0)
    assert all(not each.is_array for each in groups)


def test_different_parameters_never_share_an_array() -> None:
    """An array has one set of parameters."""
    tasks = graph(task("m/A/1"), task("m/A/2"), task("m/A/3"))
    prints = {"m/A/1": "gpu", "m/A/2": "cpu", "m/A/3": "gpu"}
    assert [each.keys for each in groups_of(tasks, prints=prints)] == [
        ("m/A/1", "m/A/3"),
        ("m/A/2",),
    ]


def test_a_group_follows_all_that_it_waits_for() -> None:
    """Whatever the graph, ids that a text names are of groups sent before."""
    tasks = graph(
        task("m/A/1"),
        task("m/B/1", ["m/A/1"]),
        task("m/A/2", ["m/B/1"]),
        task("m/C/1", ["m/A/2", "m/A/1"]),
    )
    groups = groups_of(tasks)
    assert texts_of(tasks, groups) == ["", "afterany:0", "afterany:10", "afterany:0:20"]


def test_jobs_of_other_drivers_become_dependencies() -> None:
    """Those of the same engine; others are left to the worker."""
    mine, other = JobRef("slurm", "77_3"), JobRef("dask", "key")
    tasks = graph(task("m/A/1", after_jobs=[mine, other, JobRef("slurm", "")]))
    assert texts_of(tasks, groups_of(tasks)) == ["afterany:77_3"]


def test_many_foreign_elements_are_written_as_their_array() -> None:
    """Slurm keeps the text for each job: it must stay short."""
    refs = [JobRef("slurm", f"77_{i}") for i in range(50)]
    tasks = graph(task("m/A/1", after_jobs=refs))
    assert texts_of(tasks, groups_of(tasks)) == ["afterany:77"]


def test_a_node_that_another_driver_took_leaves_a_hole() -> None:
    """Between planning and sending, indices stay as the hints have them."""
    planned = sweep(3, 1, report=False)
    groups = groups_of(planned)
    left = graph(*(each for key, each in planned.tasks.items() if key != "m/Model/1"))
    assert groups[1].present(left) == (0, 2)


def test_a_group_that_was_not_sent_is_not_waited_for() -> None:
    """All of it was taken by others: their jobs stand in `after_jobs`."""
    planned = graph(task("m/A/1"), task("m/B/1", ["m/A/1"]))
    groups = groups_of(planned)
    left = graph(task("m/B/1", after_jobs=[JobRef("slurm", "9")]))
    assert dependency_text(groups[1], left, groups[:1], [""], "slurm") == "afterany:9"


def test_indices_are_written_as_ranges() -> None:
    """As sbatch reads them."""
    assert index_text([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"


def test_names_are_safe_and_differ_by_group() -> None:
    """A name is searched for with squeue, whose lists are cut at commas."""
    one, other = Group(("m/A/1",)), Group(("m/A/2",))
    assert job_name("my, train", "run", one).startswith("my-train-run-")
    assert job_name("a", "run", one) != job_name("a", "run", other)
