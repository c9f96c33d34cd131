"""Who holds a claim: one process on one boot of one host, and the engine's job it runs in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from huldra.store.files import unique_suffix
from huldra.store.job_ref import JobRef

LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, named so that it is never taken for another one.

    A pid comes round again; with `started` (clock ticks since boot), `boot_id` and
    `pid_namespace` it does not. `token` names one claim of that process. Fields that the
    system could not tell are empty.
    """

    token: str
    host: str
    user: str
    pid: int
    started: str
    boot_id: str
    pid_namespace: str
    backend: str
    job: JobRef | None = None
    time_namespace: str = ""

    def to_json(self) -> dict[str, Any]:
        """Render as it stands in claims."""
        return {
            "token": self.token,
            "host": self.host,
            "user": self.user,
            "pid": self.pid,
            "started": self.started,
            "boot_id": self.boot_id,
            "pid_namespace": self.pid_namespace,
            "time_namespace": self.time_namespace,
            "backend": self.backend,
            "job": self.job.to_json() if self.job else None,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Owner:
        """Read what `to_json` wrote; what is missing or odd becomes empty."""
        pid = data.get("pid")
        return Owner(
            token=str(data.get("token", "")),
            host=str(data.get("host", "")),
            user=str(data.get("user", "")),
            pid=pid if isinstance(pid, int) else 0,
            started=str(data.get("started", "")),
            boot_id=str(data.get("boot_id", "")),
            pid_namespace=str(data.get("pid_namespace", "")),
            backend=str(data.get("backend", LOCAL)),
            job=JobRef.read(data.get("job")),
            time_namespace=str(data.get("time_namespace", "")),
        )

    def describe(self) -> str:
        """Name the owner for a person."""
        job = f", {self.job.engine} job {self.job.job_id}" if self.job else ""
        return f"{self.user}@{self.host} pid {self.pid}{job}"


def new_owner(backend: str = LOCAL, job: JobRef | None = None) -> Owner:
    """This process, as the owner of a new claim."""
    me = this_process()
    return Owner(
        unique_suffix(),
        me.host,
        me.user,
        me.pid,
        me.started,
        me.boot_id,
        me.pid_namespace,
        backend,
        job,
        me.time_namespace,
    )


def this_process() -> Owner:
    """The calling process, as an owner of nothing."""
    return _this_process(os.getpid())


def is_same_process(one: Owner, other: Owner) -> bool:
    """Return True if two owners are one process (their claims may differ)."""
    return (one.pid, one.started) == (other.pid, other.started) and shares_pids(one, other)


def shares_pids(one: Owner, other: Owner) -> bool:
    """Return True if pids and start times of both can be compared: one boot, the same namespaces.

    Start times are shifted by the offset of a time namespace. A record of an earlier version does
    not name its own, and counts as one of the same.
    """
    if not one.boot_id or one.boot_id != other.boot_id or one.pid_namespace != other.pid_namespace:
        return False
    times = {one.time_namespace, other.time_namespace} - {""}
    return len(times) < 2


@lru_cache(maxsize=1)
def _this_process(pid: int) -> Owner:
    return Owner(
        token="",
        host=os.uname().nodename,
        user=user_name(),
        pid=pid,
        started=_own_start_time(pid),
        boot_id=_first_line("/proc/sys/kernel/random/boot_id"),
        pid_namespace=_namespace("pid"),
        backend=LOCAL,
        time_namespace=_namespace("time"),
    )


def user_name() -> str:
    """The name of the user, or `uid` and their number where the system knows no name."""
    import getpass  # once a process: importing huldra should not pay for it

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a uid without a name, as containers have
        return f"uid{os.getuid()}"


def _namespace(kind: str) -> str:
    try:
        return os.readlink(f"/proc/self/ns/{kind}")
    except OSError:
        return ""


def start_time(pid: int) -> str | None:
    """When a process of this pid started, in clock ticks since boot.

    None when there is none, or only its zombie: a zombie runs nothing any more.
    """
    fields = _first_line(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in ("Z", "X", "x"):
        return None
    return fields[19]


def is_living(owner: Owner) -> bool | None:
    """Return True if a process of this boot and pid namespace lives; None if it is hidden.

    Where `/proc` is mounted with `hidepid`, another user's process is not to be seen, alive or not.
    """
    started = start_time(owner.pid)
    if started is not None:
        return started == owner.started
    return None if _is_hidden(owner.pid) else False


def _is_hidden(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace"):
            return False  # to be seen, and yet no start time: a zombie
    except PermissionError:
        return True
    except OSError:
        pass  # gone, or hidden so well that only the kernel's answer to a signal tells
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True  # it came between the two looks: the next one will see it


def _own_start_time(pid: int) -> str:
    # In a new pid namespace under the old one's `/proc`, our pid there is another process's.
    try:
        is_ours = os.readlink("/proc/self") == str(pid)
    except OSError:
        is_ours = False
    return (start_time(pid) or "") if is_ours else ""


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""
