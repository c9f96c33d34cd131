"""What a cluster allows, asked before anything is sent: array sizes, partitions, submit limits.

All of it is advice: what Slurm does not tell is not refused here, and `sbatch` has the last word.
"""

from __future__ import annotations

import getpass
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huldra_submitit.commands import Slurm

DEFAULT_MAX_ARRAY_SIZE = 1001
_KEEP_S = 300.0


@dataclass(frozen=True)
class Partition:
    """One partition's largest node and limits; None is no limit, or not known."""

    name: str
    is_default: bool
    is_up: bool
    max_time_min: float | None
    max_cpus: int
    max_memory_mb: int
    max_gpus: int


@dataclass(frozen=True)
class Site:
    """What one cluster tells of itself. Empty `partitions` means that it did not tell."""

    cluster: str
    max_array_size: int
    max_job_count: int | None
    max_submit: int | None
    partitions: tuple[Partition, ...]

    def partitions_for(self, wanted: str | None) -> list[Partition] | None:
        """The partitions that a request may run in; None when one of them is not known."""
        if not wanted:
            return [each for each in self.partitions if each.is_default]
        by_name = {each.name: each for each in self.partitions}
        names = [name.strip() for name in wanted.split(",")]
        if any(name not in by_name for name in names):
            return None
        return [by_name[name] for name in names]


def effective(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with those that were given as raw options of sbatch over them."""
    additional = parameters.get("additional_parameters") or {}
    return {**parameters, **{k.replace("-", "_"): v for k, v in additional.items()}}


def objections(parameters: Mapping[str, Any], site: Site) -> list[tuple[str, str]]:
    """What the site's partitions cannot give, as (parameter, reason with the numbers)."""
    asked = effective(parameters)
    if not site.partitions or asked.get("reservation"):
        return []
    wanted = asked.get("partition")
    partitions = site.partitions_for(wanted and str(wanted))
    if partitions is None:
        known = ", ".join(each.name for each in site.partitions)
        return [
            ("partition", f"there is no partition {wanted!r} on {site.cluster}; it has {known}")
        ]
    if not partitions:
        return []
    found = []
    for parameter, amount, unit, limits in (
        ("time", _time_min(asked), "minutes", [p.max_time_min for p in partitions]),
        ("cpus_per_task", _cpus(asked), "CPUs a node", [p.max_cpus for p in partitions]),
        ("mem", _memory_mb(asked.get("mem")), "MB a node", [p.max_memory_mb for p in partitions]),
        ("gpus_per_node", asked.get("gpus_per_node"), "GPUs", [p.max_gpus for p in partitions]),
    ):
        if not isinstance(amount, int | float) or None in limits:
            continue
        most = max(limit for limit in limits if limit is not None)
        if amount > most:
            names = ", ".join(each.name for each in partitions)
            found.append((parameter, f"{amount:g} {unit}, but partition {names} has {most:g}"))
    if not any(each.is_up for each in partitions):
        found.append(("partition", f"partition {wanted or partitions[0].name} is not up"))
    return found


def _time_min(asked: Mapping[str, Any]) -> float | None:
    if asked.get("qos"):
        return None  # a quality of service may lift the partition's limit
    return minutes(asked.get("time", 5))


def _cpus(asked: Mapping[str, Any]) -> int | None:
    cpus, tasks = asked.get("cpus_per_task"), asked.get("ntasks_per_node") or 1
    if isinstance(cpus, int) and isinstance(tasks, int):
        return cpus * tasks
    return None


def minutes(value: object) -> float | None:
    """Read a time as sbatch does: minutes, `H:M:S`, `D-H:M`; None for no limit or no time."""
    if isinstance(value, int | float):
        return float(value)
    text = str(value or "")
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if match is None:
        return None
    days, *rest = match.groups()
    first, second, third = (int(part) if part else 0 for part in rest)
    if days is not None:
        return int(days) * 1440 + first * 60 + second + third / 60
    if match[4] is not None:
        return first * 60 + second + third / 60
    return first + second / 60


def _memory_mb(value: object) -> float | None:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)B?", str(value or "").upper())
    if match is None:
        return None
    return float(match[1]) * {"K": 1 / 1024, "M": 1, "": 1, "G": 1024, "T": 1024**2}[match[2]]


