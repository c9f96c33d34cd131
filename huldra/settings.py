"""Settings: a table of environment variables, and `HULDRA_CONFIG`, which reads it on first use.

Each process reads a variable once, at the first use of its setting, never at import. The first use
of any setting checks all of them, so that a bad value is an error at once and not in a heartbeat an
hour later. An assignment in code takes precedence over the environment, and the environment over
`.env`. `docs/settings.md` is the page for users.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from huldra.errors import HuldraSettingsError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Parser(Generic[T]):
    """How to read a value.

    `parse` takes text or a Python value, and raises ValueError or TypeError for a value that is not
    allowed. `allowed` completes the sentence "allowed: …" of the error.
    """

    parse: Callable[[Any], T]
    allowed: str


@dataclass(frozen=True)
class Variable(Generic[T]):
    """An environment variable and its setting. `default` applies when it is unset or empty."""

    name: str
    attribute: str
    parser: Parser[T]
    default: T

    def validate(self, value: object, source: str = "") -> T:
        """Return `value` converted to the type of this setting.

        Raises:
            HuldraSettingsError: The value is not allowed. The error names `source`, by default the
                variable.
        """
        try:
            return self.parser.parse(value)
        except (ValueError, TypeError) as error:
            raise _refusal(source or self.name, value, self.parser.allowed) from error

    def read(self, environ: Mapping[str, str] | None = None) -> T:
        """Return the value of the environment, or the default. Reads no `.env`.

        Raises:
            HuldraSettingsError: The value is not allowed.
        """
        text = (os.environ if environ is None else environ).get(self.name, "").strip()
        return self.validate(text) if text else self.default


def _refusal(variable: str, value: object, allowed: str) -> HuldraSettingsError:
    """Return the error for a value that is not allowed."""
    return HuldraSettingsError(
        f"{variable} is {value!r}; allowed: {allowed}",
        variable=variable,
        value=str(value),
        allowed=allowed,
    )


def _parse_flag(value: object) -> bool:
    """Parse the usual words for yes and no."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError(word)


def _parse_seconds(value: Any) -> float:
    """Parse a finite duration above zero."""
    seconds = float(_not_flag(value))
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(value)
    return seconds


def _parse_count(value: Any) -> int:
    """Parse a whole number that is not negative."""
    number = int(_not_flag(value))
    if number < 0 or number != float(value):
        raise ValueError(value)
    return number


def _not_flag(value: Any) -> Any:
    """Return `value`, unless it is a bool."""
    # A bool is an int in Python; `poll_interval = True` is a slip, not one second.
    if isinstance(value, bool):
        raise TypeError(value)
    return value


def _parse_directory(value: Any) -> str:
    """Make a path absolute; `~` is the home directory."""
    text = os.fspath(value)
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise ValueError(value)
    try:
        return os.path.abspath(os.path.expanduser(text))
    except FileNotFoundError as error:
        raise HuldraSettingsError(
            f"wanted the directory {text!r} below the working directory, which was removed;"
            " change to one that exists, or set HULDRA_PATH to an absolute path",
            variable="HULDRA_PATH",
            value=text,
        ) from error


def choice(*words: str) -> Parser[str]:
    """Return a parser for one of `words`, in any letter case. It returns the word as given here."""
    by_folded = {word.casefold(): word for word in words}

    def parse(value: object) -> str:
        word = by_folded.get(str(value).strip().casefold())
        if word is None:
            raise ValueError(value)
        return word

    return Parser(parse, ", ".join(words))


def optional(parser: Parser[T]) -> Parser[T | None]:
    """Return a parser that also accepts None (in code; an empty variable counts as unset)."""
    return Parser(lambda value: None if value is None else parser.parse(value), parser.allowed)


FLAG = Parser(_parse_flag, "true, false, 1, 0, yes, no, on, off")
SECONDS = Parser(_parse_seconds, "a number of seconds above 0")
COUNT = Parser(_parse_count, "a whole number, 0 or more")
DIRECTORY = Parser(_parse_directory, "the path of a directory")
TEXT = Parser(str, "any text")

