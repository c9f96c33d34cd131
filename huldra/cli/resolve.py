"""From what a person typed to the one artifact that is meant."""

from __future__ import annotations

from huldra.catalog import Catalog, Row
from huldra.cli.output import CommandError
from huldra.errors import HuldraArtifactMissing, HuldraQueryError


def the_artifact(catalog: Catalog, text: str) -> Row:
    """The artifact that `text` names; `CommandError` where there is none, or more than one."""
    try:
        return catalog.one(text)
    except (HuldraArtifactMissing, HuldraQueryError) as error:
        raise CommandError(str(error)) from None
