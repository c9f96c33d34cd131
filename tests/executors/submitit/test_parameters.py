"""From `Resources` and the user's parameters to those of one job."""

from __future__ import annotations

import pytest

from huldra.engines.resources import Resources
from huldra_submitit import parameters as params
from tests.executors.submitit.fakes import task

VALID = frozenset({"partition", "time", "mem", "constraint", "additional_parameters", "gres"})


def test_resources_become_slurms_parameters() -> None:
    """Fractions are rounded up: Slurm counts whole CPUs and minutes."""
    asked = Resources(cpus=1.5, gpus=2, memory_gb=0.5, time_min=0.2)
    assert params.resource_parameters(asked) == {
        "cpus_per_task": 2,
        "gpus_per_node": 2,
        "mem": "512MB",
        "time": 1,
    }


def test_what_is_not_asked_for_is_not_set() -> None:
    """Empty resources leave everything to the executor's own parameters."""
    assert params.resource_parameters(Resources()) == {}


def test_a_node_wins_over_its_class_and_its_class_over_the_executor() -> None:
    """The nearer declaration wins."""
    node = task("mod/Train/1", resources=Resources(time_min=7))
    merged = params.parameters_of(
        node,
        {"time": 60, "partition": "cpu", "qos": "low"},
        {"Train": {"slurm_partition": "gpu", "timeout_min": 30}},
    )
    assert merged == {"time": 7, "partition": "gpu", "qos": "low"}


def test_extra_keys_of_other_engines_are_ignored() -> None:
    """Only keys with Slurm's prefix count here."""
    extra = {"slurm_partition": "gpu", "ray_thing": 1}
    assert params.extra_parameters(Resources(extra=extra)) == {"partition": "gpu"}


def test_an_unknown_key_is_refused_with_its_name_and_a_likely_one() -> None:
    """A slip of the pen names the node, the key and what was probably meant."""
    [refusal] = params.refuse_unknown(
        task("m/A/1", resources=Resources(extra={"slurm_partitoin": "gpu"})), VALID
    )
    assert (refusal.key, refusal.request) == ("m/A/1", "slurm_partitoin")
    assert "slurm_partition?" in refusal.reason


def test_half_a_gpu_is_refused() -> None:
    """Slurm has no fractions of a GPU."""
    [refusal] = params.refuse_unknown(task("m/A/1", resources=Resources(gpus=0.5)), VALID)
    assert refusal.request == "gpus"


def test_constraints_are_joined() -> None:
    """Both the executor's constraint and the node's hold."""
    assert params.merge({"constraint": "ib"}, {"constraint": "a100"})["constraint"] == "ib&a100"
    both = params.merge({"constraint": "a|b"}, {"constraint": "c"})
    assert both["constraint"] == "(a|b)&(c)"


def test_setup_lines_are_added() -> None:
    """The executor's setup runs first, then the node's."""
    assert params.merge({"setup": ["a"]}, {"setup": ["b"]})["setup"] == ["a", "b"]


def test_raw_options_are_merged_key_by_key() -> None:
    """A node's raw sbatch option does not wipe out the executor's."""
    merged = params.merge(
        {"additional_parameters": {"mail-user": "me", "nice": 1}},
        {"additional_parameters": {"nice": 5}},
    )
    assert merged["additional_parameters"] == {"mail_user": "me", "nice": 5}


def test_a_gpu_count_replaces_the_executors_other_forms() -> None:
    """Slurm refuses two ways of asking for GPUs in one job."""
    merged = params.merge({"gres": "gpu:1,tmp:5", "num_gpus": 2}, {"gpus_per_node": 4})
    assert merged == {"gres": "tmp:5", "gpus_per_node": 4}


def test_no_gpus_is_the_absence_of_the_option() -> None:
    """`--gpus-per-node=0` is an error on a cluster without GPUs."""
    assert params.merge({"gpus_per_node": 1}, {"gpus_per_node": 0}) == {}


def test_memory_of_a_node_replaces_memory_per_cpu() -> None:
    """Slurm refuses both together."""
    assert params.merge({"mem_per_cpu": "2GB"}, {"mem": "8GB"}) == {"mem": "8GB"}


def test_the_graphs_dependency_is_added_to_the_users() -> None:
    """Both must hold, and a dependency that never can ends the job."""
    merged = params.add_dependency({"dependency": "afterok:5"}, "afterany:7_1")
    assert merged["dependency"] == "afterok:5,afterany:7_1"
    assert merged["additional_parameters"] == {"kill_on_invalid_dep": "yes"}


def test_a_dependency_in_raw_options_is_merged_too() -> None:
    """Submitit would let the raw option overwrite ours."""
    merged = params.add_dependency({"additional_parameters": {"dependency": "singleton"}}, "x:1")
    assert merged["dependency"] == "singleton,x:1"
    assert "dependency" not in merged["additional_parameters"]


def test_without_any_dependency_nothing_is_added() -> None:
    """A job that waits for nothing is left alone."""
    assert params.add_dependency({"time": 1}, "") == {"time": 1}


def test_alternatives_cannot_be_combined() -> None:
    """`?` means any of them; Slurm cannot mix that with ours, so it is an error."""
    with pytest.raises(ValueError, match="choice"):
        params.add_dependency({"dependency": "afterok:1?afterok:2"}, "afterany:3")


def test_the_users_array_limit_is_kept() -> None:
    """`%N` alone is a limit that is carried over."""
    merged, limit = params.array_limit({"additional_parameters": {"array": "%4"}})
    assert limit == 4
    assert not merged["additional_parameters"]


def test_the_users_array_elements_are_an_error() -> None:
    """Huldra numbers the elements itself."""
    with pytest.raises(ValueError, match="numbers the elements"):
        params.array_limit({"additional_parameters": {"array": "0-9%4"}})


def test_merging_leaves_its_inputs_alone() -> None:
    """The user's executor must not change under them."""
    base = {"setup": ["a"], "additional_parameters": {"nice": 1}, "dependency": "afterok:1"}
    before = repr(base)
    merged = params.merge(base, {"setup": ["b"], "additional_parameters": {"nice": 2}})
    params.add_dependency(merged, "afterany:3")
    assert repr(base) == before
