"""The Python blocks of the README and of pages of documentation, for tests that run them."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def python_blocks(page: str, heading: str) -> list[str]:
    """The Python blocks under a heading of a page, up to the next heading of that depth."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    depth = heading.split(" ", 1)[0]
    section = text.partition(f"\n{heading}\n")[2] if depth != "#" else text
    section = re.split(rf"^{depth} ", section, flags=re.MULTILINE)[0] if depth != "#" else section
    return re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
