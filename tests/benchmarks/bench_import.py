"""`import huldra` against `import chz`, each in a fresh interpreter."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator

from tests.benchmarks.table import Row

_ROUNDS = 15
_FIRST_CLASS = "huldra; huldra.Huldra"
# What only some need, or what takes long: none of it may come with the library's name.
_HEAVY = frozenset(
    (
        *("rich", "pydantic", "submitit", "dask", "distributed", "ray", "streamlit", "pandas"),
        *("numpy", "yaml", "cloudpickle"),
        *("huldra_local", "huldra_submitit", "huldra_dask", "huldra_ray"),
    )
)
_PROGRAM = """
import resource, sys, time
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
before, wall = cpu(), time.perf_counter()
import {module}
print(cpu() - before, time.perf_counter() - wall)
"""


def rows() -> Iterator[Row]:
    """The time of the import, and what it drags along."""
    seen: dict[str, list[tuple[float, float]]] = {
        module: [] for module in ("chz", "huldra", _FIRST_CLASS, "joblib")
    }
    for number in range(_ROUNDS + 1):
        for module, times in seen.items():
            if number:  # the first round writes the byte code
                times.append(_time(module))
            else:
                _time(module)
    cpu = {m: statistics.median(t[0] for t in times) * 1e3 for m, times in seen.items()}
    wall = {m: statistics.median(t[1] for t in times) * 1e3 for m, times in seen.items()}
    yield Row(
        "import huldra (floor: import chz)",
        cpu["huldra"],
        "ms CPU",
        cpu["chz"],
        1.25,
        f"wall {wall['huldra']:.0f} ms, chz {wall['chz']:.0f}, joblib {wall['joblib']:.0f}",
    )
    # The names of huldra are imported at their first use, so this is what a program really pays.
    yield Row(
        "import huldra, and name Huldra (floor: import chz)",
        cpu[_FIRST_CLASS],
        "ms CPU",
        cpu["chz"],
        None,
        f"wall {wall[_FIRST_CLASS]:.0f} ms",
    )
    heavy = _loaded_by(_FIRST_CLASS)
    yield Row(
        "import huldra: engines, rich, pydantic loaded", len(heavy), "", None, 0, " ".join(heavy)
    )


def _time(module: str) -> tuple[float, float]:
    cpu, wall = _run(_PROGRAM.format(module=module)).split()
    return float(cpu), float(wall)


def _loaded_by(module: str) -> list[str]:
    program = f"import {module}; import sys, json; print(json.dumps(sorted(sys.modules)))"
    return sorted(_HEAVY.intersection(json.loads(_run(program))))


def _run(program: str) -> str:
    # Byte code of our own: what lies beside the sources may be old, or be forbidden to be written.
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": os.path.abspath("byte-code")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environ,
    )
    return done.stdout
