"""Every error that huldra raises, as one tree.

HuldraError
├── HuldraSettingsError            a setting has a value that is not allowed
├── HuldraClassError               a class cannot be a Huldra as it is written
├── HuldraIdentityError            a value has no stable identity, so no directory
├── HuldraSerializationError       a config cannot be written down or read back
├── HuldraCycleError               an artifact needs itself
├── HuldraStoreError               the disk said no, or holds what is not ours
│   └── HuldraArtifactMissing      asked about an artifact that is not there
├── HuldraComputeError             `_create` did not make the artifact
│   ├── HuldraValidationError      `_validate` is still false after `_create`
│   └── HuldraDependencyError      a dependency was not made, so this was not tried
├── HuldraWaitTimeout              someone else holds the artifact for too long
├── HuldraLockNotAcquired          the artifact could not be claimed
│   └── HuldraClaimLost            the claim was taken over while we held it
├── HuldraCancelled                the attempt was cancelled
├── HuldraQueryError               a question to the catalog is not understood
├── HuldraExecutorError            an engine failed us
│   ├── HuldraRefused              the engine cannot honour what was asked; nothing was sent
│   ├── HuldraSubmitError          the engine did not take the graph
│   └── HuldraJobLost              the engine lost the job and the artifact is not made
├── RemoteError                    what another process raised, as text
└── NodeFailed                     the one error that crosses an engine's boundary: plain text

Each error carries its data as attributes and survives pickling.
"""

from __future__ import annotations

import concurrent.futures
from typing import Any


class HuldraError(Exception):
    """Base of all errors of huldra; keyword data becomes attributes."""

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
    """A setting is not allowed: carries `variable`, `value` and `allowed`."""

    variable: str
    value: str
    allowed: str


class HuldraClassError(HuldraError):
    """A class cannot be a Huldra as it is written."""


class HuldraIdentityError(HuldraError):
    """The value at `field_path` has no stable identity."""

    field_path: str


class HuldraSerializationError(HuldraError):
    """A config cannot be written down, or what was written cannot be read back."""


class HuldraCycleError(HuldraError):
    """An artifact needs itself; `path` names each step, first and last being the same."""

    path: tuple[str, ...]


class HuldraStoreError(HuldraError):
    """The disk refused, or holds something that huldra did not write; `directory` says where."""

    directory: str


class HuldraArtifactMissing(HuldraStoreError, LookupError):
    """Nothing was ever recorded for this artifact."""


class HuldraComputeError(HuldraError):
    """`_create` ended without the artifact.

    `original_error` is what it raised (a `RemoteError` when another process did),
    `state_path` the artifact's state file, `directory` the artifact's directory.
    """

    original_error: BaseException | None = None
    state_path: str = ""
    directory: str = ""


class HuldraValidationError(HuldraComputeError):
    """`_create` returned but `_validate` is still false."""


class HuldraDependencyError(HuldraComputeError):
    """A dependency was not made: `failed_key` is its key and `log_path` its log."""

    failed_key: str = ""
    log_path: str = ""


class HuldraWaitTimeout(HuldraError, TimeoutError):
    """Waited `waited_s` seconds for another owner of `directory`."""

    waited_s: float
    directory: str


class HuldraLockNotAcquired(HuldraError):
    """The artifact in `directory` could not be claimed."""

    directory: str


class HuldraClaimLost(HuldraLockNotAcquired):
    """Another owner took the claim over; nothing of this attempt was published."""


class HuldraCancelled(HuldraError, concurrent.futures.CancelledError):
    """The attempt or the job was cancelled."""


class HuldraQueryError(HuldraError, ValueError):
    """A question to the catalog is not understood: `field` of it has `value`."""

    field: str
    value: str


class HuldraExecutorError(HuldraError):
    """An engine failed us."""


class HuldraRefused(HuldraExecutorError):
    """The engine cannot honour a request; `refusals` lists each; nothing was sent."""

    refusals: tuple[Any, ...] = ()


class HuldraSubmitError(HuldraExecutorError):
    """The engine did not take the graph; the message says what became of the part that was sent."""


class HuldraJobLost(HuldraExecutorError):
    """The engine ended or forgot the job, and its artifact is not made."""


class RemoteError(HuldraError):
    """What `_create` raised in another process.

    `type_name` is the qualified name of the original's type, `message` its text and
    `traceback_text` its formatted traceback.
    """

    type_name: str
    message: str
    traceback_text: str

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}"


class NodeFailed(Exception):
    """A node was not made; the single text argument is all that crosses to the engine."""
