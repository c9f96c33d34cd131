"""`executor="slurm"` and what it reads; objects of submitit's."""

from __future__ import annotations

import subprocess
import sys

import pytest

import huldra_submitit
from huldra.errors import HuldraExecutorError, HuldraSettingsError
from huldra.store.job_ref import JobRef
from huldra_submitit.names import options_from, parse


def test_the_environment_gives_parameters() -> None:
    """Numbers are numbers, options of the executor have their own names."""
    environ = {
        "HULDRA_SLURM_PARTITION": "gpu",
        "HULDRA_SLURM_TIME_MIN": "30",
        "HULDRA_SLURM_ARRAY_PARALLELISM": "8",
        "HULDRA_SLURM_QOS": "",
        "HULDRA_PATH": "/x",
    }
    assert options_from(environ) == {
        "slurm_partition": "gpu",
        "slurm_time_min": 30,
        "array_parallelism": 8,
    }


def test_a_number_that_is_none_is_told_at_once() -> None:
    """With the variable's name."""
    with pytest.raises(HuldraSettingsError, match="HULDRA_SLURM_CPUS is 'many'"):
        options_from({"HULDRA_SLURM_CPUS": "many"})


def test_flags_are_flags() -> None:
    """A text that is true is not what submitit wants."""
    assert options_from({"HULDRA_SLURM_USE_SRUN": "false"}) == {"slurm_use_srun": False}
    with pytest.raises(HuldraSettingsError, match="true or false"):
        options_from({"HULDRA_SLURM_USE_SRUN": "perhaps"})


def test_a_name_may_carry_the_partition() -> None:
    """`slurm:gpu`."""
    assert parse("slurm:gpu") == {"slurm_partition": "gpu"}
    assert parse("slurm") == {}


@pytest.mark.parametrize("spec", ["slurm:", "slurmy", "submitit"])
def test_other_names_are_refused(spec: str) -> None:
    """The message says what is understood."""
    with pytest.raises(HuldraExecutorError, match="slurm:PARTITION"):
        parse(spec)


def test_a_parameter_that_submitit_does_not_have_is_refused() -> None:
    """When the executor is made, not at the first submission."""
    pytest.importorskip("submitit")
    with pytest.raises(HuldraExecutorError, match="slurm_partition"):
        huldra_submitit.SubmititExecutor(slurm_partitoin="gpu")


def test_objects_of_others_are_not_ours_and_import_nothing() -> None:
    """Looking at an object must not cost the import of submitit."""
    code = (
        "import sys, huldra_submitit; assert huldra_submitit.from_object(object()) is None; "
        "assert 'submitit' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_following_a_job_imports_no_submitit() -> None:
    """`connect` is used wherever somebody waits."""
    code = (
        "import sys, huldra_submitit; from huldra.engines.protocol import JobRef;"
        "huldra_submitit.connect(JobRef('slurm', '1')); assert 'submitit' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_job_of_the_debug_cluster_cannot_be_followed_elsewhere() -> None:
    """It lives in its process; the message says so."""
    pytest.importorskip("submitit")
    with pytest.raises(HuldraExecutorError, match="only in the process"):
        huldra_submitit.connect(JobRef("submitit", "DEBUG_1", {"cluster": "debug"}))
