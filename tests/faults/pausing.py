"""Stopping a process at a named point of the protocol, until a test lets it go on.

Imported by child processes: a call of a function on a file of a certain name says that it was
reached, and waits there. So a race is a sequence of steps, not of luck. The points stand in one
table, which names functions and paths of the code itself: where one of them is renamed, this module
cannot be imported.
"""

from __future__ import annotations

import enum
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huldra.store import claim, files
from huldra.store.layout import ArtifactPaths, StorePaths
from tests.support import children
from tests.support.odd import await_file

_ARTIFACT = ArtifactPaths("")
_RUN_RECORD = StorePaths("").run_record("").rpartition("/")[2]


@dataclass(frozen=True)
class Call:
    """Before or after a call of `module`'s `function` on a path that ends in `suffix`."""

    when: str
    module: str
    function: str
    suffix: str


def _before(function: Callable[..., Any], suffix: str = "") -> Call:
    return Call("before", _module_of(function), function.__name__, suffix)


def _after(function: Callable[..., Any], suffix: str = "") -> Call:
    return Call("after", _module_of(function), function.__name__, suffix)


def _name_of(path: str) -> str:
    """The last part of it, which is what a call in an open folder names."""
    return path.rpartition("/")[2]


def _module_of(function: Callable[..., Any]) -> str:
    return "os" if function.__module__ == os.link.__module__ else function.__module__


class Point(enum.Enum):
    """Where a process can be stopped."""

    BEFORE_LOOKING_FOR_ATTEMPTS = _before(claim.last_attempt)
    AFTER_CLAIM = _after(os.link, _ARTIFACT.claim(1))
    AFTER_FIRST_STATE = _after(os.link, _ARTIFACT.state)
    BEFORE_METADATA = _before(files.write_atomic, _name_of(_ARTIFACT.metadata))
    BEFORE_FIRST_METADATA = _before(files.write_hidden, _name_of(_ARTIFACT.metadata))
    BEFORE_FIRST_CLAIM = _before(os.rename, _ARTIFACT.private)
    AFTER_FIRST_CLAIM = _after(os.rename, _ARTIFACT.private)
    BEFORE_RUN_RECORD = _before(files.write_parts, _RUN_RECORD)
    AFTER_RUN_RECORD = _after(files.write_parts, _RUN_RECORD)
    BEFORE_SECOND_NAME_OF_A_START = _before(os.link, _ARTIFACT.claim(2))
    BEFORE_END = _before(files.link_new, _name_of(_ARTIFACT.claim_end(1)))
    AFTER_END = _after(files.link_new, _name_of(_ARTIFACT.claim_end(1)))
    BEFORE_SUCCESS = _before(files.write_atomic, _name_of(_ARTIFACT.success))
    BEFORE_RETRACTING_SUCCESS = _before(files.remove, _name_of(_ARTIFACT.success))


def pause(point: Point, folder: str) -> None:
    """Stop this process at its first call that is at `point`."""
    call = point.value
    owner: Any = importlib.import_module(call.module)
    original = getattr(owner, call.function)
    was_there = False

    def stopping(*arguments: Any, **keywords: Any) -> Any:
        nonlocal was_there
        # Renames and links name their target last.
        path = _full(str(arguments[-1] if owner is os else arguments[0]), keywords)
        if was_there or not path.endswith(call.suffix):
            return original(*arguments, **keywords)
        was_there = True
        if call.when == "before":
            _stop(folder)
            return original(*arguments, **keywords)
        value = original(*arguments, **keywords)
        _stop(folder)
        return value

    setattr(owner, call.function, stopping)


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

    def __init__(self, folder: Path, code: str, root: Path, *points: Point) -> None:
        """Start `code` in a child, and return once it stands at the first of `points`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        lines = ["from tests.faults.pausing import Point, pause"]
        lines += [f"pause({point}, {str(folder)!r})" for point in points]
        self.child = children.start("\n".join(lines) + "\n" + code, root)
        children.until(self._is_there, f"the child at {points}")

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
