"""Stopping a process at a chosen point of the protocol, until a test lets it go on.

Imported by child processes: a call of a function of `huldra.store.files` or `os` on a file of
a certain name says that it was reached, and waits there. So a race is a sequence of steps, not of
luck.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from huldra.store import files
from tests.support import children
from tests.support.odd import await_file


def pause(when: str, function: str, suffix: str, folder: str, *, passes: int = 0) -> None:
    """Stop this process before or after its call of `function` on a path that ends in `suffix`.

    `function` is a name of `huldra.store.files`, or `os.link`, `os.replace`, …. `passes` calls go
    through first. Only one call stops.
    """
    owner: Any = os if function.startswith("os.") else files
    name = function.removeprefix("os.")
    original = getattr(owner, name)
    seen = 0

    def stopping(*arguments: Any, **keywords: Any) -> Any:
        nonlocal seen
        # Renames and links name their target last.
        path = _full(str(arguments[-1] if owner is os else arguments[0]), keywords)
        is_it = path.endswith(suffix)
        seen += is_it
        if not is_it or seen != passes + 1:
            return original(*arguments, **keywords)
        if when == "before":
            _stop(folder)
            return original(*arguments, **keywords)
        value = original(*arguments, **keywords)
        _stop(folder)
        return value

    setattr(owner, name, stopping)


def _full(path: str, keywords: dict[str, Any]) -> str:
    """The whole path of a name that was given with an open folder."""
    descriptor = keywords.get("dst_dir_fd")
    if descriptor is None:
        return path
    return os.path.normpath(f"{os.readlink(f'/proc/self/fd/{descriptor}')}/{path}")


def _stop(folder: str) -> None:
    Path(folder, "reached").touch()
    await_file(Path(folder, "go"))


class Stopped:
    """A child process that stands at a point of the protocol."""

    def __init__(self, folder: Path, code: str, root: Path, *points: tuple[str, str, str]) -> None:
        """Start `code` in a child, and return once it stands at the first of `points`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        lines = ["from tests.faults.pausing import pause"]
        lines += [f"pause({w!r}, {f!r}, {s!r}, {str(folder)!r})" for w, f, s in points]
        self.child = children.start("\n".join(lines) + "\n" + code, root)
        children.until(self._is_there)

    def _is_there(self) -> bool:
        if self.child.poll() is not None:
            raise AssertionError(f"the child ended before its point: {self.child.communicate()}")
        return (self._folder / "reached").exists()

    def go_on(self) -> tuple[int, str, str]:
        """Let it go on, to its end."""
        (self._folder / "go").touch()
        return children.finish(self.child)

    def kill(self) -> None:
        """End it where it stands, without a word."""
        self.child.kill()
        self.child.communicate()
