"""Config fields over all rows of a snapshot: each config is read once a field, and not again.

A config is kept as text (`records.PackedConfig`). A filter, or an order, by a field asks for one
value of each row: those are worked out at the first question, and handed on from snapshot to
snapshot as far as the configs are the same.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from huldra.catalog.filters import MISSING_FIELD, Step, parse_path, step_into
from huldra.catalog.records import PackedConfig, Row

_MAX_COLUMNS = 30


class _Within(NamedTuple):
    """A value that stands in another artifact's config."""

    key: str
    steps: tuple[Step, ...]  # fewer than led here


class Columns:
    """The values of config fields, in the order of `rows`. May be asked from any thread."""

    def __init__(
        self, rows: Sequence[Row], place_of: Callable[[str], int], before: Columns | None
    ) -> None:
        """`place_of` gives the place of the artifact of a key in `rows`, -1 where it is none.

        `before` are those of the snapshot before, if that was asked for any.
        """
        self._rows = rows
        self._place_of = place_of
        self._lock = threading.RLock()
        self._raw: dict[tuple[Step, ...], list[Any]] = {}
        self._values: dict[tuple[Step, ...], list[Any]] = {}
        self._known = ([], {}) if before is None else before.worked_out()

    def of(self, path: str) -> Sequence[Any]:
        """The value at a dotted path in each row's config, `MISSING_FIELD` where it has none."""
        with self._lock:
            if len(self._values) >= _MAX_COLUMNS:
                self._values.clear()
                self._raw.clear()
            return self._column(parse_path(path))

    def worked_out(self) -> tuple[Sequence[Row], dict[tuple[Step, ...], list[Any]]]:
        """The rows, and what was read of their configs."""
        with self._lock:
            return self._rows, dict(self._raw)

    def _column(self, steps: tuple[Step, ...]) -> list[Any]:
        if steps not in self._values:
            raw = self._raw[steps] = self._raw_column(steps)
            self._values[steps] = [
                self._resolved(value) if type(value) is _Within else value for value in raw
            ]
        return self._values[steps]

    def _resolved(self, within: _Within) -> Any:
        place = self._place_of(within.key)
        return MISSING_FIELD if place < 0 else self._column(within.steps)[place]

    def _raw_column(self, steps: tuple[Step, ...]) -> list[Any]:
        rows, known = self._known[0], self._known[1].pop(steps, None)
        if known is None:
            return [_raw_value(row.config, steps) for row in self._rows]
        values = {id(row.config): value for row, value in zip(rows, known, strict=True)}
        return [
            values[id(row.config)] if id(row.config) in values else _raw_value(row.config, steps)
            for row in self._rows
        ]


def _raw_value(config: Mapping[str, Any] | None, steps: tuple[Step, ...]) -> Any:
    """As `filters.value_at`, but for what another artifact's config has to tell."""
    if config is None:
        return MISSING_FIELD
    value: Any = json.loads(config.text) if isinstance(config, PackedConfig) else config
    for place, step in enumerate(steps):
        key = value.get("$ref") if place and isinstance(value, dict) and step != "$ref" else None
        if key is not None:
            return _Within(key, steps[place:]) if isinstance(key, str) else MISSING_FIELD
        value = step_into(value, step)
        if value is MISSING_FIELD:
            break
    return value
