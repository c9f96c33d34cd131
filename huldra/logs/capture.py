"""Logging: the `huldra` logger with its console, and the log file of each artifact.

How a line finds its artifact. A `capture` is entered around `_create`; it stands in a context
variable, and a thread that is started meanwhile runs in a copy of the context. While at least one
capture is open, one handler of ours sees the records of all loggers and appends each to the file of
the innermost capture that the record's thread belongs to; a record from elsewhere it leaves alone.

How the user's logging stays as it is. Our handler does not stand in `root.handlers`, where it would
make `logging.basicConfig` do nothing and `hasHandlers` lie: it hangs above the root logger, which
for the time of a capture gets a parent. INFO lines exist only if the root's level lets them, so the
level is lowered for that time; the handlers that the user has get a filter which holds
back what they would not have seen otherwise. All of it is undone when the last capture ends.
"""

from __future__ import annotations

import contextlib
import contextvars
import fcntl
import functools
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar, Token
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

from huldra.logs.console import ConsoleHandler, install_rich_excepthook, text_of_exception
from huldra.settings import HULDRA_CONFIG

if TYPE_CHECKING:
    import subprocess

_LOGGER = logging.getLogger("huldra")
_DIGEST_SHOWN = 9  # characters of a hash in a status line

# Packages whose frames are not the user's: ours, and those through which ours are called.
_NOT_THE_USER = frozenset(
    {
        "huldra",
        "huldra_local",
        "huldra_submitit",
        "huldra_dask",
        "huldra_ray",
        "huldra_dashboard",
        "logging",
        "contextlib",
        "threading",
        "concurrent",
        "runpy",
    }
)


# ---- the logger and its console ----------------------------------------------------------------


def get_logger() -> logging.Logger:
    """The logger `huldra`, which huldra itself writes to; its console comes with the first use."""
    return _LOGGER


class _Setup:
    """What huldra has changed in `logging` and `threading` so far; `lock` guards all of it."""

    def __init__(self) -> None:
        self.console_level = ""  # the setting that is applied; empty before first use
        self.own_level = logging.NOTSET  # what `huldra` got from us, to know the user's from it
        self.threads_are_taught = False
        self.lock = threading.Lock()


_setup = _Setup()


def configure_logging() -> None:
    """Set up the console and Rich for uncaught exceptions; huldra does it at its first use.

    Adds one handler to the logger `huldra` (none to the root), and gives that logger the level
    of `HULDRA_CONFIG.log_level` unless the user has given it one. Calling it again is cheap, and
    follows a changed `log_level`. Raises `HuldraSettingsError` for a bad setting.
    """
    if HULDRA_CONFIG.log_level != _setup.console_level:
        _configure(HULDRA_CONFIG.log_level)


def _configure(level_name: str) -> None:
    """Apply a log level, and at the first time install the console and the hook."""
    with _setup.lock:
        level = logging.getLevelNamesMapping()[level_name]
        _set_own_level(_LOGGER, level)
        _CONSOLE.setLevel(level)
        if not _setup.console_level:
            _LOGGER.addHandler(_CONSOLE)
            _LOGGER.addFilter(_point_at_user)
            if HULDRA_CONFIG.rich_uncaught_tracebacks:
                install_rich_excepthook()
        _setup.console_level = level_name


def log_status(class_name: str, digest: str, transition: str) -> None:
    """Say what a call does, as in `load_or_create TrainModel abc123def (missing->create)`.

    Costs one comparison and one level check when INFO is off.
    """
    configure_logging()
    if _LOGGER.isEnabledFor(logging.INFO):
        shown = digest[:_DIGEST_SHOWN]
        _LOGGER.info("load_or_create %s %s (%s)", class_name, shown, transition)


def _point_at_user(record: logging.LogRecord) -> bool:
    """Make a record of huldra's own point at the user's line that led to it; keeps every record.

    A filter of the logger `huldra`, so it sees what is logged on exactly that one. Where no frame
    is the user's (a worker's main loop), the record stays as it is.
    """
    emitter = _skip(sys._getframe(1), frozenset({"logging"}))
    if emitter is None or _package_of(emitter) not in _NOT_THE_USER:
        return True
    caller = _skip(emitter, _NOT_THE_USER)
    if caller is not None:
        record.pathname = caller.f_code.co_filename
        record.filename = os.path.basename(record.pathname)
        record.module = os.path.splitext(record.filename)[0]
        record.lineno = caller.f_lineno
        record.funcName = caller.f_code.co_name
    return True


def _skip(frame: FrameType | None, packages: frozenset[str]) -> FrameType | None:
    """The first frame from `frame` outwards that is of none of `packages`."""
    while frame is not None and _package_of(frame) in packages:
        frame = frame.f_back
    return frame


