"""`huldra run`: compute a target here, or submit it to an engine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from huldra.catalog import Catalog
from huldra.cli import output, plan, targets
from huldra.cli.targets import Target
from huldra.errors import HuldraError

if TYPE_CHECKING:
    from huldra import Sweep


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """Compute what is missing; exit code 1 where a member has no result."""
    words = [options.target, *options.words] if options.target else []
    if options.help:
        return _help(options, words)
    if not words:
        raise output.UsageError("name a TARGET: huldra run pkg.mod:Class field=value …")
    target = targets.resolve(catalog, words, options.grid)
    if options.plan:
        return plan.write(target, as_json=options.json)
    return compute(target, options)


def compute(target: Target, options: argparse.Namespace) -> int:
    """Compute a target here, or submit it where the options name an engine."""
    if options.executor is None:
        return _here(target, options.json)
    return _submit(target, options)


def _help(options: argparse.Namespace, words: list[str]) -> int:
    """Show the options, and for a class its fields."""
    import huldra

    output.write(options.parser.format_help())
    thing = targets.load(words[0]) if words and targets.is_code(words[0]) else None
    if isinstance(thing, type) and issubclass(thing, huldra.Huldra):
        output.write(f"\n{targets.fields_help(thing, words[1:])}\n")
    return 0


def _here(target: Target, as_json: bool) -> int:
    """Compute in this process. A failed member does not stop the others."""
    import huldra

    errors: tuple[Exception, ...] = ()
    try:
        huldra.load_or_create(target.configs())
    except ExceptionGroup as group:
        errors = group.exceptions
    _write_members(target, as_json)
    for error in errors:
        _write_error(error)
    return 1 if errors else 0


def _write_error(error: Exception) -> None:
    kind = "" if isinstance(error, HuldraError) else f"{type(error).__name__}: "
    notes = "; ".join(getattr(error, "__notes__", ()))
    text = f"{kind}{error}" + (f" ({notes})" if notes else "")
    sys.stderr.write(f"huldra: {output.clean(text)}\n")


def _submit(target: Target, options: argparse.Namespace) -> int:
    """Submit as one graph. Waits only for an engine whose jobs end with this process."""
    import huldra
    from huldra.engines import registry

    executor = registry.resolve(options.executor)
    configs = target.configs()
    sweep: Sweep[Any]
    if target.listed is not None:
        sweep = target.listed.load_or_create(executor)
    else:
        sweep = huldra.load_or_create(configs, executor)
    if executor.capabilities.survives_driver and not options.wait:
        _write_submitted(sweep, options.json)
        return 0
    sweep.wait(progress=True)
    _write_members(target, options.json)
    errors = sweep.failed()
    for name, error in errors.items():
        error.add_note(f"sweep member: {name}")
        _write_error(error)
    return 1 if errors else 0


def _write_submitted(sweep: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        output.write_json(
            [
                {"name": name, "key": job.key, "status": job.status().value, "job_id": job.job_id}
                for name, job in sweep.items()
            ]
        )
        return
    lines = [
        (name, job.status().value, job.job_id or "", str(job.artifact.huldra_dir))
        for name, job in sweep.items()
    ]
    output.write_table(("name", "status", "job", "directory"), lines)


def _write_members(target: Target, as_json: bool) -> None:
    import huldra

    configs = target.configs()
    states = huldra.status(configs)
    if as_json:
        output.write_json(
            [
                {
                    "name": name,
                    "key": target.keys[name],
                    "status": states[name],
                    "directory": str(config.huldra_dir),
                }
                for name, config in configs.items()
            ]
        )
        return
    lines = [(name, states[name], str(one.huldra_dir)) for name, one in configs.items()]
    output.write_table(("name", "status", "directory"), lines)
