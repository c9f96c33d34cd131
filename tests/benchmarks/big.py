"""A config with a large field, for the benchmarks of memory."""

from __future__ import annotations

import huldra


class Big(huldra.Huldra[None]):
    """Nothing to compute, from a text as long as the benchmark makes it."""

    number: int
    text: str

    def _create(self) -> None:
        return None

    def _load(self) -> None:
        return None
