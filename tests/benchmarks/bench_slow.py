"""A file system like a cluster's: each call that names a path of the store takes a millisecond.

`slowfs.c` counts and delays these calls; it is compiled here, and the rows need a C compiler. The
time that a row tells is mostly sleep, so a busy machine makes it larger, and never smaller.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.table import Row, Skipped

TIMEOUT_S = 600.0

_CALL_US = 1000
_ROWS = (
    ("send", 1000, "1 ms a call: compile, plan and send 1,000 nodes", 1.0),
    ("hits", 1000, "1 ms a call: 1,000 hits by one call", 0.5),
    ("sweep", 1000, "1 ms a call: sweep of 1,000 on local:2", 8.0),
)


def rows() -> Iterator[Row]:
    """Calls a node of two plans, and what sending, hits and a sweep take."""
    library = _compiled()
    for what, goal in (("plan-missing", 0.1), ("plan-made", 2.01)):
        found = _run(library, what, 10_000, call_us=0)
        yield Row(
            f"plan of 10,000 nodes of one class ({what.removeprefix('plan-')}): calls a node",
            round(found["calls"] / 10_000, 4),
            "",
            None,
            goal,
        )
    for what, count, words, goal in _ROWS:
        found = _run(library, what, count, call_us=_CALL_US)
        beside = f"{found['calls'] / count:.1f} calls a node in the driver"
        yield Row(words, found["seconds"], "s", None, goal, beside)


def _compiled() -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise Skipped("no C compiler to build slowfs.c with")
    library = os.path.abspath("slowfs.so")
    source = str(Path(__file__).with_name("slowfs.c"))
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Skipped(f"slowfs.c does not compile here: {done.stderr[-200:]}")
    return library


def _run(library: str, what: str, count: int, *, call_us: int) -> dict[str, Any]:
    store = f"{os.environ['HULDRA_PATH']}-{what}"
    program = [sys.executable, "-m", "tests.benchmarks.slow_program", what, str(count)]
    environ = {**os.environ, "HULDRA_PATH": store}
    if what in ("hits", "plan-made"):
        subprocess.run([*program[:3], "fill", str(count)], env=environ, check=True)
    environ |= {"LD_PRELOAD": library, "SLOW_DIR": store, "SLOW_US": str(call_us)}
    done = subprocess.run(program, env=environ, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
