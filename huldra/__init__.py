"""Configs that become directories: made exactly once, on any engine, and reused."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import chz
    import submitit as submitit

    from huldra.answers import (
        Differences,
        Found,
        accept,
        adopt,
        adopt_all,
        diff,
        find,
        open_artifact,
        run,
    )
    from huldra.attempts.report import report, track
    from huldra.base import Huldra
    from huldra.collection import HuldraList, frame, grid, load_or_create, plan, rows, status
    from huldra.config.documents import HuldraSerializer
    from huldra.config.fields import MISSING, field
    from huldra.config.identities import identity
    from huldra.engines.protocol import Executor, JobStatus
    from huldra.engines.resources import Resources, Retry
    from huldra.errors import (
        HuldraArtifactMissing,
        HuldraCancelled,
        HuldraClaimLost,
        HuldraClassError,
        HuldraComputeError,
        HuldraCycleError,
        HuldraDependencyError,
        HuldraError,
        HuldraExecutorError,
        HuldraIdentityError,
        HuldraJobLost,
        HuldraLockNotAcquired,
        HuldraRefused,
        HuldraSerializationError,
        HuldraSettingsError,
        HuldraStoreError,
        HuldraSubmitError,
        HuldraValidationError,
        HuldraWaitTimeout,
        NodeFailed,
        RemoteError,
    )
    from huldra.functions import current, task
    from huldra.logs.capture import configure_logging, get_logger, run_subprocess
    from huldra.provenance.metadata import Metadata, MetadataManager
    from huldra.scheduling.adoption import Adoption
    from huldra.scheduling.cancelling import cancel, discard
    from huldra.scheduling.explanation import Explanation
    from huldra.scheduling.job import Job
    from huldra.scheduling.planning import NodeStatus, Plan, PlannedNode
    from huldra.scheduling.sweep import Sweep
    from huldra.settings import (
        HULDRA_CONFIG,
        get_huldra_root,
        huldra_root,
        load_env,
        set_huldra_root,
    )
    from huldra.store.artifact import StateManager
    from huldra.store.job_ref import JobRef
    from huldra.store.records import (
        Attempt,
        AttemptStatus,
        AttemptSummary,
        ErrorRecord,
        Result,
        State,
    )
    from huldra_submitit import SubmititAdapter as SubmititAdapter

    __version__: str
    open = open_artifact  # noqa: A001  `huldra.open`, as `tarfile.open` is one

# Each name is imported at its first use: a program that only reads a setting, or the command line,
# does not pay for the whole library.
_HOMES = {
    "huldra.store.artifact": ("StateManager",),
    "huldra.base": ("Huldra",),
    "huldra.collection": (
        "HuldraList",
        "frame",
        "grid",
        "load_or_create",
        "plan",
        "rows",
        "status",
    ),
    "huldra.functions": (
        "current",
        "task",
    ),
    "huldra.scheduling.adoption": ("Adoption",),
    "huldra.answers": (
        "Differences",
        "Found",
        "accept",
        "adopt",
        "adopt_all",
        "diff",
        "find",
        "open",
        "run",
    ),
    "huldra.errors": (
        "HuldraArtifactMissing",
        "HuldraCancelled",
        "HuldraClaimLost",
        "HuldraClassError",
        "HuldraComputeError",
        "HuldraCycleError",
        "HuldraDependencyError",
        "HuldraError",
        "HuldraExecutorError",
        "HuldraIdentityError",
        "HuldraJobLost",
        "HuldraLockNotAcquired",
        "HuldraRefused",
        "HuldraSerializationError",
        "HuldraSettingsError",
        "HuldraStoreError",
        "HuldraSubmitError",
        "HuldraValidationError",
        "HuldraWaitTimeout",
        "NodeFailed",
        "RemoteError",
    ),
    "huldra.engines.protocol": (
        "Executor",
        "JobStatus",
    ),
    "huldra.attempts.report": ("report", "track"),
    "huldra.engines.resources": ("Resources", "Retry"),
    "huldra.config.fields": (
        "MISSING",
        "field",
    ),
    "huldra.config.identities": ("identity",),
    "huldra.scheduling.job": ("Job",),
    "huldra.logs.capture": (
        "configure_logging",
        "get_logger",
        "run_subprocess",
    ),
    "huldra.provenance.metadata": (
        "Metadata",
        "MetadataManager",
    ),
    "huldra.scheduling.cancelling": ("cancel", "discard"),
    "huldra.scheduling.explanation": ("Explanation",),
    "huldra.scheduling.planning": (
        "NodeStatus",
        "Plan",
        "PlannedNode",
    ),
    "huldra.store.job_ref": ("JobRef",),
    "huldra.store.records": (
        "Attempt",
        "AttemptStatus",
        "AttemptSummary",
        "ErrorRecord",
        "Result",
        "State",
    ),
    "huldra.config.documents": ("HuldraSerializer",),
    "huldra.settings": (
        "HULDRA_CONFIG",
        "get_huldra_root",
        "huldra_root",
        "load_env",
        "set_huldra_root",
    ),
    "huldra.scheduling.sweep": ("Sweep",),
}
_OWN_NAME = {"open": "open_artifact"}  # within its module it would hide Python's
_HOME = {name: module for module, names in _HOMES.items() for name in names}

# Without `open`, which a star import would put in the place of Python's.
__all__ = [
    "HULDRA_CONFIG",
    "MISSING",
    "Adoption",
    "Attempt",
    "AttemptStatus",
    "AttemptSummary",
    "Differences",
    "ErrorRecord",
    "Executor",
    "Explanation",
    "Found",
    "Huldra",
    "HuldraArtifactMissing",
    "HuldraCancelled",
    "HuldraClaimLost",
    "HuldraClassError",
    "HuldraComputeError",
    "HuldraCycleError",
    "HuldraDependencyError",
    "HuldraError",
    "HuldraExecutorError",
    "HuldraIdentityError",
    "HuldraJobLost",
    "HuldraList",
    "HuldraLockNotAcquired",
    "HuldraRefused",
    "HuldraSerializationError",
    "HuldraSerializer",
    "HuldraSettingsError",
    "HuldraStoreError",
    "HuldraSubmitError",
    "HuldraValidationError",
    "HuldraWaitTimeout",
    "Job",
    "JobRef",
    "JobStatus",
    "Metadata",
    "MetadataManager",
    "NodeFailed",
    "NodeStatus",
    "Plan",
    "PlannedNode",
    "RemoteError",
    "Resources",
    "Result",
    "Retry",
    "State",
    "StateManager",
    "Sweep",
    "__version__",
    "accept",
    "adopt",
    "adopt_all",
    "cancel",
    "chz",
    "configure_logging",
    "current",
    "diff",
    "discard",
    "field",
    "find",
    "frame",
    "get_huldra_root",
    "get_logger",
    "grid",
    "huldra_root",
    "identity",
    "load_env",
    "load_or_create",
    "plan",
    "report",
    "rows",
    "run",
    "run_subprocess",
    "set_huldra_root",
    "status",
    "task",
    "track",
]


def __getattr__(name: str) -> Any:
    """Import the module that a public name stands in, at the name's first use."""
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), _OWN_NAME.get(name, name))
        globals()[name] = value
        return value
    if name == "chz":
        return importlib.import_module("chz")
    if name == "__version__":
        from importlib.metadata import version

        return version("huldra")
    if name == "submitit":
        return _submitit()
    if name == "SubmititAdapter":
        _submitit()
        from huldra_submitit import SubmititAdapter

        return SubmititAdapter
    raise AttributeError(f"module 'huldra' has no attribute {name!r}")


def _submitit() -> Any:
    try:
        import submitit
    except ImportError as error:
        raise ImportError(
            "huldra.submitit needs submitit, which is not installed: pip install 'submitit>=1.5.4'"
        ) from error
    return submitit


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
