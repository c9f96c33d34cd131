"""What one node requests from any engine: the one thing of engines that defining a class needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RESOURCE_KEYS = frozenset({"cpus", "gpus", "memory_gb", "time_min"})


@dataclass(frozen=True)
class Resources:
    """What one node requests from any engine; never part of the hash.

    `cpus` and `gpus` are counts, `memory_gb` is in units of 2**30 bytes, `time_min` in
    minutes. None requests nothing. `extra` holds options of one engine, with that engine's prefix
    (`{"slurm_partition": "gpu"}`). Other engines ignore them; a key without a known prefix is
    refused before anything is submitted.

    Raises:
        TypeError: A quantity is not a number.
        ValueError: A quantity is negative or not finite.
    """

    cpus: float | None = None
    gpus: float | None = None
    memory_gb: float | None = None
    time_min: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in sorted(RESOURCE_KEYS):
            value = getattr(self, key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"Resources.{key} must be a number, not {value!r}")
            if not value >= 0 or value == float("inf"):
                raise ValueError(f"Resources.{key} must be finite and not negative, not {value!r}")
