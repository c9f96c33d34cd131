"""`python -m tests.benchmarks [NAME …]`: run the benchmarks and print one table.

A benchmark is a module `bench_NAME.py` of this folder with a function

    def rows() -> Iterator[Row]        (`tests.benchmarks.table.Row`; raises `Skipped(reason)`)

and, where it may take longer than five minutes, a constant `TIMEOUT_S`. Each runs in a process of
its own, in an empty folder outside of any git repository, with a store of its own in `HULDRA_PATH`
(in memory where the machine has `/dev/shm`, so that the disk's moods stay out of it),
`HULDRA_LOG_LEVEL=WARNING` and no other variable of huldra's. `BENCH_DISK` names a folder on disk.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.table import HEADER, Row, Skipped, line, markdown, rule

_HERE = Path(__file__).resolve().parent
_REPOSITORY = _HERE.parents[1]
_SOURCES = (_REPOSITORY, _REPOSITORY / "executors", _REPOSITORY / "dashboard")
_PREFIX = "bench_"
_ORDER = ("import", "hit", "miss", "counts", "graph", "hash", "local")
_TIMEOUT_S = 300.0
_MARK = "row:"


def names() -> list[str]:
    """The benchmarks that there are: the core's first, then the others by name."""
    found = {path.stem.removeprefix(_PREFIX) for path in _HERE.glob(f"{_PREFIX}*.py")}
    return [name for name in _ORDER if name in found] + sorted(found.difference(_ORDER))


def main() -> int:
    """Print the table; 0 when every benchmark could say what it had to."""
    known = names()
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    parser.add_argument("--json", metavar="FILE", help="write the rows as JSON, too")
    parser.add_argument("--markdown", action="store_true", help="print them as Markdown at the end")
    parser.add_argument("--memory", default="/dev/shm", help="folder for stores (%(default)s)")
    parser.add_argument("--disk", default=tempfile.gettempdir(), help="folder on disk")
    parser.add_argument("--one", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return _run_here(options.one)
    if unknown := set(options.names).difference(known):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {known}")
    return _run_all(options.names or known, options)


def _run_all(chosen: list[str], options: argparse.Namespace) -> int:
    rows: list[Row] = []
    failed = []
    print(line(HEADER), rule(), sep="\n", flush=True)
    for name in chosen:
        try:
            for row in _run_apart(name, options):
                rows.append(row)
                print(line(row.cells()), flush=True)
        except RuntimeError as error:
            failed.append(name)
            print(f"{name}: {error}", flush=True)
    missed = [row.what for row in rows if row.is_met is False]
    asked = [row for row in rows if row.goal is not None]
    print(f"\n{len(asked) - len(missed)} of {len(asked)} goals met")
    if options.json:
        Path(options.json).write_text(json.dumps([row.to_json() for row in rows], indent=1))
    if options.markdown:
        print(*markdown(rows), sep="\n")
    return 1 if failed else 0


def _run_apart(name: str, options: argparse.Namespace) -> Iterator[Row]:
    memory = options.memory if os.path.isdir(options.memory) else options.disk
    with (
        tempfile.TemporaryDirectory(prefix="huldra-bench-", dir=memory) as fast,
        tempfile.TemporaryDirectory(prefix="huldra-bench-", dir=options.disk) as disk,
    ):
        environ = {k: v for k, v in os.environ.items() if not k.startswith("HULDRA_")}
        environ |= {
            "HULDRA_PATH": f"{fast}/store",
            "HULDRA_LOG_LEVEL": "WARNING",
            "BENCH_DISK": disk,
            "PYTHONPATH": os.pathsep.join(map(str, _SOURCES)),
        }
        os.mkdir(f"{fast}/cwd")
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks", "--one", name],
            cwd=f"{fast}/cwd",
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        limit_s = _timeout_s(name)
        alarm = signal.signal(signal.SIGALRM, lambda *_: os.killpg(child.pid, signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        try:
            assert child.stdout is not None
            for text in child.stdout:
                if text.startswith(_MARK):
                    yield Row.from_json(json.loads(text.removeprefix(_MARK)))
                else:
                    print(f"  {text.rstrip()}", flush=True)
            code = child.wait()
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, alarm)
    if code:
        raise RuntimeError(f"ended with code {code} (it may take {limit_s:g} s)")


def _timeout_s(name: str) -> float:
    # Read, not imported: this process stays free of what a benchmark imports.
    text = (_HERE / f"{_PREFIX}{name}.py").read_text(encoding="utf-8")
    found = re.search(r"^TIMEOUT_S(?:: float)? = ([\d.]+)", text, re.MULTILINE)
    return float(found[1]) if found else _TIMEOUT_S


def _run_here(name: str) -> int:
    module = importlib.import_module(f"tests.benchmarks.{_PREFIX}{name}")
    try:
        for row in module.rows():
            print(_MARK + json.dumps(row.to_json()), flush=True)
    except Skipped as reason:
        print(f"{name}: skipped: {reason}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
