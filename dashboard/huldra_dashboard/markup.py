"""Text from disk inside Streamlit's markdown: values are never markup."""

from __future__ import annotations

import re

# Each of these starts something in Streamlit's markdown: emphasis, code, links and pictures,
# HTML, LaTeX ($), colour and icon directives (:red[..], :material/..:), headings, lists, quotes.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+\-!|~$:@.^=&])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Colours and movements (CSI), and titles and links (OSC, which ends with BEL or ESC \).
_TERMINAL = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
_UNPRINTED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# Where Streamlit's markdown would make a link of plain text by itself.
_LINK = re.compile(r"(?i)\b(https?|ftp|mailto|www)(?=[:.])")


def escape(value: object, limit: int = 200) -> str:
    """One line of `value` that markdown shows as it is, cut to `limit` characters.

    Line breaks and other control characters (those that turn the direction of writing too)
    become spaces, so that a value cannot leave its place in a label.
    """
    # A word joiner, which is not seen, keeps addresses from becoming live links.
    text = _LINK.sub("\\1\u2060", shorten(plain(value), limit)).replace("@", "\u2060@")
    return _SPECIAL.sub(r"\\\1", text)


def plain(value: object) -> str:
    """One line of `value` without control characters, for places that render no markup."""
    return _CONTROL.sub(" ", str(value))


def shorten(text: str, limit: int) -> str:
    """`text`, or its beginning and an ellipsis when it is longer than `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def terminal_text(text: str) -> str:
    """Lines of a log or a traceback without colour codes and control characters.

    Of a line that overwrites itself, as progress bars do, what a terminal would show at the end.
    """
    lines = _TERMINAL.sub("", text).split("\n")
    return _UNPRINTED.sub("", "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines))
