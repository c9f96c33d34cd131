"""A file system whose calls take a while, and a count of them: the file server of a cluster."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

_CALLS = ("open", "stat", "access", "listdir", "scandir", "mkdir", "link", "unlink", "replace")


class SlowDisk:
    """Counts the calls of `os` that name a path below `root`, and delays each by `delay_s`.

    `at_once` is the largest number of calls that waited at one time.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path, delay_s: float = 0.0) -> None:
        self.calls: Counter[str] = Counter()
        self.at_once = 0
        self._waiting = 0
        self._lock = threading.Lock()
        self._root = str(root)
        self._delay_s = delay_s
        for name in _CALLS:
            monkeypatch.setattr(os, name, self._slowed(name, getattr(os, name)))

    @property
    def count(self) -> int:
        """How many calls there were."""
        return self.calls.total()

    def _slowed(self, name: str, call: Any) -> Any:
        def slowed(path: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(path, str) and path.startswith(self._root):
                with self._lock:
                    self.calls[name] += 1
                    self._waiting += 1
                    self.at_once = max(self.at_once, self._waiting)
                if self._delay_s:
                    time.sleep(self._delay_s)
                with self._lock:
                    self._waiting -= 1
            return call(path, *args, **kwargs)

        return slowed