def _package_of(frame: FrameType) -> str:
    """The top name of the module that a frame's code is of."""
    name = str(frame.f_globals.get("__name__"))
    if name == "__main__":  # `python -m huldra.worker` is not the user's either
        spec = frame.f_globals.get("__spec__")
        name = spec.name if spec is not None else name
    return name.partition(".")[0]


# ---- the log of an artifact --------------------------------------------------------------------


# Not through a link: in a folder that others may write to, it could lead to any file of ours.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


class _LogFile:
    """The open log of one capture; made when its first line comes.

    A line is one write in append mode, so that lines of threads, of forked children and of other
    processes do not mix.
    """

    __slots__ = ("_fd", "_flags", "_is_closed", "outer", "path")

    def __init__(self, path: str, outer: _LogFile | None) -> None:
        self.path = path
        self.outer = outer
        self._fd = -1
        self._flags = -1
        self._is_closed = False

    def append(self, text: str) -> None:
        """Write `text` at the end; nothing once the capture is over: the artifact is made then."""
        if self._is_closed:
            return
        if not self._is_open():
            self._fd = os.open(self.path, _APPEND, 0o666)
            self._flags = _flags_of(self._fd)
        data = text.encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        """Write nothing any more. What a file server says of it only now is about log lines."""
        self._is_closed = True
        if self._is_open():
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd = -1

    def _is_open(self) -> bool:
        # The user's code may close descriptors that it does not know, and the next file that it
        # opens gets the number: that one is not ours to write to, or to close. No other file is
        # open in this way; to ask for its inode would have an NFS client write out each line.
        return self._fd >= 0 and _flags_of(self._fd) == self._flags

    def depth(self) -> int:
        """How many captures are open here, one inside the other."""
        return 1 + (self.outer.depth() if self.outer is not None else 0)


def _flags_of(descriptor: int) -> int:
    """The flags that a file is open with; -1 when there is none of this number."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GETFL)
    except OSError:
        return -1


_current: ContextVar[_LogFile | None] = ContextVar("huldra_log", default=None)


class capture:  # noqa: N801  used as a function, like contextlib's own
    """Append the log lines of the `with` block to the file `log_path`, beside where they go anyway.

    Records from INFO on (from DEBUG on where `HULDRA_LOG_LEVEL` is DEBUG), of every logger, from
    this thread, the threads that it starts and the children that it forks. A block inside a block
    takes its lines for itself. The file is made by its first line; its folder has to exist.

    The level of a named logger, `logger.disabled` and `logging.disable` count as the user set them;
    the root's level does not, as WARNING is the default there. Not caught: lines of spawned
    processes, of threads that existed before, and what comes after the block has ended.

    With `stays`, for processes that are huldra's own, what it sets up in `logging` is left there,
    and the next block begins at no cost.
    """

    __slots__ = ("_log", "_path", "_stays", "_token")

    def __init__(self, log_path: str | os.PathLike[str], *, stays: bool = False) -> None:
        self._path = os.fspath(log_path)
        self._stays = stays

    def __enter__(self) -> Self:
        self._log = _LogFile(self._path, _current.get())
        _tap.open()
        self._token: Token[_LogFile | None] = _current.set(self._log)
        return self

    def note(self, text: str) -> None:
        """Append lines of huldra's own; where that cannot be, they are done without."""
        with contextlib.suppress(OSError), _ARTIFACT_HANDLER.lock or contextlib.nullcontext():
            self._log.append(text)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _current.reset(self._token)
        _tap.close(stays=self._stays)
        with _ARTIFACT_HANDLER.lock or contextlib.nullcontext():
            self._log.close()


class _ArtifactHandler(logging.Handler):
    """Appends a record to the log of the capture that its thread belongs to."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; an error while writing is reported as `logging` reports it."""
        _stand_in_for_last_resort(record)
        log = _current.get()
        if log is None or record.levelno < _tap.level:
            return
        try:
            log.append(_line(record))
        except Exception:  # noqa: BLE001  a log line never fails the computation
            self.handleError(record)


def _line(record: logging.LogRecord) -> str:
    """The text of one record, its line ended."""
    from datetime import UTC, datetime  # here: a hit in a new process logs no line to a file

    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
    place = f"{record.filename}:{record.lineno}"
    message = f"{when} {record.levelname} {record.name} {place} {record.getMessage()}\n"
    return message + text_of_exception(record)


def _stand_in_for_last_resort(record: logging.LogRecord) -> None:
    """Print a warning that no handler of the user's sees, as `logging` does if there are none.

    It does so only where it finds no handler at all, and now it finds ours.
    """
    fallback = logging.lastResort
    if fallback is not None and record.levelno >= fallback.level and not _has_other_handler(record):
        fallback.handle(record)


