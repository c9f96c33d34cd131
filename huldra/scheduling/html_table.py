"""Tables as HTML, for notebooks: what is long is folded to its counts."""

from __future__ import annotations

import html
from collections.abc import Sequence

_OPEN_MAX = 20  # rows of a table that is not folded
_SHOWN_MAX = 500  # rows in all: a notebook keeps what it shows in its file


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], summary: str) -> str:
    """Return a table, and `summary` above it; a long one is folded to its summary.

    All of them are texts, and are escaped. Past 500 rows the number of those left out is said.
    """
    body = "".join(_row("td", row) for row in rows[:_SHOWN_MAX])
    table = f"<table><thead>{_row('th', header)}</thead><tbody>{body}</tbody></table>"
    if len(rows) > _SHOWN_MAX:
        table += f"<p>and {len(rows) - _SHOWN_MAX} more</p>"
    if len(rows) <= _OPEN_MAX:
        return f"<p>{_text(summary)}</p>{table}"
    return f"<details><summary>{_text(summary)}</summary>{table}</details>"


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_text(cell)}</{tag}>' for cell in cells)}</tr>"


def _text(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")
