"""From what a person typed to the one artifact that is meant."""

from __future__ import annotations

from huldra.catalog import Catalog, Row
from huldra.cli.output import CommandError

_MAX_NAMED = 5


def the_artifact(catalog: Catalog, text: str) -> Row:
    """The artifact that `text` names.

    Raises:
        CommandError: there is none, or more than one.
    """
    found = catalog.find(text)
    if len(found) == 1:
        return found[0]
    where = ", ".join(catalog.roots)
    if not found:
        raise CommandError(
            f"no artifact {text!r} in {where}; expected a hash (4 digits or more), Class/<hash>,"
            " <namespace>/<hash> or a directory"
        )
    named = ", ".join(row.key for row in found[:_MAX_NAMED])
    more = f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else ""
    raise CommandError(f"{text!r} is ambiguous ({named}{more}); use a longer prefix")
