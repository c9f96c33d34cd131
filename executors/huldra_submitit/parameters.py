"""What one node asks of Slurm: its `Resources` laid over the executor's own parameters.

Parameters are those of submitit's `SlurmExecutor` (`time` in minutes, `mem` as `8GB`). Nothing
here talks to Slurm. The order, later ones winning: the executor's, those given for the node's
class, the node's `Resources`, its `extra`. What is a list of conditions (dependency, constraint,
setup) is joined and never replaced.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from huldra.engines.kit import Refusal, Resources, Task

PREFIX = "slurm_"
_GENERIC = {
    "name": "job_name",
    "timeout_min": "time",
    "mem_gb": "mem",
    "tasks_per_node": "ntasks_per_node",
}
_LISTS = ("setup", "teardown", "srun_args")
_JOINED = {"dependency": ",", "constraint": "&"}
_ARRAY = "array"

Parameters = dict[str, Any]


def resource_parameters(resources: Resources) -> Parameters:
    """Translate the engine-independent part of a node's resources."""
    found: Parameters = {}
    if resources.cpus is not None:
        found["cpus_per_task"] = max(1, math.ceil(resources.cpus))
    if resources.gpus is not None:
        found["gpus_per_node"] = int(resources.gpus)
    if resources.memory_gb:  # `--mem=0` is Slurm's word for all of a node's memory
        found["mem"] = memory_text(resources.memory_gb)
    if resources.time_min is not None:
        found["time"] = max(1, math.ceil(resources.time_min))
    return found


def memory_text(memory_gb: float) -> str:
    """Write an amount in units of 2**30 bytes as Slurm reads it."""
    if memory_gb == int(memory_gb):
        return f"{int(memory_gb)}GB"
    return f"{math.ceil(memory_gb * 1024)}MB"


def named_parameters(named: Mapping[str, Any]) -> Parameters:
    """Translate parameters as a user types them: `slurm_partition`, `partition`, `timeout_min`."""
    found: Parameters = {}
    for name, value in named.items():
        plain = name.removeprefix(PREFIX)
        if plain in ("mem_gb", "memory_gb"):
            found["mem"] = memory_text(float(value))
        elif plain == "time_min":
            found["time"] = value
        elif plain in ("cpus", "gpus"):
            found["cpus_per_task" if plain == "cpus" else "gpus_per_node"] = int(value)
        else:
            found[_GENERIC.get(plain, plain)] = value
    return found


def extra_parameters(resources: Resources) -> Parameters:
    """Pick and translate those of a node's `extra` keys that are for Slurm."""
    ours = {key: value for key, value in resources.extra.items() if key.startswith(PREFIX)}
    return named_parameters(ours)


def unknown_keys(names: Collection[str], valid: Collection[str]) -> dict[str, str]:
    """Tell which parameter names submitit would not take, each with what to do instead."""
    known = {*valid, *_GENERIC, "memory_gb", "time_min", "cpus", "gpus"}
    found = {}
    for name in names:
        plain = name.removeprefix(PREFIX)
        if plain in known:
            continue
        near = difflib.get_close_matches(plain, known, n=1)
        hint = f"did you mean {PREFIX}{near[0]}? " if near else ""
        found[name] = (
            f"submitit has no such parameter; {hint}any option of sbatch can be given in "
            f'slurm_additional_parameters={{"{plain.replace("_", "-")}": ...}}'
        )
    return found


def refuse_unknown(task: Task, valid: Collection[str]) -> list[Refusal]:
    """Refuse what cannot be translated in a node's resources, naming the key."""
    keys = [key for key in task.resources.extra if key.startswith(PREFIX)]
    refused = [Refusal(task.key, key, why) for key, why in unknown_keys(keys, valid).items()]
    gpus = task.resources.gpus
    if gpus is not None and gpus != int(gpus):
        refused.append(Refusal(task.key, "gpus", f"Slurm allocates whole GPUs, not {gpus}"))
    return refused


def merge(base: Mapping[str, Any], more: Mapping[str, Any]) -> Parameters:
    """Lay `more` over `base`: lists and conditions are joined, everything else is replaced."""
    merged = dict(base)
    for key, value in more.items():
        old = merged.get(key)
        if key in _LISTS and old:
            merged[key] = [*old, *value]
        elif key in _JOINED and old and value:
            merged[key] = _join(key, str(old), str(value))
        elif key == "additional_parameters" and old:
            merged[key] = merge(_dashes_to_underscores(old), _dashes_to_underscores(value))
        else:
            merged[key] = value
    return _without_rivals(merged, more)


