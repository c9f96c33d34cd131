"""Every error that huldra raises, as one tree.

HuldraError
├── HuldraSettingsError            a setting has a value that is not allowed
├── HuldraClassError               a class does not meet the rules for Huldra classes
├── HuldraIdentityError            a value has no stable identity, so the config has no directory
├── HuldraSerializationError       a config cannot be serialized, or a document cannot be read
├── HuldraCycleError               an artifact depends on itself
├── HuldraStoreError               the file system refused, or a path holds foreign files
│   └── HuldraArtifactMissing      no attempt is recorded for the artifact
├── HuldraComputeError             `_create` failed
│   ├── HuldraValidationError      `_validate` still returns False after `_create`
│   └── HuldraDependencyError      a dependency failed or is missing, so `_create` did not run
├── HuldraWaitTimeout              the artifact was not complete within the time limit
├── HuldraLockNotAcquired          another process holds the artifact
│   └── HuldraClaimLost            another process took over the claim
├── HuldraCancelled                the attempt was cancelled
├── HuldraQueryError               a catalog query is invalid
├── HuldraExecutorError            an engine reported an error
│   ├── HuldraRefused              the engine cannot honour a request; nothing was submitted
│   ├── HuldraSubmitError          the engine did not accept the whole graph
│   └── HuldraJobLost              the job ended, or the engine lost it, without a result
└── RemoteError                    an exception of another process, as text
NodeFailed                         the only exception that crosses an engine's boundary

Each error carries its data as attributes and survives pickling. Transient, so that the same call
may succeed later, are `HuldraWaitTimeout`, `HuldraLockNotAcquired`, `HuldraClaimLost`,
`HuldraJobLost`, a `HuldraSubmitError` and a `HuldraExecutorError` of an engine that was
unreachable, and a `HuldraStoreError` of a full or unreachable disk. After a `HuldraComputeError`
the next call runs `_create` again. All others stay until the code, the config or a setting changes.
"""

from __future__ import annotations

import concurrent.futures
from typing import Any


class HuldraError(Exception):
    """Base class of all errors of huldra. Keyword arguments become attributes."""

    def __init__(self, message: str, /, **data: Any) -> None:
        super().__init__(message)
        self.__dict__.update(data)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self.args[0]) if self.args else "", self.__dict__.copy())


def _rebuild(cls: type[HuldraError], message: str, data: dict[str, Any]) -> HuldraError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(data)
    return error


class HuldraSettingsError(HuldraError):
    """A setting has a value that is not allowed.

    `variable` names the setting, `value` is what was found, `allowed` says what is valid.
    """

    variable: str
    value: str
    allowed: str


class HuldraClassError(HuldraError):
    """A class does not meet the rules for Huldra classes, or no worker could import it."""


class HuldraIdentityError(HuldraError):
    """The value at `field_path` has no stable identity, so the config has no hash."""

    field_path: str


class HuldraSerializationError(HuldraError):
    """A config cannot be serialized, or a serialized config cannot be read."""


class HuldraCycleError(HuldraError):
    """An artifact depends on itself. `path` names each step; the first and last are the same."""

    path: tuple[str, ...]


class HuldraStoreError(HuldraError):
    """The file system refused an operation, or a path holds files that huldra did not create.

    `directory` says where. Transient where the disk was full or could not be reached.
    """

    directory: str


class HuldraArtifactMissing(HuldraStoreError, LookupError):
    """No attempt is recorded for this artifact."""


class HuldraComputeError(HuldraError):
    """`_create` failed; the failure is recorded, and the next explicit call runs `_create` again.

    `original_error` is the exception that `_create` raised: a `RemoteError` if another process
    ran it. `state_path` is the artifact's state file, `directory` the artifact's directory.
    """

    original_error: BaseException | None = None
    state_path: str = ""
    directory: str = ""


class HuldraValidationError(HuldraComputeError):
    """`_create` returned, but `_validate` still returns False."""


class HuldraDependencyError(HuldraComputeError):
    """A dependency failed or is missing, so `_create` did not run.

    `failed_key` is the key of the dependency that failed first, `log_path` its log.
    """

    failed_key: str = ""
    log_path: str = ""


class HuldraWaitTimeout(HuldraError, TimeoutError):
    """The artifact in `directory` was not complete after `waited_s` seconds.

    Transient: the owner keeps running, and a later call finds its result.
    """

    waited_s: float
    directory: str


class HuldraLockNotAcquired(HuldraError):
    """Another process holds the artifact in `directory`, and this call may not wait.

    Transient.
    """

    directory: str


class HuldraClaimLost(HuldraLockNotAcquired):
    """Another process took over the claim; this attempt published nothing. Transient."""


class HuldraCancelled(HuldraError, concurrent.futures.CancelledError):
    """The attempt or the job was cancelled."""


class HuldraQueryError(HuldraError, ValueError):
    """A catalog query is invalid: its parameter `field` has the value `value`."""

    field: str
    value: str


class HuldraExecutorError(HuldraError):
    """An engine reported an error, could not be reached, or cannot do what was requested."""


class HuldraRefused(HuldraExecutorError):
    """The engine cannot honour a request. `refusals` lists each one. Nothing was submitted."""

    refusals: tuple[Any, ...] = ()


class HuldraSubmitError(HuldraExecutorError):
    """The engine did not accept the whole graph.

    The message says what happened to the part that it had accepted. Transient where the engine was
    unreachable or busy.
    """


class HuldraJobLost(HuldraExecutorError):
    """The job ended, or the engine lost it, and its artifact is not complete.

    Transient: the next `load_or_create()` submits the node again. A job that was killed for lack
    of memory needs a larger `Resources.memory_gb` first; the message says so.
    """


class RemoteError(HuldraError):
    """An exception that `_create` raised in another process.

    `type_name` is the qualified name of the original type, `message` its text and
    `traceback_text` its formatted traceback.
    """

    type_name: str
    message: str
    traceback_text: str

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}"


class NodeFailed(Exception):
    """A node did not complete. Its one argument, a text, is all that crosses to the engine."""