def _has_other_handler(record: logging.LogRecord) -> bool:
    """Return True if a handler of the user's takes this record."""
    for logger in _chain(record.name):
        if any(handler is not _ARTIFACT_HANDLER for handler in logger.handlers):
            return True
        if not logger.propagate:
            return False
    return False


def _chain(name: str) -> Iterator[logging.Logger]:
    """The logger `name` and those above it, up to the root; the root alone for an unknown name."""
    found = logging.root.manager.loggerDict.get(name)
    logger = found if isinstance(found, logging.Logger) else logging.root
    while logger is not logging.root:
        yield logger
        logger = logger.parent or logging.root
    yield logging.root


# ---- what is changed in `logging` while a capture is open --------------------------------------


class _Lowered(int):
    """A level that we set for the time of a capture, which knows the one it stands for.

    The value itself is the mark: a level that the user sets meanwhile is another object, and stays.
    """

    original: int


class _Handlers(list[logging.Handler]):
    """Handlers that `logging` calls and that `Logger.hasHandlers` does not report."""

    def __bool__(self) -> bool:
        return False


class _Tap:
    """What stands in `logging` while captures are open: set up by the first, undone by the last.

    Idle is what the last left for the next, which takes it if `logging` is as it was.
    """

    def __init__(self) -> None:
        self.level = logging.INFO
        self._open_count = 0
        self._is_idle = False
        self._found: tuple[object, ...] = ()
        self._filtered: list[logging.Handler] = []
        self._isolated: list[logging.Logger] = []

    def open(self) -> None:
        """Note that a capture begins."""
        configure_logging()
        with _setup.lock:
            self._open_count += 1
            if self._open_count > 1:
                return
            was_idle, self._is_idle = self._is_idle, False
            if was_idle and self._found == _signs_of_change():
                return
            if was_idle:
                self._remove()
            self._install()

    def close(self, *, stays: bool = False) -> None:
        """Note that a capture has ended."""
        with _setup.lock:
            self._open_count -= 1
            if self._open_count:
                return
            if stays:
                self._is_idle, self._found = True, _signs_of_change()
            else:
                self._remove()

    def restart(self, open_count: int) -> None:
        """Go on in a forked child, where the captures of other threads do not exist."""
        if self._open_count and not open_count:
            self._remove()
        self._open_count = open_count

    def _install(self) -> None:
        """Set up the handler, the levels and the filters."""
        _teach_threads()
        self.level = logging.DEBUG if HULDRA_CONFIG.log_level == "DEBUG" else logging.INFO
        logging.root.parent = _ABOVE_ROOT
        lowers_ours = _LOGGER.level == _setup.own_level and _lower(_LOGGER, self.level)
        is_lowered = _lower(logging.root, self.level) or lowers_ours
        if is_lowered:
            _forget_known_levels()
        self._visit(logging.root, is_lowered)
        for logger in tuple(logging.root.manager.loggerDict.values()):
            if isinstance(logger, logging.Logger) and (logger.handlers or not logger.propagate):
                self._visit(logger, is_lowered)

    def _visit(self, logger: logging.Logger, is_lowered: bool) -> None:
        """Hold the handlers of `logger` to the user's levels, and listen where nothing goes up."""
        if is_lowered:
            for handler in logger.handlers:
                handler.filters.insert(0, _as_the_user_set)
                self._filtered.append(handler)
        if not logger.propagate:
            logger.addHandler(_ARTIFACT_HANDLER)
            self._isolated.append(logger)

    def _remove(self) -> None:
        """Undo what `_install` did, except where the user has changed it since."""
        for logger in self._isolated:
            logger.removeHandler(_ARTIFACT_HANDLER)
        restored = [_restore(_LOGGER), _restore(logging.root)]
        if any(restored):
            _forget_known_levels()
        if logging.root.parent is _ABOVE_ROOT:
            logging.root.parent = None
        for handler in self._filtered:
            with contextlib.suppress(ValueError):  # the user may have cleared the filters
                handler.filters.remove(_as_the_user_set)
        self._isolated.clear()
        self._filtered.clear()


def _signs_of_change() -> tuple[object, ...]:
    """What differs once `logging` has been changed in a way that a capture has to know of."""
    root = logging.root
    known = len(root.manager.loggerDict)
    return known, id(root.level), *map(id, root.handlers), HULDRA_CONFIG.log_level


