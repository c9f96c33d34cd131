"""`SBATCH_*` in the shell's profile: defaults below everything that a config or executor asks for.

sbatch itself ranks them above the lines of a script. So huldra reads those that stand for an
option, writes them as lines where nothing else was asked for, and keeps them from sbatch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PREFIX = "SBATCH_"

_OF_SUBMITIT = {
    "ACCOUNT": "account",
    "CONSTRAINT": "constraint",
    "CPUS_PER_GPU": "cpus_per_gpu",
    "EXCLUSIVE": "exclusive",
    "GPUS_PER_NODE": "gpus_per_node",
    "GPUS_PER_TASK": "gpus_per_task",
    "GRES": "gres",
    "MEM_PER_CPU": "mem_per_cpu",
    "MEM_PER_GPU": "mem_per_gpu",
    "MEM_PER_NODE": "mem",
    "PARTITION": "partition",
    "QOS": "qos",
    "TIMELIMIT": "time",
    "WCKEY": "wckey",
}
_OF_SBATCH = {
    "ACCTG_FREQ": "acctg_freq",
    "CORE_SPEC": "core_spec",
    "DELAY_BOOT": "delay_boot",
    "DISTRIBUTION": "distribution",
    "GPUS": "gpus",
    "GPU_BIND": "gpu_bind",
    "GPU_FREQ": "gpu_freq",
    "GRES_FLAGS": "gres_flags",
    "HINT": "hint",
    "MEM_BIND": "mem_bind",
    "NETWORK": "network",
    "POWER": "power",
    "PROFILE": "profile",
    "REQ_SWITCH": "switches",
    "RESERVATION": "reservation",
    "THREADS_PER_CORE": "threads_per_core",
    "THREAD_SPEC": "thread_spec",
}
# huldra decides these itself: a job is found by its name, its array is huldra's numbering, its
# output belongs to its artifact, and sbatch must answer at once.
_OURS = (
    *("ARRAY_INX", "ERROR", "INPUT", "JOB_NAME", "NO_REQUEUE", "OPEN_MODE", "OUTPUT", "REQUEUE"),
    *("SIGNAL", "TEST_ONLY", "WAIT"),
)
NOT_FOR_SBATCH = frozenset(PREFIX + name for name in (*_OF_SUBMITIT, *_OF_SBATCH, *_OURS))

# Slurm refuses two of a kind, so asking for one leaves out the profile's word for the others.
_KINDS = (
    frozenset({"mem", "mem_per_cpu", "mem_per_gpu"}),
    frozenset({"gpus_per_node", "gpus_per_task", "num_gpus", "gpus", "gres"}),
)


def defaults_from(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read the options that a profile sets, by the names of submitit's parameters."""
    found: dict[str, Any] = {
        name: True if name == "exclusive" and not text else text
        for variable, name in _OF_SUBMITIT.items()
        if (text := environ.get(PREFIX + variable)) or (text == "" and name == "exclusive")
    }
    raw = {
        option: text
        for variable, option in _OF_SBATCH.items()
        if (text := environ.get(PREFIX + variable))
    }
    return {**found, "additional_parameters": raw} if raw else found


def lay_under(defaults: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Add the profile's options that `asked` says nothing about, whole or of the same kind."""
    theirs = _raw(asked)
    taken = {name for name, value in asked.items() if value is not None} | theirs.keys()
    for kind in _KINDS:
        if kind & taken:
            taken |= kind
    merged = {**asked, **{k: v for k, v in defaults.items() if k not in {*taken, _RAW}}}
    raw = {k: v for k, v in (defaults.get(_RAW) or {}).items() if k not in taken}
    if raw:
        merged[_RAW] = {**raw, **theirs}
    return merged


_RAW = "additional_parameters"


def _raw(parameters: Mapping[str, Any]) -> dict[str, Any]:
    given = parameters.get(_RAW) or {}
    return {key.replace("-", "_"): value for key, value in given.items()}
