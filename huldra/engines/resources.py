"""What one node requests from any engine: the one thing of engines that defining a class needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RESOURCE_KEYS = frozenset({"cpus", "gpus", "memory_gb", "time_min"})


# What `Retry` can have more of at another try: its factor, its ceiling, and the resource.
GROWTH = (("memory", "max_memory_gb", "memory_gb"), ("time", "max_time_min", "time_min"))


@dataclass(frozen=True)
class Retry:
    """More memory, or more time, for a node that was killed for lack of it.

    Each kill for lack of memory multiplies `memory_gb` by `memory` for the next try, up to
    `max_memory_gb`; each time limit that was reached multiplies `time_min` by `time`, up to
    `max_time_min`. None asks for no other try. `max_tries` counts the first try, too; preemptions
    and lost hosts have their own count (`HULDRA_PREEMPT_MAX`).

    Raises:
        TypeError: A value is not a number.
        ValueError: A factor is not above 1, or a limit is not above 0.
    """

    memory: float | None = None
    time: float | None = None
    max_memory_gb: float | None = None
    max_time_min: float | None = None
    max_tries: int = 3

    def __post_init__(self) -> None:
        for key in ("memory", "time", "max_memory_gb", "max_time_min", "max_tries"):
            value = getattr(self, key)
            if value is None and key != "max_tries":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"Retry.{key} must be a number, not {value!r}")
            least = 1 if key in ("memory", "time", "max_tries") else 0
            if not least < value < float("inf"):
                raise ValueError(f"Retry.{key} must be finite and above {least}, not {value!r}")


@dataclass(frozen=True)
class Resources:
    """What one node requests from any engine; never part of the hash.

    `cpus` and `gpus` are counts, `memory_gb` is in units of 2**30 bytes, `time_min` in
    minutes. None requests nothing. `retry` requests more at another try. `extra` holds options of
    one engine, with that engine's prefix (`{"slurm_partition": "gpu"}`). Other engines ignore
    them; a key without a known prefix is refused before anything is submitted.

    Raises:
        TypeError: A quantity is not a number, or `retry` is no `Retry`.
        ValueError: A quantity is negative or not finite, or `retry` multiplies one that is not
            requested.
    """

    cpus: float | None = None
    gpus: float | None = None
    memory_gb: float | None = None
    time_min: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    retry: Retry | None = None

    def __post_init__(self) -> None:
        self._refuse_growth_of_nothing()
        for key in sorted(RESOURCE_KEYS):
            value = getattr(self, key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"Resources.{key} must be a number, not {value!r}")
            if not value >= 0 or value == float("inf"):
                raise ValueError(f"Resources.{key} must be finite and not negative, not {value!r}")

    @staticmethod
    def suggest(config_class: type) -> Resources:
        """Return what would fit: half more time and a quarter more memory than any attempt used.

        From the artifacts of `config_class` in the current root that were made last. Memory is
        that of the largest process of an attempt; where an attempt runs many at once, request more.

        Raises:
            HuldraArtifactMissing: No artifact of the class records what it used.
        """
        from huldra.catalog.usage import history
        from huldra.config.hashing import namespace_of
        from huldra.errors import HuldraArtifactMissing
        from huldra.settings import HULDRA_CONFIG

        known = history(HULDRA_CONFIG.root, namespace_of(config_class))
        if known is None:
            raise HuldraArtifactMissing(
                f"no artifact of {namespace_of(config_class)} in {HULDRA_CONFIG.root} records what"
                " it used; make one first, on any engine"
            )
        return Resources(
            memory_gb=math.ceil(known.most_memory_gb * 1.25 * 4) / 4,
            time_min=math.ceil(known.most_wall_s * 1.5 / 60),
        )

    def _refuse_growth_of_nothing(self) -> None:
        if self.retry is None:
            return
        if not isinstance(self.retry, Retry):
            raise TypeError(f"Resources.retry must be a huldra.Retry, not {self.retry!r}")
        for factor, _, key in GROWTH:
            if getattr(self.retry, factor) is not None and not getattr(self, key):
                raise ValueError(
                    f"Retry.{factor} multiplies Resources.{key}, which is not given: write"
                    f" Resources({key}=..., retry=Retry({factor}=...))"
                )
