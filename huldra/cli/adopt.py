"""`huldra adopt`: let existing results stand for other configs."""

from __future__ import annotations

import argparse

from huldra.catalog import Catalog
from huldra.cli import output, targets
from huldra.cli.output import UsageError
from huldra.cli.resolve import the_artifact


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """Print what is adopted, or with no `--yes` what would be; exit code 1 where one is refused."""
    import huldra

    if options.differing:
        wanted = targets.resolve(catalog, options.words).configs()
        fields = [name for given in options.differing for name in given.split(",") if name]
        found = huldra.adopt_all(wanted, fields, of=options.of or None, dry_run=not options.yes)
    else:
        old, new = _old_and_new(options.words)
        wanted = targets.resolve(catalog, new).configs()
        if len(wanted) != 1:
            raise UsageError(
                f"NEW must be one config, found {len(wanted)}; --differing adopts many"
            )
        source = huldra.Found(the_artifact(catalog, old), catalog)
        (config,) = wanted.values()
        found = [huldra.adopt(source, config, dry_run=not options.yes)]
    for one in found:
        output.write(f"{output.clean_log(str(one))}\n")
    ready = sum(one.status == "ready" for one in found)
    if ready:
        output.write(f"\nnothing was written; --yes adopts {ready}\n")
    return int(any(one.status == "refused" for one in found))


def _old_and_new(words: list[str]) -> tuple[str, list[str]]:
    if len(words) < 2:
        raise UsageError("expected OLD, an ARTIFACT, and NEW, a TARGET of one config")
    return words[0], words[1:]
