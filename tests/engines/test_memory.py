"""The kernel's count of what it killed for lack of memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from huldra.engines.memory import MemoryKills


def counter(folder: Path, groups: str) -> MemoryKills:
    """A look at a `/proc/self/cgroup` and a `/sys/fs/cgroup` of this test's own."""
    (folder / "groups").write_text(groups)
    return MemoryKills(str(folder / "groups"), str(folder))


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/user.slice/x\n", "user.slice/x/memory.events"),
        ("0::/\n", "memory.events"),
        ("0::/docker/abc\n", "memory.events"),  # a container sees its own group as the root
        ("5:devices:/\n4:memory:/job_7\n0::/\n", "memory/job_7/memory.oom_control"),
        ("4:cpu,memory:/docker/abc\n", "memory/memory.oom_control"),
    ],
)
def test_each_kill_explains_one_death(tmp_path: Path, groups: str, file: str) -> None:
    """In both versions of control groups, in and outside of containers."""
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("oom 3\noom_kill 1\n")
    kills = counter(tmp_path, groups)
    assert not kills.explain_one()
    path.write_text("oom 4\noom_kill 3\n")
    assert [kills.explain_one() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("text", ["", "oom_kill\n", "oom_kill many\n"])
def test_what_cannot_be_read_says_nothing(tmp_path: Path, text: str) -> None:
    """No such file, or another content."""
    kills = counter(tmp_path, "0::/\n")
    (tmp_path / "memory.events").write_text(text)
    assert not kills.explain_one()


@contextlib.contextmanager
def small_group() -> Iterator[Path]:
    """A control group of 64 MiB (version 1); skips where none can be made."""
    group = Path(f"/sys/fs/cgroup/memory/huldra-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(64 << 20))
    except OSError as error:
        pytest.skip(f"no control group for memory can be made here: {error}")
    try:
        yield group
    finally:
        group.rmdir()


_FILL = "bytearray(256 << 20)"
_PROGRAM = """
import subprocess, sys
from huldra.engines.memory import MemoryKills
open(sys.argv[1] + "/cgroup.procs", "w").write("0")
kills = MemoryKills()
code = subprocess.run([sys.executable, "-c", sys.argv[2]]).returncode
print(code, kills.explain_one(), kills.explain_one())
"""


def test_the_kernel_is_heard() -> None:
    """A process that takes more than its group may have: killed by SIGKILL, and counted."""
    with small_group() as group:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(group), _FILL],
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.split() == ["-9", "True", "False"]