VARIABLES: tuple[Variable[Any], ...] = (
    Variable("HULDRA_PATH", "root", DIRECTORY, "data-huldra"),
    Variable("HULDRA_LOG_LEVEL", "log_level", choice(*_LEVELS), "INFO"),
    Variable("HULDRA_IGNORE_DIFF", "ignore_git_diff", FLAG, False),
    Variable("HULDRA_POLL_INTERVAL_SECS", "poll_interval", SECONDS, 10.0),
    Variable("HULDRA_WAIT_LOG_EVERY_SECS", "wait_log_every", SECONDS, 10.0),
    Variable("HULDRA_STALE_AFTER_SECS", "stale_after", SECONDS, 1800.0),
    Variable("HULDRA_LEASE_SECS", "lease", SECONDS, 120.0),
    Variable("HULDRA_HEARTBEAT_SECS", "heartbeat", optional(SECONDS), None),
    Variable("HULDRA_PREEMPT_MAX", "preempt_max", COUNT, 5),
    Variable("HULDRA_CANCELLED_IS_PREEMPTED", "cancelled_is_preempted", FLAG, False),
    Variable("HULDRA_RICH_UNCAUGHT_TRACEBACKS", "rich_uncaught_tracebacks", FLAG, True),
    Variable("HULDRA_DURABLE", "durable", FLAG, True),
    Variable("HULDRA_CACHE_DIR", "cache_dir", optional(DIRECTORY), None),
    Variable("HULDRA_CODE", "code", choice("off", "label", "warn", "strict"), "label"),
    Variable("HULDRA_FREEZE", "freeze", choice("auto", "on", "off"), "auto"),
    Variable("HULDRA_FREEZE_MAX_MB", "freeze_max_mb", COUNT, 256),
)

_BY_ATTRIBUTE = {variable.attribute: variable for variable in VARIABLES}


