"""Child processes of tests: Python code with the repository on its path and a store of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT_S = 60.0


def environment(root: Path | str, **settings: str) -> dict[str, str]:
    """The environment of a child that uses this root."""
    # Where the wheel is tested only `tests` is there, and huldra comes from the environment.
    paths = [str(REPOSITORY), str(REPOSITORY / "executors"), str(REPOSITORY / "dashboard")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "HULDRA_PATH": str(root),
        "HULDRA_LOG_LEVEL": "WARNING",
        **settings,
    }


def start(code: str, root: Path | str, **settings: str) -> subprocess.Popen[str]:
    """Start a child that runs `code`."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment(root, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    code: str, root: Path | str, timeout_s: float = TIMEOUT_S, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run `code` in a child to its end."""
    child = start(code, root, **settings)
    try:
        out, err = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        raise AssertionError(f"the child did not end in {timeout_s:g} s:\n{out}\n{err}") from None
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)


def run_script(script: Path, env: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> str:
    """Run a script as a user would, from its folder; what it prints, once it has ended well."""
    return run_command([sys.executable, script.name], script.parent, env, timeout_s)


def run_command(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], timeout_s: float = TIMEOUT_S
) -> str:
    """Run a command; what it prints, once it has ended well."""
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout_s
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_script(script: Path, env: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start a script as a user would, from its folder, with pipes to all that it says and hears."""
    return subprocess.Popen(
        [sys.executable, script.name, *arguments],
        cwd=script.parent,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a child's end: its code and what it said."""
    out, err = child.communicate(timeout=TIMEOUT_S)
    return child.returncode, out, err


def until(
    condition: Callable[[], object], what: str = "what was waited for", timeout_s: float = TIMEOUT_S
) -> None:
    """Return once the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: did not come in {timeout_s:g} s")
        time.sleep(0.005)
