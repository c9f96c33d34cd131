"""Text for a terminal, or for the next program: tables, JSON, ages and sizes."""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

STATUS_STYLES = {
    "success": "green",
    "failed": "red",
    "crashed": "red",
    "stale": "bold yellow",
    "running": "cyan",
    "queued": "blue",
    "preempted": "magenta",
    "cancelled": "dim",
}


class CommandError(Exception):
    """The command cannot do what it was asked; the message is one line for a person."""


def is_terminal() -> bool:
    """Whether a person reads the output."""
    return sys.stdout.isatty()


def clean(text: str) -> str:
    """The text on one line and without control characters: what a store says cannot steer a tty."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character in "\t\n\r":
        return " "
    return "\ufffd" if unicodedata.category(character) in ("Cc", "Cf", "Cs") else character


def clean_log(text: str) -> str:
    """A log without control characters but for line ends and tabs."""
    return "".join(
        character if character in "\n\t" else _visible(character)
        for character in text.replace("\r\n", "\n")
    )


def write(text: str) -> None:
    """Write to stdout; what its encoding lacks becomes a question mark."""
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))


def write_json(value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinities as text."""
    write(json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """The value in the types that JSON has."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return value


def write_table(header: Sequence[str], lines: Sequence[Sequence[str]], note: str = "") -> None:
    """A table for a terminal, or tab-separated lines. `note` is for people only."""
    cells = [[clean(cell) for cell in line] for line in lines]
    if not is_terminal():
        write("".join("\t".join(line) + "\n" for line in [list(header), *cells]))
        return
    from rich import box  # here: only a terminal needs it
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for line in cells:
        table.add_row(*(Text(cell, STATUS_STYLES.get(cell, "")) for cell in line))
    console = Console()
    console.print(table)
    if note:
        console.print(Text(note, "dim"))


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, for a person; the moment itself for a program."""
    if moment is None:
        return ""
    if not is_terminal():
        return moment.isoformat()
    return f"{duration(((now or datetime.now(UTC)) - moment).total_seconds())} ago"


def duration(seconds: float | None) -> str:
    """A length of time with at most two units, `1h 5m`."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit} {seconds % size // part:.0f}{smaller}"
    return f"{seconds // 60:.0f}m {seconds % 60:.0f}s"


def size(count: int) -> str:
    """A number of bytes for a person."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def value_text(value: object) -> str:
    """A config value in a cell."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("$ref"), str):
        namespace, _, digest = value["$ref"].rpartition("/")
        return f"{namespace.rpartition('/')[2]} {digest[:8]}"
    return "" if value is None else json.dumps(value, default=str)
