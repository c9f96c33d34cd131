"""Parts of the system that some tests need, and what their absence means.

A test marked with the name of a part (`PARTS`) is skipped, with the reason, on a machine
without that part. Where the environment variable `HULDRA_TEST_REQUIRE` lists the part
(`HULDRA_TEST_REQUIRE=slurm,chromium`), its absence is a failure instead: continuous
integration must not attempt green by skipping.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest

PARTS = ("slurm", "dask", "ray", "chromium", "iproute2", "hosts")
_PROGRAMS = {
    "slurm": ("slurmctld", "slurmd", "sbatch", "munged"),
    "chromium": ("chromium",),
    "iproute2": ("ss",),
    "hosts": ("unshare",),
}
_MODULES = {
    "slurm": ("submitit",),
    "dask": ("distributed",),
    "ray": ("ray",),
    "chromium": ("playwright",),
}
_SYSTEM_PATH = os.pathsep.join(["/usr/sbin", "/sbin"])


def missing(part: str) -> str | None:
    """Say what of `part` is not on this machine; None when all of it is."""
    path = os.environ.get("PATH", os.defpath) + os.pathsep + _SYSTEM_PATH
    for program in _PROGRAMS.get(part, ()):
        if shutil.which(program, path=path) is None:
            return f"no program {program!r} on this machine"
    for module in _MODULES.get(part, ()):
        if importlib.util.find_spec(module) is None:
            return f"no module {module!r} in this environment"
    return None


def is_required(part: str) -> bool:
    """Whether `HULDRA_TEST_REQUIRE` lists `part`; an unknown name in it is an error."""
    wanted = {name.strip() for name in os.environ.get("HULDRA_TEST_REQUIRE", "").split(",")}
    unknown = wanted - {"", *PARTS}
    if unknown:
        raise pytest.UsageError(f"HULDRA_TEST_REQUIRE: {sorted(unknown)} not among {PARTS}")
    return part in wanted


def give_up(part: str, reason: str) -> NoReturn:
    """Skip the running test because `part` cannot be used, or fail it where it is required."""
    if is_required(part):
        pytest.fail(f"{part} is required by HULDRA_TEST_REQUIRE, but: {reason}", pytrace=False)
    pytest.skip(f"{part}: {reason}")


def require(part: str) -> None:
    """Give up on the running test unless `part` is on this machine."""
    reason = missing(part)
    if reason is not None:
        give_up(part, reason)
