"""The language of config filters: `lr<1e-3 and (opt.name=adam or seed in 1,2,3)`.

A comparison is `field op value`. `field` is a dotted path into the config (`opt.name`,
`parts[0].size`); it goes on into a nested artifact's config. Operators: `=` `!=` `<` `<=` `>`
`>=`, `~` (contains, case ignored) and `in` (`seed in 1,2,3`). A value is a number, `true`,
`false`, `null`, or text, in quotes where it has spaces or commas. Comparisons are joined by `and`
(also by nothing but space) and `or`, with round brackets. An artifact that lacks the field
matches no comparison on it, `!=` included. Numbers compare as numbers, text as text: `lr<abc`
matches nothing with a number in `lr`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Config = Mapping[str, Any]
Lookup = Callable[[str], Config | None]  # key of a nested artifact → its config
Predicate = Callable[[Config, Lookup], bool]


def parse_filter(text: str) -> Predicate:
    """Compile `text`; blank matches all.

    Raises:
        HuldraQueryError: `text` is not of the language; says where.
    """
    raise NotImplementedError


def field_values(config: Config, path: str, lookup: Lookup) -> Any:
    """The value at the dotted `path`, or `MISSING_FIELD`."""
    raise NotImplementedError
