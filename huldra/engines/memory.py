"""What the kernel says of the memory of processes, and of those that it killed for lack of it.

It counts the kills for each control group, that is for a container, a batch job or a login
session. So a count that has grown says that some process of the group was killed, and not which.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator

_GROUPS = "/proc/self/cgroup"
_MOUNT = "/sys/fs/cgroup"


def peak_gb(used: resource.struct_rusage) -> float:
    """The most memory that one process had at one time, in units of 2**30 bytes."""
    return float(used.ru_maxrss) / 2 ** (30 if sys.platform == "darwin" else 20)  # bytes, KiB


class MemoryKills:
    """The kills for lack of memory in this process's group from now on, each for one death."""

    def __init__(self, groups: str = _GROUPS, mount: str = _MOUNT) -> None:
        self._groups = groups
        self._mount = mount
        self._explained = self._counted()

    def explain_one(self) -> bool:
        """Return True if one more process was killed than this has explained so far."""
        is_more = self._counted() > self._explained
        self._explained += is_more
        return is_more

    def _counted(self) -> int:
        """The first count that is found; 0 where the kernel, or the container, shows none."""
        counts = (_count_in(path) for path in self._counters())
        return next((count for count in counts if count is not None), 0)

    def _counters(self) -> Iterator[str]:
        for line in _lines(self._groups):
            number, _, rest = line.partition(":")
            controllers, _, group = rest.partition(":")
            folders = [group.rstrip("/"), ""]  # a container may see its own group as the root
            if "memory" in controllers.split(","):  # version 1
                yield from (f"{self._mount}/memory{each}/memory.oom_control" for each in folders)
            elif number == "0":
                yield from (f"{self._mount}{each}/memory.events" for each in folders)


def _count_in(path: str) -> int | None:
    for line in _lines(path):
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.isdigit():
            return int(value)
    return None


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:  # not Linux, or hidden
        return []
