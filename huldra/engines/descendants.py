"""The processes that a node starts, and their end: none of them outlives its node.

Linux only: elsewhere a node's processes end with its process group, and those that left the group
stay. On Linux a worker adopts what its nodes' processes leave behind (it is a "child subreaper"),
so it finds all of them as its descendants, whatever session they are in. When the worker itself is
killed they go to the init process; then its parent finds them by a mark in the environment that
they began with. What gave up that environment, and was orphaned by a killed worker, is not found.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time

MARK = "HULDRA_WORKER_MARK"
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_S = 2.0
_KILL_PATIENCE_S = 5.0
_LOOK_S = 0.005


def adopt_orphans() -> None:
    """Become the parent of what this process's descendants leave behind, where the kernel can."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):  # no C library with `prctl`
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_own(grace_s: float = _GRACE_S) -> int:
    """End all descendants of this process: SIGTERM, after the grace SIGKILL; how many ran still.

    Python's own helpers stay, which keep books for this process and end with it. Without any child,
    as nearly always, this is one system call.
    """
    if not _has_children():
        return 0
    seen: set[int] = set()
    began = time.monotonic()
    while True:
        running = _running_descendants(os.getpid(), _helpers())
        late_s = time.monotonic() - began - grace_s
        if not running or late_s > _KILL_PATIENCE_S:
            return len(seen)
        for pid in running:
            if late_s >= 0:
                _signal(pid, signal.SIGKILL)
            elif pid not in seen:
                _signal(pid, signal.SIGTERM)
                _signal(pid, signal.SIGCONT)  # what is stopped would not hear of it
        seen.update(running)
        time.sleep(_LOOK_S)


def end_marked(mark: str) -> None:
    """Kill each process that began with this mark, until there is none."""
    if sys.platform != "linux":
        return
    entry = f"{MARK}={mark}".encode()
    until = time.monotonic() + _KILL_PATIENCE_S
    while time.monotonic() < until:
        found = [pid for pid in _pids() if _is_marked(pid, entry)]
        if not found:
            return
        for pid in found:
            _signal(pid, signal.SIGKILL)
        time.sleep(_LOOK_S)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _helpers() -> set[int]:
    """The resource trackers of multiprocessing and of loky."""
    trackers = (
        getattr(module, "_resource_tracker", None)
        for name, module in list(sys.modules.items())
        if name.endswith("resource_tracker")
    )
    return {pid for tracker in trackers if (pid := getattr(tracker, "_pid", None))}


def _running_descendants(root: int, spared: set[int]) -> list[int]:
    """Those that are no zombies; our own zombies are buried on the way."""
    children: dict[int, list[tuple[int, str]]] = {}
    for pid in _pids():
        if (stat := _stat(pid)) is not None:
            children.setdefault(stat[1], []).append((pid, stat[0]))
    running, front = [], [root]
    while front:
        parent = front.pop()
        for pid, state in children.get(parent, ()):
            if pid in spared:
                continue
            front.append(pid)
            if state not in "ZX":
                running.append(pid)
            elif parent == root:
                with contextlib.suppress(OSError):
                    os.waitpid(pid, os.WNOHANG)
    return running


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:  # not Linux
        return []


def _stat(pid: int) -> tuple[str, int] | None:
    """State and parent of a process; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            words = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return words[0].decode(), int(words[1])


def _is_marked(pid: int, entry: bytes) -> bool:
    if pid == os.getpid():
        return False
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # empty for a zombie
            return entry in file.read().split(b"\0")
    except OSError:  # gone, or another user's
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
