"""What a list can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

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


@dataclass(frozen=True)
class Query:
    """Conditions, all of which a row must meet; an empty one is none.

    A tuple is a choice: `result_status=("failed", "incomplete")`. `attempt_status` knows
    `stale`, and `running` then means running and alive. `namespace` are prefixes at a dot, a
    slash or the end (`my_project.pipelines`, `my_project.pipelines/TrainModel`, `my_project`).
    `config` is in the language of `filters`. `text` is looked for, case ignored, in key, host,
    job id and error. `failure_group` is a `FailureGroup.group_id`. `keys`, unless None, are the
    only ones allowed. `sort` is one of `SORT_KEYS`, or `config.<path>`, with `-` before it for
    descending; rows without a value come last either way. Naive datetimes are UTC.

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
