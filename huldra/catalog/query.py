"""What a list can be asked for, and which rows answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from huldra.catalog.filters import contains_value
from huldra.catalog.records import ATTEMPT_STATUSES, RESULT_STATUSES, PackedConfig, Row
from huldra.errors import HuldraQueryError

SORT_KEYS = (
    "updated_at",
    "started_at",
    "queued_at",
    "ended_at",
    "duration_s",
    "namespace",
    "digest",
    "status",
    "hostname",
    "backend",
    "user",
)
CONFIG_SORT = "config."
METRICS = "metrics."
"""What stands before the name of a metric where a config field may stand, too."""
MAX_LIMIT = 10_000_000

_OF_SUBMITIT = frozenset({"slurm"})

Test = Callable[[Row], bool]
NamesOf = Callable[[], Mapping[tuple[str, str], str]]
"""(root, key) → the names that runs have given to an artifact, a line each."""


@dataclass(frozen=True)
class Query:
    """Conditions, all of which a row must meet; an empty one is none.

    A tuple is a choice: `result_status=("failed", "incomplete")`. `attempt_status` knows
    `stale`, and `running` then means running and alive. `namespace` are prefixes at a dot, a
    slash or the end (`my_project.pipelines`, `my_project.pipelines/TrainModel`, `my_project`); a
    dot may stand for the slash (`my_project.pipelines.TrainModel`).
    `backend` is `local` or an engine's name; `submitit` includes `slurm`.
    `config` is in the language of `filters`. `text` is looked for, case ignored, in key, host,
    job id, error, the names that sweeps give to their members, and the values of the config.
    `failure_group` is a `FailureGroup.group_id`. `keys`, unless None, are the only ones allowed.
    `sort` is one of `SORT_KEYS`, or `config.<path>`, with `-` before it for descending; rows
    without a value come last either way. Naive datetimes are UTC. `…_after` and
    `…_before` include the moment itself; a row without that time matches neither.

    Raises:
        HuldraQueryError: (when it is run) a value is not one of those allowed.
    """

    result_status: tuple[str, ...] = ()
    attempt_status: tuple[str, ...] = ()
    namespace: tuple[str, ...] = ()
    backend: tuple[str, ...] = ()
    hostname: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    root: tuple[str, ...] = ()
    started_after: datetime | None = None
    started_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    config: str = ""
    text: str = ""
    failure_group: str = ""
    keys: frozenset[str] | None = None
    sort: str = "-updated_at"
    offset: int = 0
    limit: int = 100


def tests_of(query: Query, names_of: NamesOf) -> list[Test]:
    """One test for each condition that `query` has, except that on the config."""
    _require("result_status", query.result_status, RESULT_STATUSES)
    _require("attempt_status", query.attempt_status, ATTEMPT_STATUSES)
    tests = [
        *_membership(query),
        *_times(query),
    ]
    if query.namespace:
        tests.append(_in_namespace(query.namespace))
    if query.text.strip():
        tests.append(_mentions(query.text.strip().lower(), names_of))
    return tests


def _require(field: str, values: Iterable[str], allowed: tuple[str, ...]) -> None:
    for value in values:
        if value not in allowed:
            raise HuldraQueryError(
                f"unknown {field} {value!r}; expected one of {', '.join(allowed)}",
                field=field,
                value=value,
            )


def _membership(query: Query) -> list[Test]:
    tests: list[Test] = []
    if query.keys is not None:
        keys = query.keys
        tests.append(lambda row: row.key in keys)
    if results := frozenset(query.result_status):
        tests.append(lambda row: row.result_status in results)
    if attempts := frozenset(query.attempt_status):
        tests.append(lambda row: row.attempt_status in attempts)
    if backends := _with_engines(query.backend):
        tests.append(lambda row: row.backend in backends)
    if hosts := frozenset(query.hostname):
        tests.append(lambda row: row.hostname in hosts)
    if users := frozenset(query.user):
        tests.append(lambda row: row.user in users)
    if roots := frozenset(query.root):
        tests.append(lambda row: row.root in roots)
    return tests


def _with_engines(backends: tuple[str, ...]) -> frozenset[str]:
    # A job that submitit sends to Slurm is recorded as Slurm's, which is who knows its id.
    return frozenset(backends) | (_OF_SUBMITIT if "submitit" in backends else frozenset())


def _times(query: Query) -> list[Test]:
    tests: list[Test] = []
    if query.started_after:
        started_from = utc(query.started_after)
        tests.append(lambda row: row.started_at is not None and row.started_at >= started_from)
    if query.started_before:
        started_to = utc(query.started_before)
        tests.append(lambda row: row.started_at is not None and row.started_at <= started_to)
    if query.updated_after:
        updated_from = utc(query.updated_after)
        tests.append(lambda row: row.updated_at is not None and row.updated_at >= updated_from)
    if query.updated_before:
        updated_to = utc(query.updated_before)
        tests.append(lambda row: row.updated_at is not None and row.updated_at <= updated_to)
    return tests


def utc(moment: datetime) -> datetime:
    """The moment with a time zone: UTC where it has none."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _in_namespace(prefixes: tuple[str, ...]) -> Test:
    known: dict[str, bool] = {}  # there are few namespaces, and many rows

    def test(row: Row) -> bool:
        answer = known.get(row.namespace)
        if answer is None:
            answer = any(is_below(row.namespace, prefix) for prefix in prefixes)
            known[row.namespace] = answer
        return answer

    return test