def _lower(logger: logging.Logger, level: int) -> bool:
    """Lower the level of `logger` if it is above `level`, and say whether that was needed."""
    if logger.level <= level:
        return False
    lowered = _Lowered(level)
    lowered.original = logger.level
    logger.level = lowered
    return True


def _restore(logger: logging.Logger) -> bool:
    """Give `logger` back the level that it had, and say whether that was needed."""
    if not isinstance(logger.level, _Lowered):
        return False
    logger.level = logger.level.original
    return True


def _forget_known_levels() -> None:
    """Let every logger look at the levels again: each remembers what is enabled for it."""
    logging.root.setLevel(logging.root.level)  # what sets a level anywhere clears all of them


def _set_own_level(logger: logging.Logger, level: int) -> None:
    """Give `logger` the level unless the user gave it one."""
    if isinstance(logger.level, _Lowered):
        logger.level.original = level
    elif logger.level == _setup.own_level:
        logger.setLevel(level)
    else:
        return
    _setup.own_level = level


def _as_the_user_set(record: logging.LogRecord) -> bool:
    """Return True if the record would exist without our lowering of levels."""
    for logger in _chain(record.name):
        level = logger.level
        if isinstance(level, _Lowered):
            level = level.original
        if level:
            return record.levelno >= level
    return True


def _teach_threads() -> None:
    """Let threads that are started inside a capture run in a copy of the context of their starter.

    Python does so by itself from 3.14 on, where asked to. All the ways to start a thread (`Thread`,
    `Timer`, a `ThreadPoolExecutor`) end in `Thread.start`, so that is wrapped, once, at the first
    capture of the process. It is not taken back, as other code may have wrapped it again by then.
    What else stands in the context (which artifacts are being made) goes along.
    """
    if _setup.threads_are_taught:
        return
    original = threading.Thread.start

    @functools.wraps(original)
    def start(self: threading.Thread) -> None:
        if _current.get() is not None:
            context = contextvars.copy_context()
            self.run = functools.partial(context.run, self.run)  # type: ignore[method-assign]  # see above
        original(self)

    threading.Thread.start = start  # type: ignore[method-assign]  # see above
    _setup.threads_are_taught = True


def _after_fork_in_child() -> None:
    """Set up the child, where only the forking thread exists."""
    # The lock may have been held, and captures may have been open, in threads that are gone.
    _setup.lock = threading.Lock()
    log = _current.get()
    _tap.restart(log.depth() if log is not None else 0)


_tap = _Tap()
_CONSOLE = ConsoleHandler()
_ARTIFACT_HANDLER = _ArtifactHandler()
_ABOVE_ROOT = logging.Logger("huldra.artifacts")  # noqa: LOG001  above the tree, not in it
_ABOVE_ROOT.handlers = _Handlers([_ARTIFACT_HANDLER])
os.register_at_fork(after_in_child=_after_fork_in_child)


# ---- output of subprocesses --------------------------------------------------------------------


def run_subprocess(
    args: Sequence[str | os.PathLike[str]],
    *,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    level: int = logging.INFO,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program and log each line of its output, stdout and stderr in the order they come.

    Inside `_create` the lines so land in the artifact's log. They are records of the logger
    `huldra.subprocess` that point at the line which called this. Of a line that was rewritten with
    carriage returns (a progress bar) the last state is logged. Standard input is empty.

    Args:
        args: The program and its arguments; no shell is involved.
        cwd: Where it runs; the working directory by default.
        env: Its whole environment; this process's by default.
        level: The level of the lines.
        check: Raise when it ends with another code than 0.

    Returns:
        The arguments and the return code, with the last lines of the output as `stdout`.

    Raises:
        subprocess.CalledProcessError: It ended badly; `output` holds the last lines.
        OSError: It could not be started.
    """
    import subprocess

    configure_logging()
    caller = sys._getframe(1)
    tail: list[str] = []
    with subprocess.Popen(
        args,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            for line in process.stdout or ():
                text = line.decode("utf-8", "replace").rstrip().rpartition("\r")[2]
                _log_line_of_subprocess(level, text, caller)
                tail = [*tail[1 - _TAIL_LINES :], text]
        except BaseException:
            process.kill()
            raise
    result = subprocess.CompletedProcess(args, process.returncode, "\n".join(tail), None)
    if check:
        result.check_returncode()
    return result


_TAIL_LINES = 20


def _log_line_of_subprocess(level: int, text: str, caller: FrameType) -> None:
    """Log one line of output as if the caller had."""
    logger = logging.getLogger("huldra.subprocess")
    if logger.isEnabledFor(level):
        code, line = caller.f_code, caller.f_lineno
        record = logger.makeRecord(
            logger.name, level, code.co_filename, line, text, (), None, code.co_name
        )
        logger.handle(record)
