"""Text for a terminal, or for the next program: tables, JSON, ages and sizes."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from huldra.catalog import presentation

if TYPE_CHECKING:
    from rich.table import Table

_MAX_PROBLEMS = 10


class CommandError(Exception):
    """The command cannot do what it was asked; the message is one block for a person."""

    exit_code = 1


class UsageError(CommandError):
    """What was typed is wrong, whatever the store holds."""

    exit_code = 2


def is_terminal() -> bool:
    """Return True if a person reads the output."""
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


def write_problems(what: str, problems: Sequence[str]) -> None:
    """Write one block to stderr: what is wrong with how many places, and a line for each."""
    count = presentation.count(len(problems), "folder")
    lines = [f"huldra: {count} {what}:", *(f"  {clean(problem)}" for problem in problems)]
    shown = lines[: _MAX_PROBLEMS + 1]
    if len(lines) > len(shown):
        shown.append(f"  and {len(lines) - len(shown)} more")
    sys.stderr.write("\n".join(shown) + "\n")


def write_json(value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinities as text."""
    write(json.dumps(presentation.plain(value), indent=2, allow_nan=False) + "\n")


def write_table(header: Sequence[str], lines: Sequence[Sequence[str]], note: str = "") -> None:
    """A table for a terminal, or tab-separated lines. `note` is for people only."""
    cells = [[clean(cell) for cell in line] for line in lines]
    if not is_terminal():
        write("".join("\t".join(line) + "\n" for line in [list(header), *cells]))
        return
    from rich.console import Console  # here: only a terminal needs it
    from rich.text import Text

    console = Console()
    console.print(rich_table(header, cells))
    if note:
        console.print(Text(note, "dim"))


def rich_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    """Return a table for a terminal; a cell that is a status has its colour."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for line in lines:
        table.add_row(*(Text(clean(cell), _style_of(cell)) for cell in line))
    return table


def _style_of(cell: str) -> str:
    look = presentation.LOOKS.get(cell)
    return look.terminal if look else ""


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, for a person; the moment itself for a program."""
    if moment is None:
        return ""
    if not is_terminal():
        return moment.isoformat()
    return presentation.age(moment, now)


def value_text(value: object) -> str:
    """A config value in a cell."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("$ref"), str):
        namespace, _, digest = value["$ref"].rpartition("/")
        return f"{namespace.rpartition('/')[2]} {digest[:8]}"
    return "" if value is None else json.dumps(value, default=str)
