"""`field` and `MISSING` as a type checker sees them: checked, never run."""

from __future__ import annotations

from typing import assert_type

import huldra


class Config(huldra.Huldra[int]):
    """Fields of several types, with what `field` says more than chz."""

    rate: float = huldra.field(default=0.1, absent=0.1)
    names: list[str] = huldra.field(default_factory=list, doc="who")
    device: str = huldra.field(default="cpu", hashed=False)
    steps: int = huldra.MISSING
    parent: Config | None = huldra.field(default=huldra.MISSING)

    def _create(self) -> int:
        return self.steps

    def _load(self) -> int:
        return self.steps


made = Config(rate=0.5, names=["a"], steps=3)
assert_type(made.rate, float)
assert_type(made.names, list[str])
assert_type(made.steps, int)
assert_type(made.parent, Config | None)
Config(rate="fast")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # no text here
Config(speed=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # no such field
