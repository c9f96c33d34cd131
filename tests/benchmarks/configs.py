"""The configs that the benchmarks make: three small fields, and nothing to compute."""

from __future__ import annotations

import huldra


class Item(huldra.Huldra[None]):
    """Nothing to compute: what is measured is huldra."""

    number: int
    name: str = "item"
    rate: float = 1e-3

    def _create(self) -> None:
        return None

    def _load(self) -> None:
        return None


class Step(huldra.Huldra[None]):
    """One more step after those that are its parents."""

    number: int
    parents: list[huldra.Huldra[None]] = huldra.field(default_factory=list)

    def _create(self) -> None:
        return None

    def _load(self) -> None:
        return None