class Settings:
    """The settings of this process; `HULDRA_CONFIG` is the one that huldra uses.

    Read and assign them as plain attributes. An assignment is checked, and takes precedence over
    the environment for the rest of the process. It raises `HuldraSettingsError` for a value that is
    not allowed, and then keeps the old value. The first read of a setting raises
    `HuldraSettingsError` if any variable has a bad value. All durations are in seconds.

    Attributes:
        root: The store's directory, absolute. A relative `HULDRA_PATH`, and the default
            `./data-huldra`, are resolved against the working directory at the first use.
        log_level: What the console shows: DEBUG, INFO, WARNING, ERROR or CRITICAL.
        ignore_git_diff: Keep uncommitted changes out of the metadata.
        poll_interval: Seconds between two checks of an artifact that is queued or running
            elsewhere.
        wait_log_every: Seconds between two log lines of a process that waits.
        stale_after: Seconds for which an owner counts as alive when its state cannot be determined.
        lease: Seconds for which a claim is valid without a renewal.
        heartbeat: Seconds between two renewals of a claim, less than `lease`. Assign None for a
            third of the lease.
        preempt_max: How many times huldra retries a job after infrastructure failures.
        cancelled_is_preempted: Treat a scheduler's CANCELLED as a preemption.
        rich_uncaught_tracebacks: Show uncaught exceptions with Rich.
        durable: Sync a result to the disk before it counts as complete, so that after a power cut
            no complete artifact has empty files.
        cache_dir: Where indexes of stores are kept, outside of them; None for `huldra` in the
            user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`).
        code: What to do about an artifact that other code computed: `off` (record nothing), `label`
            (say so where artifacts are shown), `warn` (and log a line on each hit) or `strict`
            (such an artifact is not complete for this process).
        freeze: Whether jobs run a copy of the project as it was at submission: `on`, `off`, or
            `auto`, where jobs outlive their driver.
        freeze_max_mb: How many MiB such a copy may have.
    """

    # A value that was read or assigned stands in the instance's own dict, so that reading it again
    # is a plain attribute access; `__getattr__` runs only for what is not there yet. It needs no
    # lock: two threads that read one variable at once find the same value, and an assignment in
    # between stays, because a value that was read is stored by `setdefault`.

    root: str
    log_level: str
    ignore_git_diff: bool
    poll_interval: float
    wait_log_every: float
    stale_after: float
    lease: float
    preempt_max: int
    cancelled_is_preempted: bool
    rich_uncaught_tracebacks: bool
    durable: bool
    cache_dir: str | None
    code: str
    freeze: str
    freeze_max_mb: int

    def __init__(self) -> None:
        self.__dict__["_assigned"] = {}
        self.__dict__["_environment_is_checked"] = False

    if TYPE_CHECKING:

        @property
        def heartbeat(self) -> float:
            """Seconds between two renewals of a claim."""
            raise NotImplementedError

        @heartbeat.setter
        def heartbeat(self, value: float | None) -> None: ...

    else:
        # Hidden from type checkers, for whom a misspelled setting has to stay an error.
        def __getattr__(self, name: str) -> Any:
            if name not in _BY_ATTRIBUTE:
                raise AttributeError(_unknown(name))
            self._check_environment()
            return self.__dict__.setdefault(name, self._resolve(name))

        def __setattr__(self, name: str, value: object) -> None:
            self.update(**{name: value})

    def __delattr__(self, name: str) -> None:
        raise AttributeError(
            f"cannot delete the setting {name!r}; HULDRA_CONFIG.reset() drops all assignments"
        )

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_BY_ATTRIBUTE]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{k}={v!r}' for k, v in self.snapshot().items())})"

    def update(self, **values: object) -> None:
        """Assign several settings at once: all of them, or none if one is not allowed.

        Raises:
            HuldraSettingsError: A value is not allowed.
            AttributeError: A name is unknown. The error lists the valid settings.
        """
        checked = {}
        for name, value in values.items():
            if name not in _BY_ATTRIBUTE:
                raise AttributeError(_unknown(name))
            checked[name] = _BY_ATTRIBUTE[name].validate(value, f"HULDRA_CONFIG.{name}")
        if "lease" in checked or "heartbeat" in checked:
            read_dotenv()
            _check_heartbeat({**_read("lease", "heartbeat"), **self._assigned, **checked})
        self._assigned.update(checked)
        self.__dict__.update(checked)
        if "lease" in checked or "heartbeat" in checked:
            self.__dict__.pop("heartbeat", None)  # resolved again: it may follow the lease

    def is_default(self, name: str) -> bool:
        """Return True if neither the environment nor the code has given the setting a value."""
        self._check_environment()
        variable = _BY_ATTRIBUTE[name]
        return name not in self._assigned and not os.environ.get(variable.name, "").strip()

    def snapshot(self) -> dict[str, Any]:
        """Return all values as plain JSON, for `apply` in another process."""
        values = {name: getattr(self, name) for name in _BY_ATTRIBUTE}
        values["heartbeat"] = self._explicit_heartbeat()
        return values

    def apply(self, snapshot: Mapping[str, Any]) -> None:
        """Assign the values of another process's `snapshot`. Ignores unknown keys."""
        self.update(**{k: v for k, v in snapshot.items() if k in _BY_ATTRIBUTE})

    def reload(self) -> None:
        """Drop the values that were read from the environment; keep assignments."""
        for name in _BY_ATTRIBUTE:
            if name not in self._assigned or name == "heartbeat":
                self.__dict__.pop(name, None)
        self.__dict__["_environment_is_checked"] = False

    def reset(self) -> None:
        """Drop all values, assignments too; the next use reads the environment again."""
        self._assigned.clear()
        self.reload()

    def _check_environment(self) -> None:
        """Read `.env` and check all variables, at the first use of any setting."""
        if not self.__dict__["_environment_is_checked"]:
            read_dotenv()
            unassigned = (name for name in _BY_ATTRIBUTE if name not in self._assigned)
            _check_heartbeat({**_read("lease"), **_read(*unassigned), **self._assigned})
            self.__dict__["_environment_is_checked"] = True

    def _resolve(self, name: str) -> Any:
        """Return the value of a setting that is not in the instance yet."""
        if name == "heartbeat":
            return self._explicit_heartbeat() or self.lease / 3
        if name in self._assigned:
            return self._assigned[name]
        value = _BY_ATTRIBUTE[name].read()
        return DIRECTORY.parse(value) if name == "root" else value  # the default is relative

    def _explicit_heartbeat(self) -> float | None:
        """Return the heartbeat that was set; None if it follows the lease."""
        value = {**_read("heartbeat"), **self._assigned}["heartbeat"]
        return None if value is None else float(value)

    @property
    def _assigned(self) -> dict[str, Any]:
        """The values that the code has assigned."""
        assigned: dict[str, Any] = self.__dict__["_assigned"]
        return assigned


