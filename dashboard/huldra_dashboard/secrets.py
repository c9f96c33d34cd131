"""Hiding what looks like a secret in commands and addresses that are shown."""

from __future__ import annotations

import re

_NAMES = r"[\w-]*(?:token|secret|passw(?:or)?d|api[_-]?key|credential)s?"
_OPTION = re.compile(rf"(?i)((?:--?)?\b{_NAMES}(?:=|\s+))(?!-)(\"[^\"]*\"|'[^']*'|\S+)")
_USERINFO = re.compile(r"(\w+://)[^/\s:@]+:[^/\s@]+@")


def redacted(text: str) -> str:
    """`text` with the values of `--token=…`, `PASSWORD=…` and `https://user:pass@…` hidden.

    It is a courtesy to who shares a screen, not a protection: the files keep what they hold.
    """
    return _USERINFO.sub(r"\1•••@", _OPTION.sub(r"\1•••", text))
