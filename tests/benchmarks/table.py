"""The one table of `make bench`: what a row says, and how rows are printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

HEADER = ("what", "measured", "floor", "ratio", "goal", "met", "beside")
_WIDTHS = (50, 12, 12, 8, 12, 4)


class Skipped(Exception):
    """A benchmark cannot run on this machine; its text says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measured number.

    `floor` is the same work without huldra, measured in the same run and in the same `unit`. `goal`
    is the most that is wanted: of `value / floor` where there is a floor, else of `value`; None
    where a number is only told. `beside` is what else was measured in the same rounds, as text.
    """

    what: str
    value: float
    unit: str = "ms"
    floor: float | None = None
    goal: float | None = None
    beside: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the floor this is."""
        return self.value / self.floor if self.floor else None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return (self.value if self.ratio is None else self.ratio) <= self.goal

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON, with what follows from it."""
        return {**asdict(self), "ratio": self.ratio, "is_met": self.is_met}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Row:
        """Read what `to_json` wrote."""
        return Row(**{name: data[name] for name in Row.__dataclass_fields__})

    def cells(self) -> tuple[str, ...]:
        """The row as texts, in the order of `HEADER`."""
        ratio, met = self.ratio, self.is_met
        goal = ""
        if self.goal is not None:
            goal = f"≤ {_number(self.goal)}" + (" ×" if ratio is not None else f" {self.unit}")
        return (
            self.what,
            f"{_number(self.value)} {self.unit}",
            "" if self.floor is None else f"{_number(self.floor)} {self.unit}",
            "" if ratio is None else f"{ratio:.2f} ×",
            goal,
            {None: "", True: "yes", False: "NO"}[met],
            self.beside,
        )


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def line(cells: tuple[str, ...]) -> str:
    """Cells as one line of the table."""
    padded = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=False)]
    return " ".join([*padded, *cells[len(_WIDTHS) :]]).rstrip()


def rule() -> str:
    """The line under the header."""
    return " ".join("─" * width for width in (*_WIDTHS, len(HEADER[-1])))


def markdown(rows: list[Row]) -> Iterator[str]:
    """The table for a page of documentation."""
    yield "| " + " | ".join(HEADER) + " |"
    yield "|---" * len(HEADER) + "|"
    for row in rows:
        yield "| " + " | ".join(row.cells()) + " |"
