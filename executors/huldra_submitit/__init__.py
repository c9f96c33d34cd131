"""Slurm through submitit: graphs as job arrays, with the scheduler's own dependencies.

`executor="slurm"` takes its parameters from `HULDRA_SLURM_*`; a submitit executor is taken as it
is; `SubmititExecutor(...)` has more. submitit itself is imported when one of them is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huldra.engines.kit import Executor, JobRef
from huldra.errors import HuldraExecutorError

if TYPE_CHECKING:
    from huldra_submitit.executor import SubmititAdapter, SubmititExecutor

__all__ = ["SubmititAdapter", "SubmititExecutor", "connect", "from_name", "from_object"]


def from_name(spec: str, **options: Any) -> Executor:
    """The executor that `"slurm"` or `"slurm:PARTITION"` means.

    Options are those of `SubmititExecutor`; what is not given comes from `HULDRA_SLURM_*`.
    Raises `HuldraExecutorError` for other names, `ImportError` when submitit is not installed.
    """
    from huldra_submitit.names import all_options

    found = all_options(spec, options)
    _need_submitit()
    from huldra_submitit.executor import SubmititExecutor

    return SubmititExecutor(found.pop("folder", None), **found)


def from_object(obj: object) -> Executor | None:
    """Wrap a submitit executor; None for everything else, without importing submitit."""
    if not any(base.__module__.split(".")[0] == "submitit" for base in type(obj).__mro__):
        return None
    from submitit.core.core import Executor as Theirs

    if not isinstance(obj, Theirs):
        return None
    inner: Any = getattr(obj, "_executor", obj)
    if type(inner).name() == "slurm":
        from huldra_submitit.executor import SubmititExecutor

        return SubmititExecutor(obj)
    from huldra_submitit.plain import PlainExecutor

    return PlainExecutor(obj)


def connect(ref: JobRef) -> Executor:
    """Follow a job that another process sent.

    Raises `HuldraExecutorError` when only that process can.
    """
    if ref.engine == "slurm":
        from huldra_submitit import attached

        return attached.attach(ref)
    if ref.engine == "submitit":
        _need_submitit()
        from huldra_submitit import plain

        return plain.attach(ref)
    raise HuldraExecutorError(f"expected a submitit job, found one of {ref.engine!r}")


def _need_submitit() -> None:
    try:
        import submitit  # noqa: F401  only whether it is there
    except ImportError as error:
        raise ImportError(
            "the Slurm executor needs submitit: pip install 'submitit>=1.5.4'"
        ) from error


def __getattr__(name: str) -> Any:
    if name in ("SubmititAdapter", "SubmititExecutor"):
        _need_submitit()
        from huldra_submitit import executor

        return getattr(executor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
