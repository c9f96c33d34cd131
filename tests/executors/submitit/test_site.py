"""What a site tells of itself, and what is refused by it."""

from __future__ import annotations

import pytest

from huldra_submitit.site import Site, minutes, objections, read_partitions, read_site
from tests.executors.submitit.fakes import ScriptedSlurm, says

SINFO = """\
cpu*|up|1-00:00:00|64|256000|(null)
cpu*|up|1-00:00:00|128|512000|(null)
gpu|up|5:00|32|128000|gpu:a100:4(S:0-1),tmp:1
off|down|infinite|32|128000|(null)
"""
SITE = Site("c", 1001, None, None, read_partitions(SINFO))


def test_a_partition_is_as_large_as_its_largest_node() -> None:
    """Sinfo prints a line for each kind of node."""
    cpu, gpu, _ = read_partitions(SINFO)
    assert (cpu.max_cpus, cpu.max_memory_mb, cpu.max_time_min) == (128, 512000, 1440)
    assert (cpu.is_default, gpu.is_default) == (True, False)
    assert (gpu.max_gpus, gpu.max_time_min) == (4, 5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (30, 30),
        ("30", 30),
        ("5:30", 5.5),
        ("1:00:00", 60),
        ("1-0", 1440),
        ("1-02:30:00", 1590),
        ("infinite", None),
        (None, None),
    ],
)
def test_times_are_read_as_sbatch_reads_them(text: object, expected: float | None) -> None:
    """Minutes, or one of the forms with colons."""
    assert minutes(text) == expected


@pytest.mark.parametrize(
    ("asked", "parameter", "words"),
    [
        ({"time": 10, "partition": "gpu"}, "time", "10 minutes, but partition gpu has 5"),
        ({"cpus_per_task": 500}, "cpus_per_task", "500 CPUs a node, but partition cpu has 128"),
        ({"mem": "900GB"}, "mem", "921600 MB a node, but partition cpu has 512000"),
        ({"gpus_per_node": 1}, "gpus_per_node", "1 GPUs, but partition cpu has 0"),
        ({"partition": "nope"}, "partition", "no partition 'nope' on c; it has cpu, gpu, off"),
        ({"partition": "off"}, "partition", "not up"),
        ({"additional_parameters": {"partition": "nope"}}, "partition", "'nope'"),
    ],
)
def test_what_no_node_has_is_refused_with_the_numbers(
    asked: dict[str, object], parameter: str, words: str
) -> None:
    """Before anything is sent: sbatch would take it and leave it pending for ever."""
    [(found, reason)] = objections(asked, SITE)
    assert found == parameter
    assert words in reason


def test_what_fits_is_not_refused() -> None:
    """One of several partitions is enough."""
    asked = {"time": 10, "partition": "gpu,cpu", "cpus_per_task": 128, "mem": "100GB"}
    assert objections(asked, SITE) == []


def test_a_quality_of_service_may_lift_the_time_limit() -> None:
    """Then sbatch has the word."""
    assert objections({"time": 10, "partition": "gpu", "qos": "long"}, SITE) == []


def test_a_site_that_does_not_tell_refuses_nothing() -> None:
    """All of this is advice."""
    assert objections({"partition": "x"}, Site("", 1001, None, None, ())) == []


def test_a_site_is_read_in_three_queries() -> None:
    """Limits of the association only where they are enforced."""
    config = "ClusterName = c\nMaxArraySize = 50\nMaxJobCount = 900\n"
    config += "AccountingStorageEnforce = associations,limits\n"
    slurm = ScriptedSlurm(
        answers={"scontrol": says(config), "sinfo": says(SINFO), "sacctmgr": says("100|\n|\n")}
    )
    site = read_site(slurm)
    assert (site.cluster, site.max_array_size) == ("c", 50)
    assert (site.max_job_count, site.max_submit) == (900, 100)
    assert len(slurm.asked) == 3
