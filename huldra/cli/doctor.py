"""`huldra doctor`: whether the store, the adapters and this installation are sound."""

from __future__ import annotations

import argparse
import importlib.util
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import NamedTuple

from huldra.catalog import Catalog, presentation
from huldra.cli import file_system, output
from huldra.cli.file_system import OK, PROBLEM, WARNING, Check
from huldra.engines.protocol import registered_engines
from huldra.settings import HULDRA_CONFIG

_IMPORT_S = 60.0
_MAX_NAMED = 3


class Adapter(NamedTuple):
    """An adapter's module, and the library of its engine: distribution and module."""

    module: str
    distribution: str = ""
    library: str = ""


ADAPTERS: Mapping[str, Adapter] = {
    "local": Adapter("huldra_local"),
    "slurm": Adapter("huldra_submitit", "submitit", "submitit"),
    "dask": Adapter("huldra_dask", "distributed", "distributed"),
    "ray": Adapter("huldra_ray", "ray", "ray"),
}


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """Check all, a line each; exit code 1 if one is a problem."""
    found = []
    for root, check in _checks(catalog, options):
        found.append((root, check))
        if not options.json:
            output.write(f"{output.clean(_line(check))}\n")
            sys.stdout.flush()  # the next one may take a while
    if options.json:
        output.write_json([{"root": root, **_as_json(check)} for root, check in found])
    else:
        output.write(f"\n{_summary([check for _, check in found])}\n")
    return 1 if any(check.verdict == PROBLEM for _, check in found) else 0


def _checks(catalog: Catalog, options: argparse.Namespace) -> Iterator[tuple[str, Check]]:
    """All checks, each with the root that it is about, "" for those about this installation."""
    yield "", _versions()
    for engine in ADAPTERS:
        yield "", _adapter(engine, ADAPTERS[engine])
    for engine, module in registered_engines().items():
        if engine not in ADAPTERS:
            yield "", _adapter(engine, Adapter(module))
    if not options.root and HULDRA_CONFIG.is_default("root"):
        found = "not set: ./data-huldra of the working directory is the store"
        remedy = "set it to one folder: a store for each working directory computes all again"
        yield "", Check("HULDRA_PATH", WARNING, found, remedy)
    for root in catalog.roots:
        for check in file_system.checks(root, read_only=options.read_only):
            yield root, check
        alone = Catalog([root])
        yield root, _unreadable(alone)
        yield root, _abandoned(alone)


def _line(check: Check) -> str:
    remedy = f"; {check.remedy}" if check.remedy else ""
    return f"{check.verdict:<8} {check.name:<12} {check.found}{remedy}"


def _as_json(check: Check) -> dict[str, object]:
    return {
        "check": check.name,
        "verdict": check.verdict,
        "found": check.found,
        "remedy": check.remedy,
        "numbers": dict(check.numbers),
    }


def _summary(found: list[Check]) -> str:
    verdicts = [check.verdict for check in found]
    warnings = presentation.count(verdicts.count(WARNING), "warning")
    return f"{warnings}, {presentation.count(verdicts.count(PROBLEM), 'problem')}"


# ---- this installation --------------------------------------------------------------------------


def _versions() -> Check:
    known = f"huldra {_version('huldra')}, chz {_version('chz')}"
    where = f"Python {platform.python_version()} ({sys.executable})"
    return Check("versions", OK, f"{known}, {where}")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _adapter(engine: str, adapter: Adapter) -> Check:
    """Import an adapter and its engine's library, in a process of their own: it may crash."""
    if adapter.library and importlib.util.find_spec(adapter.library) is None:
        install = f"to use it: pip install '{adapter.distribution}'"
        return Check(engine, OK, f"{adapter.distribution} is not installed ({install})")
    wanted = [adapter.module.partition(":")[0], *([adapter.library] if adapter.library else [])]
    why = _why_not_imported(wanted)
    version = (
        f"{adapter.distribution} {_version(adapter.distribution)}, " if adapter.library else ""
    )
    if not why:
        return Check(engine, OK, f"{version}the adapter {adapter.module} loads")
    remedy = f"install it again: pip install --force-reinstall {adapter.distribution or wanted[0]}"
    return Check(
        engine, PROBLEM, f"{version}{' and '.join(wanted)} cannot be imported: {why}", remedy
    )


def _why_not_imported(modules: list[str]) -> str:
    """Return what a new interpreter says on importing the modules; "" if it can."""
    command = [sys.executable, "-P", "-c", f"import {', '.join(modules)}"]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=_IMPORT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"it took more than {_IMPORT_S:.0f} s"
    if ended.returncode == 0:
        return ""
    lines = ended.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"the interpreter ended with {ended.returncode}"


# ---- the artifacts ------------------------------------------------------------------------------


def _unreadable(catalog: Catalog) -> Check:
    """Look for folders and artifacts of which a file cannot be read."""
    snapshot = catalog.snapshot()
    found = [f"{row.directory} ({row.problem})" for row in snapshot.rows if row.problem]
    found += snapshot.problems
    if not found:
        all_of_them = presentation.count(len(snapshot.rows), "artifact")
        return Check(
            "artifacts", OK, f"{all_of_them}, all readable", numbers={"count": len(snapshot.rows)}
        )
    return Check(
        "artifacts",
        PROBLEM,
        f"{len(found)} cannot be read: {_named(found)}",
        "restore the files or their permissions, or remove the artifacts (huldra rm)",
        {"unreadable": len(found)},
    )


def _abandoned(catalog: Catalog) -> Check:
    """Look for claims whose owner is dead."""
    stale = [row.key for row in catalog.snapshot().rows if row.attempt_status == "stale"]
    if not stale:
        return Check("claims", OK, "none is abandoned", numbers={"count": 0})
    return Check(
        "claims",
        WARNING,
        f"{len(stale)} abandoned by a process that died: {_named(stale)}",
        "the next run takes them over; huldra ls --attempt stale lists them",
        {"count": len(stale)},
    )


def _named(found: list[str]) -> str:
    more = f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else ""
    return ", ".join(found[:_MAX_NAMED]) + more