def _join(key: str, old: str, new: str) -> str:
    if key == "dependency":
        return join_dependencies(old, new)
    return old if old == new else f"({old})&({new})" if "|" in old + new else f"{old}&{new}"


def join_dependencies(one: str, other: str) -> str:
    """Combine two dependency texts so that both must hold.

    Raises:
        ValueError: one of them is a list of alternatives (`?`), which Slurm cannot combine.
    """
    if not one or not other:
        return one or other
    if "?" in one + other:
        raise ValueError(
            f"the dependency {one!r} is a choice (`?`), which Slurm cannot combine with {other!r}"
        )
    return f"{one},{other}"


def _without_rivals(merged: Parameters, more: Mapping[str, Any]) -> Parameters:
    # Slurm refuses two of a kind: what the node asks for replaces the executor's other form.
    if "mem" in more:
        merged.pop("mem_per_cpu", None)
        merged.pop("mem_per_gpu", None)
    if "gpus_per_node" in more:
        merged.pop("gpus_per_task", None)
        merged.pop("num_gpus", None)
        gres = [part for part in str(merged.get("gres") or "").split(",") if part]
        kept = [part for part in gres if not part.startswith("gpu")]
        if len(kept) != len(gres):
            merged["gres"] = ",".join(kept) or None
        if not merged["gpus_per_node"]:
            del merged["gpus_per_node"]  # `--gpus-per-node=0` is an error where there are no GPUs
    return merged


def _dashes_to_underscores(named: Mapping[str, Any]) -> Parameters:
    return {key.replace("-", "_"): value for key, value in named.items()}


def parameters_of(
    task: Task, base: Mapping[str, Any], by_class: Mapping[str, Mapping[str, Any]]
) -> Parameters:
    """All parameters of one node, the dependencies of its graph not among them."""
    merged = dict(base)
    for given in class_parameters(task.key, by_class):
        merged = merge(merged, named_parameters(given))
    merged = merge(merged, resource_parameters(task.resources))
    return merge(merged, extra_parameters(task.resources))


def class_parameters(
    key: str, by_class: Mapping[str, Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """What is given for a node's class: by its bare name first, then by `module/Class`."""
    namespace = key.rpartition("/")[0]
    return [by_class[n] for n in (namespace.rpartition("/")[2], namespace) if n in by_class]


def add_dependency(parameters: Mapping[str, Any], dependency: str) -> Parameters:
    """Add the graph's dependency to the user's own, wherever the user put it."""
    merged = dict(parameters)
    additional = _dashes_to_underscores(merged.get("additional_parameters") or {})
    theirs = join_dependencies(
        str(merged.get("dependency") or ""), str(additional.pop("dependency", "") or "")
    )
    both = join_dependencies(theirs, dependency)
    if both:
        merged["dependency"] = both
        # A job whose dependency can never hold would stand in the queue for ever.
        additional.setdefault("kill_on_invalid_dep", "yes")
    if additional:
        merged["additional_parameters"] = additional
    return merged


def array_limit(parameters: Mapping[str, Any]) -> tuple[Parameters, int | None]:
    """Take the user's own `--array` out: huldra numbers the elements, the `%` limit is kept.

    Raises:
        ValueError: it names elements, which is huldra's to do.
    """
    merged = dict(parameters)
    additional = _dashes_to_underscores(merged.get("additional_parameters") or {})
    theirs = additional.pop(_ARRAY, None)
    if theirs is None:
        return merged, None
    merged["additional_parameters"] = additional or None
    elements, percent, limit = str(theirs).partition("%")
    if elements or not percent or not limit.isdigit():
        raise ValueError(
            f"--array={theirs}: huldra numbers the elements itself; pass only a limit"
            ' (slurm_array_parallelism=N, or {"array": "%N"})'
        )
    return merged, int(limit)


def fingerprint(parameters: Mapping[str, Any]) -> str:
    """A text that is equal for equal parameters: nodes of one job array share it."""
    return json.dumps(parameters, sort_keys=True, default=repr)
