"""Which files of `code/` this process may rely on, without asking the store each time.

`huldra gc` takes a file of `code/` that nothing refers to once it is an hour old. What a process is
about to refer to must not go meanwhile: so it renews the file's time, at the latest half an hour
after it did so before. The renewal either comes before gc's move, which then finds the file young
and puts it back, or it finds no file, and the caller writes it again.
"""

from __future__ import annotations

import os
import time

from huldra.store import files

_RENEWED_EVERY_S = 1800.0  # half of the age from which on gc takes a file


class KeptFiles:
    """The files that this process wrote or renewed a while ago."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def has(self, path: str) -> bool:
        """Return True if the file was there within the last half hour; asks no disk."""
        until = self._until.get(path)
        return until is not None and time.monotonic() < until

    def add(self, path: str) -> None:
        """Note that the file was written or renewed just now."""
        self._until[path] = time.monotonic() + _RENEWED_EVERY_S

    def renew(self, path: str) -> bool:
        """Make an existing file young; return False where there is none.

        Another user's file that may not be changed counts as it is: what reads it names it soon.
        """
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        except OSError:
            if not files.path_exists(path):
                return False
        self.add(path)
        return True
