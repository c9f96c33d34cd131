"""What this machine offers: cpus, GPUs and memory, as far as this process may use them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

_GIB = 2**30
_CGROUP = Path("/sys/fs/cgroup")


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """How many cpus this process may use: its affinity, less where a container's quota says so."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    quota = _cpu_quota(cgroup)
    return max(1, count if quota is None else min(count, math.ceil(quota)))


def _cpu_quota(cgroup: Path) -> float | None:
    words = _words(cgroup / "cpu.max")
    if len(words) == 2 and words[0] != "max":
        return int(words[0]) / int(words[1])
    quota = _words(cgroup / "cpu/cpu.cfs_quota_us")
    period = _words(cgroup / "cpu/cpu.cfs_period_us")
    if quota and period and int(quota[0]) > 0:
        return int(quota[0]) / int(period[0])
    return None


def total_memory_gb(cgroup: Path = _CGROUP) -> float:
    """The memory of this machine or of this container in GiB; infinite where nothing tells."""
    limits = [_meminfo_bytes()]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        words = _words(cgroup / name)
        if words and words[0] != "max":
            limits.append(float(words[0]))
    return min(limits) / _GIB


def _meminfo_bytes() -> float:
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemTotal:"):
            return float(line.split()[1]) * 1024
    return math.inf


def visible_gpus(environ: Mapping[str, str], devices: Path = Path("/dev")) -> tuple[str, ...]:
    """The GPUs that this process may use, as they stand in `CUDA_VISIBLE_DEVICES`."""
    declared = environ.get("CUDA_VISIBLE_DEVICES")
    if declared is not None:
        names = [name.strip() for name in declared.split(",")]
        return tuple(name for name in names if name and name != "-1")
    try:
        found = [m[1] for name in os.listdir(devices) if (m := re.fullmatch(r"nvidia(\d+)", name))]
    except OSError:
        found = []
    return tuple(sorted(found, key=int))


def _words(path: Path) -> list[str]:
    lines = _lines(path)
    return lines[0].split() if lines else []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
