"""Quantities as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def duration(seconds: float | None) -> str:
    """`350 ms`, `4.2 s`, `12 min`, `3 h 20 min`, `5 d 2 h`; "–" for None."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    for index, (size, unit) in enumerate(_UNITS):
        if seconds >= size:
            whole = int(seconds // size)
            rest_size, rest_unit = _UNITS[index + 1] if index + 1 < len(_UNITS) else (1.0, "s")
            rest = int((seconds - whole * size) // rest_size)
            return (
                f"{whole} {unit} {rest} {rest_unit}" if rest and whole < 10 else f"{whole} {unit}"
            )
    return "–"


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago: `12 min ago`; "–" for None, `now` for the last second and the future."""
    if moment is None:
        return "–"
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    return "now" if seconds < 1 else f"{duration(seconds)} ago"


def moment(value: datetime | None) -> str:
    """`2026-01-31 12:00:00 UTC`; "–" for None."""
    return value.strftime("%Y-%m-%d %H:%M:%S UTC") if value else "–"


def size(n_bytes: float) -> str:
    """`812 B`, `3.4 MB`, in steps of 1000."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n_bytes < 1000:
            return (
                f"{n_bytes:.0f} {unit}"
                if unit == "B" or n_bytes >= 100
                else f"{n_bytes:.1f} {unit}"
            )
        n_bytes /= 1000
    return f"{n_bytes:.1f} PB"


def number(value: float | None) -> str:
    """Six significant digits, or what is not finite by its name."""
    return "–" if value is None else f"{value:.6g}"


def count(n: int, noun: str, plural: str = "") -> str:
    """`1 artifact`, `1,204 artifacts`."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
