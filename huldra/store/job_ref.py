"""The record that finds an engine's job again, and the name that a task has at its engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class JobRef:
    """Plain JSON that finds a job again from another process: `engine` names the adapter."""

    engine: str
    job_id: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Render as the object that stands in claims and in `state.json`."""
        return {"engine": self.engine, "job_id": self.job_id, "meta": dict(self.meta)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> JobRef:
        """Read what `to_json` wrote; unknown keys are ignored."""
        meta = data.get("meta")
        odd_is_empty = dict(meta) if isinstance(meta, Mapping) else {}
        return JobRef(str(data["engine"]), str(data["job_id"]), odd_is_empty)

    def named(self, name: str) -> JobRef:
        """The job of the task `name`, where this is what a run's jobs have in common."""
        return JobRef(self.engine, name + self.job_id, self.meta)

    @staticmethod
    def read(data: object) -> JobRef | None:
        """What `to_json` wrote, or None where something else stands."""
        if not isinstance(data, Mapping) or "job_id" not in data or "engine" not in data:
            return None
        return JobRef.from_json(data)

    def __hash__(self) -> int:
        return hash((self.engine, self.job_id))


def task_name(key: str, number: int) -> str:
    """What attempt `number` of the artifact `key` is called on every engine."""
    namespace, _, digest = key.rpartition("/")
    return f"{namespace}-{digest}-{number}"