def read_site(slurm: Slurm) -> Site:
    """Ask a cluster about itself: three short queries."""
    config = _config(slurm.run("scontrol", "show", "config").out)
    table = slurm.run("sinfo", "-h", "-a", "-e", "-o", "%P|%a|%l|%c|%m|%G").out
    return Site(
        cluster=config.get("ClusterName", ""),
        max_array_size=_number(config.get("MaxArraySize")) or DEFAULT_MAX_ARRAY_SIZE,
        max_job_count=_number(config.get("MaxJobCount")),
        max_submit=_max_submit(slurm) if _has_limits(config) else None,
        partitions=read_partitions(table),
    )


def _config(text: str) -> dict[str, str]:
    lines = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _has_limits(config: Mapping[str, str]) -> bool:
    enforced = config.get("AccountingStorageEnforce", "").lower()
    return "limits" in enforced or "safe" in enforced or "all" in enforced


def _max_submit(slurm: Slurm) -> int | None:
    shown = slurm.run(
        *("sacctmgr", "-n", "-P", "show", "assoc", f"user={user_name()}"),
        "format=MaxSubmitJobs,GrpSubmitJobs",
    )
    limits = [_number(cell) for line in shown.out.splitlines() for cell in line.split("|")]
    return max((limit for limit in limits if limit is not None), default=None)


def user_name() -> str:
    """Who submits; a uid without a name is given as its number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _number(text: str | None) -> int | None:
    found = re.match(r"\d+", text or "")
    return int(found[0]) if found else None


def read_partitions(table: str) -> tuple[Partition, ...]:
    """Read `sinfo -h -e -o "%P|%a|%l|%c|%m|%G"`: a line for each kind of node of a partition."""
    found: dict[str, Partition] = {}
    for line in table.splitlines():
        cells = line.split("|")
        if len(cells) != 6:
            continue
        each = _partition(cells)
        known = found.get(each.name, each)
        found[each.name] = Partition(
            each.name,
            each.is_default,
            each.is_up,
            each.max_time_min,
            max(each.max_cpus, known.max_cpus),
            max(each.max_memory_mb, known.max_memory_mb),
            max(each.max_gpus, known.max_gpus),
        )
    return tuple(found.values())


def _partition(cells: list[str]) -> Partition:
    name, is_up, time_limit, cpus, memory, gres = (cell.strip() for cell in cells)
    gpus = re.findall(r"gpu(?::[^:,(]+)*?:(\d+)", gres)
    return Partition(
        name=name.rstrip("*"),
        is_default=name.endswith("*"),
        is_up=is_up == "up",
        max_time_min=None if time_limit in ("infinite", "n/a") else minutes(time_limit),
        max_cpus=_number(cpus) or 0,
        max_memory_mb=_number(memory) or 0,
        max_gpus=sum(int(count) for count in gpus),
    )


def count_jobs(slurm: Slurm) -> int:
    """How many jobs, each element of an array counted, the user has in the queue."""
    shown = slurm.run("squeue", "-h", "-r", "-a", "-u", user_name(), "-o", "%i")
    return len(shown.out.splitlines())


_sites: dict[str | None, tuple[float, Site]] = {}
_lock = threading.Lock()


def site_of(slurm: Slurm) -> Site:
    """What is known of a cluster; asked again after five minutes."""
    with _lock:
        now = time.monotonic()
        read_at, site = _sites.get(slurm.conf, (float("-inf"), None))
        if site is None or now - read_at > _KEEP_S or not site.cluster:
            site = read_site(slurm)
            _sites[slurm.conf] = (now, site)
        return site
