"""`SBATCH_*` of a profile under what a config and its executor ask for."""

from __future__ import annotations

import pytest

from huldra_submitit.commands import Slurm
from huldra_submitit.profile import defaults_from, lay_under

PROFILE = {
    "SBATCH_PARTITION": "short",
    "SBATCH_TIMELIMIT": "3",
    "SBATCH_MEM_PER_CPU": "1G",
    "SBATCH_GPUS": "2",
    "SBATCH_RESERVATION": "mine",
    "SBATCH_JOB_NAME": "foo",
    "SBATCH_OF_THE_SITE": "x",
    "SBATCH_EXPORT": "NONE",
    "SBATCH_ACCOUNT": "",
}


def test_a_profile_gives_defaults() -> None:
    """Those that stand for an option of the job; huldra names its jobs itself."""
    assert defaults_from(PROFILE) == {
        "partition": "short",
        "time": "3",
        "mem_per_cpu": "1G",
        "additional_parameters": {"gpus": "2", "reservation": "mine"},
    }


def test_what_is_asked_for_wins_over_the_profile() -> None:
    """In whatever form it was asked for: Slurm refuses two amounts of memory or of GPUs."""
    asked = {
        "partition": "gpu",
        "mem": "8GB",
        "gpus_per_node": 1,
        "time": None,
        "additional_parameters": {"reservation": "other"},
    }
    assert lay_under(defaults_from(PROFILE), asked) == {**asked, "time": "3"}


def test_a_raw_option_is_asked_for_too() -> None:
    """A raw option of sbatch counts as much as submitit's own parameter."""
    asked = {"additional_parameters": {"partition": "gpu", "mem-per-gpu": "1G", "gres": "gpu:1"}}
    laid = lay_under(defaults_from(PROFILE), asked)
    assert "partition" not in laid
    assert "mem_per_cpu" not in laid
    assert "gpus" not in laid["additional_parameters"]


def test_a_constraint_of_the_profile_is_replaced_and_not_joined() -> None:
    """It is a default, not one more condition."""
    defaults = defaults_from({"SBATCH_CONSTRAINT": "haswell"})
    assert lay_under(defaults, {"constraint": "knl"}) == {"constraint": "knl"}


def test_sbatch_does_not_see_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ranks the environment above a script's lines; what is no option of ours stays."""
    for name, value in PROFILE.items():
        monkeypatch.setenv(name, value)
    left = {name for name in Slurm().environment() if name.startswith("SBATCH_")}
    assert left == {"SBATCH_EXPORT", "SBATCH_OF_THE_SITE"}
