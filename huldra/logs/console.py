"""The console: one compact line a record on stderr, and Rich for uncaught exceptions.

Written by hand, because a line through Rich costs half a millisecond, more than a hit. Rich is
imported when an uncaught exception has to be shown, and not before.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

Hook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]

_RESET = "\x1b[0m"
_TIME_COLOUR = "\x1b[2m"
_PLACE_COLOUR = "\x1b[36m"
_LEVEL_COLOURS = ((logging.ERROR, "\x1b[31m"), (logging.WARNING, "\x1b[33m"), (logging.INFO, ""))
_DEBUG_COLOUR = "\x1b[2m"


_IN_ASCII = str.maketrans({"─": "-", "→": "->", "…": "...", "×": "x"})


def for_terminal(text: str) -> str:
    """`text` as standard output can write it: in ASCII where that has no lines and arrows."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_IN_ASCII).encode("ascii", "backslashreplace").decode()
    return text


class ConsoleHandler(logging.Handler):
    """Writes `HHMMSS file.py:line message` to what `sys.stderr` is at that moment.

    From WARNING on the level's name stands before the message. Colours only on a terminal, and
    not where `NO_COLOR` is set or `TERM` is `dumb`. Steps aside where the root logger has a handler
    that writes to the terminal: the record goes on to that one, and is seen once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._clock = (0, "")
        self._colours: tuple[Any, bool] = (None, False)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; an error while writing is reported as `logging` reports it."""
        stream = sys.stderr
        if stream is None or root_shows(record):
            return
        if record.levelno < logging.WARNING and getattr(stream, "is_kept_output", False):
            return  # of a node on a worker: the line is in the log beside that output
        try:
            stream.write(self._line(record, self._wants_colours(stream)))
        except Exception:  # noqa: BLE001  a log line never fails what it tells about
            self.handleError(record)

    def _line(self, record: logging.LogRecord, coloured: bool) -> str:
        """The text of one record, its line ended."""
        clock = self._clock_of(int(record.created))
        place = f"{record.filename}:{record.lineno}"
        message = record.getMessage()
        if record.levelno >= logging.WARNING:
            message = f"{record.levelname} {message}"
        if coloured:
            clock = f"{_TIME_COLOUR}{clock}{_RESET}"
            place = f"{_PLACE_COLOUR}{place}{_RESET}"
            message = _coloured(message, record.levelno)
        return f"{clock} {place} {message}\n{text_of_exception(record)}"

    def _clock_of(self, second: int) -> str:
        """`HHMMSS` in local time."""
        # Many lines fall into one second: a tuple, so that threads see both halves or none.
        known = self._clock
        if known[0] != second:
            known = self._clock = (second, time.strftime("%H%M%S", time.localtime(second)))
        return known[1]

    def _wants_colours(self, stream: Any) -> bool:
        """Return True if `stream` shows colours; looked up once a stream."""
        known = self._colours
        if known[0] is not stream:
            known = self._colours = (stream, _is_colour_terminal(stream))
        return known[1]


def text_of_exception(record: logging.LogRecord) -> str:
    """The traceback and stack of a record, each line ended; empty where it has none."""
    text = ""
    if record.exc_info and record.exc_info[1] is not None:
        text = "".join(traceback.format_exception(record.exc_info[1]))
    elif record.exc_text:
        text = f"{record.exc_text}\n"
    return f"{text}{record.stack_info}\n" if record.stack_info else text


def root_shows(record: logging.LogRecord) -> bool:
    """Return True if a handler of the root logger prints this record on the terminal."""
    return any(
        record.levelno >= handler.level and _writes_to_terminal(handler)
        for handler in logging.root.handlers
    )


def _writes_to_terminal(handler: logging.Handler) -> bool:
    """Return True if a handler prints where our console would."""
    if getattr(handler, "console", None) is not None:  # Rich's handler, which has no stream
        return True
    stream = getattr(handler, "stream", None)
    if stream is None or isinstance(handler, logging.FileHandler):
        return False
    if stream in (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__):
        return True
    return isinstance(stream, io.TextIOBase) and not stream.closed and stream.isatty()


def _coloured(text: str, level: int) -> str:
    """The text in its level's colour."""
    colour = next((c for bound, c in _LEVEL_COLOURS if level >= bound), _DEBUG_COLOUR)
    return f"{colour}{text}{_RESET}" if colour else text


def _is_colour_terminal(stream: Any) -> bool:
    """Return True if this is a terminal, and its user lets us colour."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # a stand-in without it, or a closed file
        return False


def install_rich_excepthook() -> None:
    """Let Rich show uncaught exceptions, from now on.

    Only Python's own hook is replaced: who has set one (an error reporter, IPython) keeps it.
    Ctrl-C is shown as before, and so is everything where Rich is missing or fails.
    """
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _rich_hook(sys.excepthook)


def _rich_hook(previous: Hook) -> Hook:
    """A hook that tries Rich and then falls back on `previous`."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt) or not _print_with_rich(kind, error, trace):
            previous(kind, error, trace)

    return hook


def _print_with_rich(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> bool:
    """Print the exception and say whether that went well."""
    try:
        from rich.console import Console
        from rich.traceback import Stack, Traceback

        if not _rich_knows(error, Stack):
            return False
        Console(stderr=True).print(Traceback.from_exception(kind, error, trace))
    except Exception:  # noqa: BLE001  the caller then shows the exception as Python does
        return False
    return True


def _rich_knows(error: BaseException, stack: type) -> bool:
    """Return True if this Rich shows all of the exception: older ones drop groups and notes."""
    known = getattr(stack, "__dataclass_fields__", {})
    if isinstance(error, BaseExceptionGroup) and "is_group" not in known:
        return False
    return not getattr(error, "__notes__", None) or "notes" in known
