"""`huldra accept`: that the code which computed an artifact is as good as the code on disk."""

from __future__ import annotations

import argparse

from huldra.catalog import Catalog, Row
from huldra.cli import output
from huldra.cli.resolve import the_artifact
from huldra.provenance import code_difference
from huldra.provenance.code_difference import CodeDifference
from huldra.store.layout import ArtifactPaths


def run(catalog: Catalog, options: argparse.Namespace) -> int:
    """Record for each artifact that the difference does not matter, and print what it was."""
    rows = [the_artifact(catalog, name) for name in options.artifact]
    for row in rows:
        difference = difference_of(catalog, row)
        if code_difference.accept(ArtifactPaths(row.directory), difference):
            output.write(f"accepted {row.key}: {output.clean(str(difference))}\n")
        else:
            output.write(f"{row.key}: the code on disk does not differ from its own\n")
    return 0


def difference_of(catalog: Catalog, row: Row) -> CodeDifference | None:
    """Return how an artifact's code differs from the files on disk; None where it does not."""
    return code_difference.of_disk(ArtifactPaths(row.directory), catalog.detail(row).metadata)
