"""Who listens where, by /proc: what a process and all that it started can be reached at."""

from __future__ import annotations

import ipaddress
import os
import struct
from collections.abc import Iterator
from pathlib import Path

_LISTENS = "0A"


def listening(pid: int) -> dict[str, set[str]]:
    """The addresses at which a process or a descendant of it listens, by what it is called."""
    sockets = dict(_listening_sockets())
    found: dict[str, set[str]] = {}
    for process in (pid, *descendants(pid)):
        for inode in _sockets_of(process):
            if inode in sockets:
                found.setdefault(_name(process), set()).add(sockets[inode])
    return found


def descendants(pid: int) -> list[int]:
    """The processes that this one started, and those that they did."""
    parents: dict[int, list[int]] = {}
    for process in _processes():
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents.setdefault(int(fields[1]), []).append(process)
    found, front = [], [pid]
    while front:
        children = parents.get(front.pop(), [])
        found += children
        front += children
    return found


def _processes() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _listening_sockets() -> Iterator[tuple[str, str]]:
    """Inode and address of each TCP socket that listens."""
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS:
                yield fields[9], _address(fields[1].partition(":")[0])


def _address(text: str) -> str:
    """An address as the kernel writes it, in words of four bytes as they lie in memory."""
    words = [int(text[i : i + 8], 16) for i in range(0, len(text), 8)]
    address = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def _sockets_of(pid: int) -> Iterator[str]:
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        try:
            target = os.readlink(descriptor)
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[len("socket:[") : -1]


def _name(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return str(pid)
    return " ".join(word.decode(errors="replace").rpartition("/")[2] for word in words[:3])
