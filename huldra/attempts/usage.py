"""What one attempt uses: seconds of wall and processor, and the most memory of a process.

All of it is asked of the kernel, in microseconds; nothing is written but the attempt's own end.
"""

from __future__ import annotations

import resource
import sys
import time

from huldra.store.records import Used

_PEAK_RESET = "/proc/self/clear_refs"
_KIB = 2**20 if sys.platform == "darwin" else 2**10  # units of `ru_maxrss` in a MiB


class Meter:
    """Counts from now on what this process and the children that it waits for use.

    Where the process exists for the attempt (`owns_process`), its peak counts from what it has now.
    Elsewhere the peak is that of the process so far, and the seconds of processor count all of its
    threads.
    """

    def __init__(self, *, owns_process: bool) -> None:
        self._began_at = time.monotonic()
        self._cpu_before_s = _cpu_s(_rusage())
        if owns_process:
            _reset_peak()

    def read(self) -> Used:
        """Return what was used until now."""
        used = _rusage()
        peak_mib = max(each.ru_maxrss for each in used) // _KIB
        return Used(
            wall_s=round(time.monotonic() - self._began_at, 3),
            cpu_s=round(max(0.0, _cpu_s(used) - self._cpu_before_s), 3),
            peak_memory_gb=round(peak_mib / 1024, 3),
        )


def _rusage() -> list[resource.struct_rusage]:
    """What this process, and the children that it waited for, used so far."""
    return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]


def _cpu_s(used: list[resource.struct_rusage]) -> float:
    return sum(each.ru_utime + each.ru_stime for each in used)


def _reset_peak() -> None:
    try:
        with open(_PEAK_RESET, "w", encoding="ascii") as file:
            file.write("5")  # Linux: the peak becomes what the process has now
    except OSError:  # elsewhere, or not allowed: the peak is that of the process
        pass
