"""The names that users import, and what importing them costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import huldra

SEED = {
    "Huldra",
    "HuldraList",
    "HULDRA_CONFIG",
    "get_huldra_root",
    "set_huldra_root",
    "HuldraError",
    "HuldraComputeError",
    "HuldraLockNotAcquired",
    "HuldraWaitTimeout",
    "MISSING",
    "HuldraSerializer",
    "StateManager",
    "MetadataManager",
    "configure_logging",
    "get_logger",
    "load_env",
    "chz",
    "__version__",
}
ERRORS = {
    "HuldraArtifactMissing",
    "HuldraCancelled",
    "HuldraClaimLost",
    "HuldraClassError",
    "HuldraCycleError",
    "HuldraDependencyError",
    "HuldraExecutorError",
    "HuldraIdentityError",
    "HuldraJobLost",
    "HuldraRefused",
    "HuldraSerializationError",
    "HuldraSettingsError",
    "HuldraStoreError",
    "HuldraSubmitError",
    "HuldraValidationError",
    "NodeFailed",
    "RemoteError",
}
NEW = {
    "Attempt",
    "AttemptStatus",
    "AttemptSummary",
    "Differences",
    "ErrorRecord",
    "Executor",
    "Explanation",
    "Found",
    "Job",
    "JobRef",
    "JobStatus",
    "Metadata",
    "NodeStatus",
    "Plan",
    "PlannedNode",
    "Resources",
    "Result",
    "Retry",
    "State",
    "Sweep",
    "accept",
    "cancel",
    "current",
    "diff",
    "discard",
    "field",
    "find",
    "frame",
    "grid",
    "identity",
    "Adoption",
    "adopt",
    "adopt_all",
    "huldra_root",
    "load_or_create",
    "plan",
    "rows",
    "report",
    "run",
    "run_subprocess",
    "status",
    "task",
    "track",
}
# Resolved on first use, because they need a library that may not be installed.
LAZY = {"SubmititAdapter", "submitit"}
HEAVY = (
    "rich",
    "pydantic",
    "numpy",
    "pandas",
    "submitit",
    "dask",
    "distributed",
    "ray",
    "streamlit",
    "huldra_local",
    "huldra_submitit",
    "huldra_dask",
    "huldra_ray",
    "huldra_dashboard",
)


def modules_after(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after one statement."""
    report = "import json, sys; print(json.dumps([m.partition('.')[0] for m in sys.modules]))"
    code = f"{statement}\n{report}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("name", sorted(SEED | ERRORS | NEW))
def test_the_name_is_public(name: str) -> None:
    """`from huldra import NAME` works and the name is listed."""
    assert getattr(huldra, name, None) is not None
    assert name in huldra.__all__


def test_all_is_pinned() -> None:
    """A name enters or leaves `__all__` only together with this test."""
    assert set(huldra.__all__) == SEED | ERRORS | NEW
    assert len(huldra.__all__) == len(set(huldra.__all__))


@pytest.mark.parametrize("name", sorted(LAZY))
def test_a_star_import_leaves_optional_names_out(name: str) -> None:
    """`from huldra import *` needs no optional library, so it does not bring these names."""
    star: dict[str, object] = {}
    exec("from huldra import *", star)
    assert name not in star


@pytest.mark.slurm
def test_optional_names_resolve_where_their_library_is() -> None:
    """`from huldra import submitit, SubmititAdapter` work as in the README."""
    from huldra import SubmititAdapter, submitit

    assert isinstance(submitit, types.ModuleType)
    assert isinstance(SubmititAdapter, type)


def test_a_missing_library_is_an_import_error_that_names_it() -> None:
    """`huldra.submitit` without submitit says what to install."""
    code = (
        "import sys; sys.modules['submitit'] = None\n"
        "import huldra\n"
        "try:\n    huldra.submitit\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "pip install" in done.stdout
    assert "submitit" in done.stdout
    assert "huldra[" not in done.stdout


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A typing error is not mistaken for an optional name."""
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = huldra.no_such_name  # type: ignore[attr-defined]  # it is not there: that is the test


def test_importing_huldra_imports_nothing_heavy() -> None:
    """`import huldra` loads no engine, no screen and no large library."""
    assert modules_after("import huldra") & set(HEAVY) == set()


def test_a_star_import_imports_nothing_heavy() -> None:
    """Neither does `from huldra import *`."""
    assert modules_after("from huldra import *") & set(HEAVY) == set()


def test_a_class_can_be_defined_without_anything_heavy() -> None:
    """Defining and hashing a config needs no optional library either."""
    statement = (
        "import sys, types, huldra\n"
        "m = types.ModuleType('m_public'); sys.modules['m_public'] = m\n"
        "exec('import huldra\\nclass A(huldra.Huldra[int]):\\n    x: int = 1\\n', m.__dict__)\n"
        "m.A().huldra_hash"
    )
    assert modules_after(statement) & set(HEAVY) == set()


def test_the_environment_is_not_read_at_import() -> None:
    """A bad setting is an error of the first use, not of the import."""
    done = subprocess.run(
        [sys.executable, "-c", "import huldra"],
        env={"HULDRA_LEASE_SECS": "soon", "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_public_things_say_what_they_are() -> None:
    """Every public class and function has a docstring of its own."""
    silent = [
        name
        for name in sorted(set(huldra.__all__) - {"chz", "__version__", "MISSING", "HULDRA_CONFIG"})
        if not (getattr(huldra, name).__doc__ or "").strip()
    ]
    assert silent == []


def test_every_public_name_is_on_the_reference_page() -> None:
    """Classes and functions stand there by their own address, or by that of their module."""
    page = (Path(__file__).parents[1] / "docs" / "reference.md").read_text()
    listed = set(re.findall(r"^::: (\S+)", page, re.MULTILINE))
    values = [getattr(huldra, name) for name in (*huldra.__all__, "open")]
    documented = [each for each in values if isinstance(each, type | types.FunctionType)]
    missing = [
        f"{each.__module__}.{each.__qualname__}"
        for each in documented
        if not {each.__module__, f"{each.__module__}.{each.__qualname__}"} & listed
    ]
    assert missing == []
