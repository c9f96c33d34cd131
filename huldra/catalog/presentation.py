"""Numbers, times, statuses and values as people read them: command line, API and pages alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from huldra.catalog.records import Dependencies, Row

_MAX_ERROR = 200
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


def error_text(row: Row, *, on_one_line: bool = False) -> str:
    """What an artifact failed with: `builtins.ValueError: loss is nan`; "" without an error.

    On one line: the type without its module, the message cut short, or which dependency failed.
    """
    if not on_one_line:
        return f"{row.error_type}: {row.error_message}" if row.error_type else ""
    if row.failed_key:
        return f"its dependency {row.failed_key} did not complete"
    kind = row.error_type.rpartition(".")[2]
    return f"{kind}: {' '.join(row.error_message.split())[:_MAX_ERROR]}" if kind else ""


def plain(value: Any) -> Any:
    """The value in the types that JSON has."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _name_of(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Row):
        return {name: plain(item) for name, item in value._asdict().items()}
    if isinstance(value, list | tuple | set | frozenset | Dependencies):
        return [plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return str(value)


def _name_of(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


@dataclass(frozen=True)
class StatusLook:
    """How one status is shown.

    `color` is a name of the dashboard's theme, `paint` the same for charts, `terminal` a style of
    the command line.
    """

    name: str
    color: str
    paint: str
    icon: str
    meaning: str
    terminal: str = ""


LOOKS = {
    look.name: look
    for look in (
        StatusLook("running", "blue", "#2F7BE8", "play_circle", "its owner is alive", "cyan"),
        StatusLook("queued", "violet", "#8B5CF6", "schedule", "an engine has it", "blue"),
        StatusLook(
            "stale",
            "orange",
            "#EA7317",
            "heart_broken",
            "its owner is dead or silent",
            "bold yellow",
        ),
        StatusLook("failed", "red", "#DC2F4B", "error", "its code raised an error", "red"),
        StatusLook("crashed", "red", "#9F1239", "bolt", "its process died", "red"),
        StatusLook(
            "preempted", "yellow", "#CA9A04", "front_hand", "the system ended it", "magenta"
        ),
        StatusLook("cancelled", "gray", "#7C8798", "cancel", "ended on request", "dim"),
        StatusLook("success", "green", "#1E9E5A", "check_circle", "complete", "green"),
        StatusLook("absent", "gray", "#B4BCCB", "radio_button_unchecked", "never started", ""),
        StatusLook(
            "unreadable",
            "orange",
            "#A8552A",
            "broken_image",
            "its files cannot be read",
            "bold yellow",
        ),
    )
}
NAMES = tuple(LOOKS)
NEEDS_ATTENTION = ("stale", "failed", "crashed", "preempted", "unreadable")
IN_FLIGHT = ("running", "queued")


def style_of(status: str | None) -> StatusLook:
    """The look of a status; of an unknown one (a newer format), a grey one with its name."""
    name = status or "absent"
    return LOOKS.get(name) or StatusLook(name, "gray", "#7C8798", "help", "unknown to this version")


def in_order(counts: dict[str, int]) -> list[tuple[str, int]]:
    """The statuses that occur, those that need a look first."""
    known = [(name, counts[name]) for name in NAMES if counts.get(name)]
    return known + sorted((n, c) for n, c in counts.items() if c and n not in LOOKS)