HULDRA_CONFIG = Settings()


def _read(*attributes: str) -> dict[str, Any]:
    """Return the environment's values of these settings, each one checked."""
    return {name: _BY_ATTRIBUTE[name].read() for name in attributes}


def _check_heartbeat(values: Mapping[str, Any]) -> None:
    """Raise for a heartbeat that is too slow to renew its lease."""
    lease, heartbeat = values["lease"], values.get("heartbeat")
    if heartbeat is not None and heartbeat >= lease:
        allowed = f"a number of seconds above 0 and below HULDRA_LEASE_SECS, which is {lease:g}"
        raise _refusal("HULDRA_HEARTBEAT_SECS", heartbeat, allowed)


def _unknown(name: str) -> str:
    """Return the message for a misspelled setting."""
    return f"unknown setting {name!r}; valid settings: {', '.join(_BY_ATTRIBUTE)}"


def read_dotenv(path: str | os.PathLike[str] | None = None) -> bool:
    """Put the variables of `path` (default: `.env` in the working directory) into the environment.

    Variables that are already set keep their values. Return True if a file was read, False if there
    is none or python-dotenv is not installed.

    Raises:
        HuldraSettingsError: The file exists and cannot be read.
    """
    try:
        file = os.path.abspath(".env" if path is None else path)
    except FileNotFoundError:  # the working directory was removed
        return False
    if not os.path.isfile(file):
        return False
    try:
        import dotenv
    except ImportError:
        return False
    try:
        return dotenv.load_dotenv(file, override=False)
    except (OSError, UnicodeDecodeError) as error:
        allowed = "a readable UTF-8 file of NAME=value lines"
        raise _refusal(file, error, allowed) from error


def load_env(path: str | os.PathLike[str] | None = None) -> bool:
    """Read a `.env` file now (default: the one in the working directory), and the settings again.

    huldra reads `.env` itself at the first use of a setting; call this to name another file, or to
    read it earlier. The environment, and assignments in code, take precedence over the file.

    Returns:
        True if a file was read. False if no `path` was given and there is no `.env`, or
        python-dotenv is not installed.

    Raises:
        HuldraSettingsError: `path` was given and cannot be read, or python-dotenv is missing.
    """
    was_read = read_dotenv(path)
    if path is not None and not was_read and not _is_empty(path):
        allowed = "the path of a readable .env file, with python-dotenv installed"
        raise _refusal("load_env(path)", os.fspath(path), allowed)
    HULDRA_CONFIG.reload()
    return was_read


def _is_empty(path: str | os.PathLike[str]) -> bool:
    """Return True for an existing, empty file, which python-dotenv reports as not read."""
    return os.path.isfile(path) and os.path.getsize(path) == 0


def set_huldra_root(path: str | os.PathLike[str]) -> None:
    """Use `path` as the store's root in this process and in the jobs that it submits from now on.

    Raises:
        HuldraSettingsError: `path` cannot be a directory's path.
    """
    HULDRA_CONFIG.root = os.fspath(path)


def get_huldra_root() -> Path:
    """Return the store's root, absolute. It need not exist yet."""
    from pathlib import Path  # here: it is a tenth of what importing huldra may cost

    return Path(HULDRA_CONFIG.root)


@contextlib.contextmanager
def huldra_root(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Use another root inside the `with` block, in all threads of this process.

    Jobs that were submitted inside the block keep that root.
    """
    before = HULDRA_CONFIG.root
    set_huldra_root(path)
    try:
        yield get_huldra_root()
    finally:
        set_huldra_root(before)