def is_below(namespace: str, prefix: str) -> bool:
    """Return True if `prefix` is the whole namespace or ends at one of its dots or its slash.

    A dot in `prefix` may stand for the slash: people write `a.b.Class` as they import it.
    """
    is_dotted = "/" not in prefix
    name = namespace.replace("/", ".") if is_dotted else namespace
    if not name.startswith(prefix):
        return False
    return len(name) == len(prefix) or prefix[-1:] in "./" or name[len(prefix)] in "./"


def _mentions(needle: str, names_of: NamesOf) -> Test:
    names = {place: text.lower() for place, text in names_of().items()}

    def test(row: Row) -> bool:
        return (
            needle in row.key.lower()
            or needle in row.hostname.lower()
            or needle in row.job_id.lower()
            or needle in row.error_type.lower()
            or needle in row.error_message.lower()
            or needle in names.get((row.root, row.key), "")
            or (isinstance(row.config, PackedConfig) and _is_in_config(needle, row.config))
        )

    return test


def _is_in_config(needle: str, config: PackedConfig) -> bool:
    """Return True if one of the values has the text; names of fields do not count."""
    if needle not in config.text.lower() and needle.isalnum():
        return False  # a quick no; JSON may write other characters in another way
    return any(contains_value(value, needle) for value in json.loads(config.text).values())


def sort_value(sort: str) -> tuple[str, bool]:
    """The key to sort by, and whether descending.

    Raises:
        HuldraQueryError: there is no such key.
    """
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    if name not in SORT_KEYS and not (name.startswith(CONFIG_SORT) and name != CONFIG_SORT):
        raise HuldraQueryError(
            f"unknown sort column {sort!r}; expected {', '.join(SORT_KEYS)} or config.<path>,"
            " with a leading - for descending order",
            field="sort",
            value=sort,
        )
    return name, descending


def check_window(query: Query) -> None:
    """Refuse an offset or a limit that no list has."""
    if query.offset < 0:
        raise HuldraQueryError(
            f"offset {query.offset} is negative; expected 0 or more",
            field="offset",
            value=str(query.offset),
        )
    if not 0 < query.limit <= MAX_LIMIT:
        raise HuldraQueryError(
            f"limit {query.limit} is out of range; expected 1 to {MAX_LIMIT}",
            field="limit",
            value=str(query.limit),
        )


def order_key(value: Any) -> tuple[int, Any]:
    """A value among others of any type: numbers before text before the rest."""
    if isinstance(value, bool):
        return 1, int(value)
    if isinstance(value, int | float):
        return (0, value) if value == value else (3, "nan")  # noqa: PLR0124  NaN has no order
    if isinstance(value, str):
        return 2, value
    return 3, repr(value)[:200]
