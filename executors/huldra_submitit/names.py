"""`executor="slurm"`: where its parameters come from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from huldra.errors import HuldraExecutorError, HuldraSettingsError

PREFIX = "HULDRA_SLURM_"
_OPTIONS = {
    "FOLDER": str,
    "ARRAY_PARALLELISM": int,
    "MAX_SUBMIT_JOBS": int,
    "NODES_PER_JOB": int,
    "MINUTES_PER_JOB": float,
    "SUBMISSIONS_PER_S": float,
}
_NUMBERS = {
    "CPUS": int,
    "GPUS": int,
    "CPUS_PER_TASK": int,
    "GPUS_PER_NODE": int,
    "MEMORY_GB": float,
    "MEM_GB": float,
    "TIME_MIN": int,
    "TIMEOUT_MIN": int,
    "NODES": int,
    "TASKS_PER_NODE": int,
    "SIGNAL_DELAY_S": int,
}


def _flag(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


_FLAGS = dict.fromkeys(("USE_SRUN", "STDERR_TO_STDOUT", "EXCLUSIVE"), _flag)


def options_from(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read `HULDRA_SLURM_PARTITION`, `HULDRA_SLURM_TIME_MIN` and so on.

    Raises:
        HuldraSettingsError: one that is a number, or a flag, holds none.
    """
    found: dict[str, Any] = {}
    for variable, text in environ.items():
        name = variable.removeprefix(PREFIX)
        if name == variable or not text.strip():
            continue
        convert = _OPTIONS.get(name) or _NUMBERS.get(name) or _FLAGS.get(name) or str
        allowed = "true or false" if name in _FLAGS else "a number"
        try:
            value = convert(text.strip())
        except (ValueError, KeyError) as error:
            raise HuldraSettingsError(
                f"{variable} is {text!r}; allowed: {allowed}",
                variable=variable,
                value=text,
                allowed=allowed,
            ) from error
        found[name.lower() if name in _OPTIONS else f"slurm_{name.lower()}"] = value
    return found


def parse(spec: str) -> dict[str, Any]:
    """Read `"slurm"` or `"slurm:gpu"` (a partition).

    Raises:
        HuldraExecutorError: it is neither.
    """
    name, colon, partition = spec.partition(":")
    if name != "slurm" or (colon and not partition):
        raise HuldraExecutorError(
            f"expected 'slurm' or 'slurm:PARTITION', found {spec!r}; set other parameters with"
            f" {PREFIX}* or with SubmititExecutor(...)"
        )
    return {"slurm_partition": partition} if partition else {}


def all_options(spec: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Lay keywords over the name, and the name over the environment."""
    return {**options_from(os.environ), **parse(spec), **given}
