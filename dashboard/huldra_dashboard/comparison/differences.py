"""What differs between configs: plain values in, lines of a table out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huldra.catalog.config_fields import same
from huldra_dashboard.artifact.config_tab import flatten

_MISSING = object()


@dataclass(frozen=True)
class Line:
    """One field in all artifacts: `values` in their order, `present` says who has it."""

    path: str
    values: tuple[Any, ...]
    present: tuple[bool, ...]

    @property
    def differs(self) -> bool:
        """True if not all have the field with the same value and type."""
        return not all(self.present) or any(
            not same(self.values[0], value) for value in self.values[1:]
        )


def lines(configs: Sequence[Mapping[str, Any] | None]) -> list[Line]:
    """All fields of all configs, in the order in which they first occur."""
    flat = [dict(flatten(config or {})) for config in configs]
    for leaves in flat:
        leaves.pop("", None)  # an empty config is a leaf without a path
    paths = dict.fromkeys(path for leaves in flat for path in leaves)
    result = []
    for path in paths:
        found = [leaves.get(path, _MISSING) for leaves in flat]
        present = tuple(value is not _MISSING for value in found)
        result.append(Line(path, tuple(None if v is _MISSING else v for v in found), present))
    return result
