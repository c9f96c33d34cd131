"""Configs that become directories: made exactly once, on any engine, and reused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import chz

from huldra.artifact import StateManager
from huldra.base import Huldra
from huldra.collection import HuldraList, load_or_create, plan
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
from huldra.executor import Executor, Resources
from huldra.fields import MISSING, field
from huldra.job import Job
from huldra.logs import configure_logging, get_logger, run_subprocess
from huldra.metadata import MetadataManager
from huldra.serialize import HuldraSerializer
from huldra.settings import (
    HULDRA_CONFIG,
    get_huldra_root,
    huldra_root,
    load_env,
    set_huldra_root,
)
from huldra.sweep import Sweep

if TYPE_CHECKING:
    import submitit as submitit

    from huldra_submitit import SubmititAdapter as SubmititAdapter

    __version__: str

__all__ = [
    "HULDRA_CONFIG",
    "MISSING",
    "Executor",
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
    "MetadataManager",
    "NodeFailed",
    "RemoteError",
    "Resources",
    "StateManager",
    "Sweep",
    "__version__",
    "chz",
    "configure_logging",
    "field",
    "get_huldra_root",
    "get_logger",
    "huldra_root",
    "load_env",
    "load_or_create",
    "plan",
    "run_subprocess",
    "set_huldra_root",
]


def __getattr__(name: str) -> Any:
    """Resolve what needs a library that may not be installed, and the version, on first use."""
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
