"""The state of a warm worker's process, put back between nodes.

A node's code may change what belongs to the whole process: its environment, masks, timers.
The next node must find none of it, as it would in a process of its own. What importing the node's
module changed stays, since that import is not done again; so the state is looked at when a node
has been built, and is put back when `_create` is over.

Random numbers are no state to put back: a node that does not seed them has to get others than the
node before it. What cannot be put back leaves the process spent: it runs no other node.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import random
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

# The interpreter's own functions, where it has them apart: those of `signal` take ten times as
# long.
_raw: Any = sys.modules.get("_signal", signal)
_get_handler: Callable[[int], Any] = _raw.getsignal
_set_handler: Callable[[int, Any], Any] = _raw.signal
_SIGNALS = tuple(
    int(number)
    for number in sorted(signal.valid_signals())
    if number < 32 and number not in (signal.SIGKILL, signal.SIGSTOP)
)
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_NOFILE)
_spent = ""
_kept: _Kept | None = None


def why_spent() -> str:
    """What could not be put back in this process, or nothing."""
    return _spent


def spend(why: str) -> None:
    """Let this process run no other node."""
    global _spent  # noqa: PLW0603  once a process
    _spent = _spent or why


@contextlib.contextmanager
def put_back(run: str = "") -> Iterator[None]:
    """Put back what changes inside; what cannot be leaves the process spent.

    Between two nodes of one `run` only an import changes anything, so the state is read again only
    when there was one.
    """
    global _kept  # noqa: PLW0603  once a process
    if not all(stream.is_in_step() for stream in _streams.values()):
        spend("the random numbers, which a module seeded or drew from as it was imported")
    if _kept is None or _kept.of != (run, len(sys.modules)):
        _kept = _Kept((run, len(sys.modules)), [(part, part.get()) for part in _parts()])
    try:
        yield
    finally:
        for timer in _TIMERS:
            signal.setitimer(timer, 0)
        for part, value in [*_kept.values, *_new_parts(_kept)]:
            _put_back(part, value)
        _seed_anew()


def _put_back(part: _Part, value: Any) -> None:
    try:
        if part.get() == value:
            return
        part.put(value)
        if part.get() != value:
            spend(part.name)
    except Exception:  # noqa: BLE001  of whatever library the state is
        spend(part.name)


class _Stream:
    """A library's random numbers beside a copy of ours that draws in step with them.

    Where the two part, a number was drawn, or a seed set. That costs a microsecond; to read and
    compare the state takes a hundred times as long.
    """

    def __init__(self, draw: Callable[[], Any], seed: Callable[[], Any], copy: _Copy) -> None:
        self._draw = draw
        self._seed = seed
        self._copy = copy
        self._twin = copy()

    def is_in_step(self) -> bool:
        return bool(self._draw() == self._twin())

    def seed_anew(self) -> None:
        """Let the next node have numbers of its own."""
        if not self.is_in_step():
            self._seed()
            self._twin = self._copy()


_Copy = Callable[[], Callable[[], Any]]


def _copy_of_random() -> Callable[[], Any]:
    twin = random.Random()
    twin.setstate(random.getstate())
    return partial(twin.getrandbits, 64)


def _stream_of_numpy() -> _Stream:
    module: Any = sys.modules["numpy.random"]

    def copy() -> Callable[[], Any]:
        twin = module.RandomState()
        twin.set_state(module.get_state())
        draw: Callable[[], Any] = twin.random_sample
        return draw

    return _Stream(module.random_sample, module.seed, copy)


_streams = {"random": _Stream(partial(random.getrandbits, 64), random.seed, _copy_of_random)}


def _seed_anew() -> None:
    for stream in _streams.values():
        stream.seed_anew()
    if "numpy" not in _streams and "numpy.random" in sys.modules:
        with contextlib.suppress(Exception):  # in the middle of its import, in another thread
            sys.modules["numpy.random"].seed()
            _streams["numpy"] = _stream_of_numpy()
    if "torch" in sys.modules:
        with contextlib.suppress(Exception):  # as above
            sys.modules["torch"].seed()


@dataclass(frozen=True)
class _Part:
    """One piece of state: what it is called, how to read it, and how to put it back."""

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], Any]
    at_first: Any = None  # of a library that was just loaded


@dataclass(frozen=True)
class _Kept:
    """The state as it was when `_create` of the first node of a run began."""

    of: tuple[str, int]
    values: list[tuple[_Part, Any]]


def _new_parts(kept: _Kept) -> list[tuple[_Part, Any]]:
    """Those of libraries that `_create` was the first to load: how a new process begins."""
    if len(sys.modules) == kept.of[1]:
        return []
    known = {part.name for part, _ in kept.values}
    return [(part, part.at_first) for part in _library_parts() if part.name not in known]


def _parts() -> list[_Part]:
    return [
        _Part("environment", _environment, _set_environment),
        _Part("umask", _umask, os.umask),
        _Part("signal handlers", _handlers, _set_handlers),
        _Part("signal mask", _signal_mask, _set_signal_mask),
        _Part("sys", _interpreter, _set_interpreter),
        _Part("standard descriptors", _descriptors, _refuse),
        _Part("warnings", _warnings, _set_warnings),
        _Part("logging", _logging, _set_logging),
        _Part("limits", _limits, _set_limits),
        *_library_parts(),
    ]


def _library_parts() -> list[_Part]:
    """The same of libraries, if they are loaded."""
    loaded = sys.modules
    parts: list[_Part] = []
    if decimal := loaded.get("decimal"):
        get_context = partial(_decimal, decimal)
        at_first = _words_of(decimal.DefaultContext)
        parts.append(_Part("decimal", get_context, partial(_set_decimal, decimal), at_first))
    if contexts := loaded.get("multiprocessing.context"):
        default = contexts._default_context  # noqa: SLF001  the public names are its methods
        get = partial(default.get_start_method, allow_none=True)
        put = partial(default.set_start_method, force=True)
        parts.append(_Part("multiprocessing start method", get, put))
    if socket := loaded.get("socket"):
        get_timeout = partial(socket.getdefaulttimeout)
        parts.append(_Part("socket timeout", get_timeout, socket.setdefaulttimeout))
    return parts


def _decimal(decimal: Any) -> tuple[Any, ...]:
    return _words_of(decimal.getcontext())


def _words_of(context: Any) -> tuple[Any, ...]:
    traps = getattr(context, "_traps", None)  # one number, where `traps` takes ten microseconds
    return context.prec, context.rounding, context.Emax, context.Emin, traps


def _set_decimal(decimal: Any, value: tuple[Any, ...]) -> None:
    context = decimal.DefaultContext.copy()
    context.prec, context.rounding, context.Emax, context.Emin = value[:4]
    decimal.setcontext(context)


def _refuse(_: object) -> None:
    """Put nothing back: the process is spent."""


def _environment() -> dict[Any, Any]:
    raw = getattr(os.environ, "_data", None)  # a tenth of the time that decoding all takes
    return dict(raw if raw is not None else os.environ)


def _set_environment(value: dict[Any, Any]) -> None:
    now = _environment()
    as_text = os.fsdecode
    for name in now.keys() - value.keys():
        os.environ.pop(as_text(name), None)
    for name, text in value.items():
        if now.get(name) != text:
            os.environ[as_text(name)] = as_text(text)
    time.tzset()


def _umask() -> int:
    mask = os.umask(0o077)  # there is no way to read it; none of ours makes files meanwhile
    os.umask(mask)
    return mask


def _handlers() -> list[Any]:
    return [_get_handler(number) for number in _SIGNALS]


def _set_handlers(value: list[Any]) -> None:
    for number, handler in zip(_SIGNALS, value, strict=True):
        if _get_handler(number) != handler:
            _set_handler(number, handler)


def _signal_mask() -> set[Any]:
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _set_signal_mask(value: set[Any]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, value)


def _interpreter() -> tuple[Any, ...]:
    return (
        [sys.stdin, sys.stdout, sys.stderr, sys.displayhook, sys.excepthook, sys.unraisablehook],
        list(sys.path),
        list(sys.meta_path),
        list(sys.argv),
        sys.getrecursionlimit(),
        sys.getswitchinterval(),
        gc.isenabled(),
        gc.get_threshold(),
    )


def _set_interpreter(value: tuple[Any, ...]) -> None:
    streams, path, finders, arguments, depth, interval, collects, threshold = value
    sys.stdin, sys.stdout, sys.stderr, sys.displayhook, sys.excepthook, sys.unraisablehook = streams
    sys.path[:] = path
    sys.meta_path[:] = finders
    sys.argv[:] = arguments
    sys.setrecursionlimit(depth)
    sys.setswitchinterval(interval)
    (gc.enable if collects else gc.disable)()
    gc.set_threshold(*threshold)


def _descriptors() -> list[Any]:
    stats = [os.fstat(number) for number in (1, 2)]
    closed = [getattr(stream, "closed", None) for stream in (sys.stdin, sys.stdout, sys.stderr)]
    return [*closed, *((stat.st_dev, stat.st_ino) for stat in stats)]


def _warnings() -> tuple[list[Any], Any]:
    return list(warnings.filters), warnings.showwarning


def _set_warnings(value: tuple[list[Any], Any]) -> None:
    warnings.filters[:], warnings.showwarning = value  # type: ignore[index]  # it is a list
    if mutated := getattr(warnings, "_filters_mutated", None):  # so that no cache keeps the others
        mutated()


def _logging() -> tuple[Any, ...]:
    root = logging.root
    return list(root.handlers), root.level, list(root.filters), root.manager.disable


def _set_logging(value: tuple[Any, ...]) -> None:
    root = logging.root
    handlers, level, filters, disabled = value
    root.handlers[:] = handlers
    root.filters[:] = filters
    root.setLevel(level)
    logging.disable(disabled)


def _limits() -> list[Any]:
    return [resource.getrlimit(limit) for limit in _LIMITS]


def _set_limits(value: list[Any]) -> None:
    for limit, amounts in zip(_LIMITS, value, strict=True):
        if resource.getrlimit(limit) != amounts:
            resource.setrlimit(limit, amounts)
