"""The runtime_env of a node: what its driver, its executor and its class ask of Ray, as one."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from huldra.errors import HuldraSubmitError

# Ray starts workers of their own for each runtime_env, and this name makes that one per driver.
DRIVER_VARIABLE = "HULDRA_RAY_DRIVER"
EXTRA_KEY = "ray_runtime_env"
_HOOK = "worker_process_setup_hook"
_HOOK_VARIABLE = "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR"


def of_driver(ray: Any) -> dict[str, Any]:
    """What this process gave to `ray.init`, its folders uploaded by Ray."""
    return dict(ray.get_runtime_context().runtime_env)


def merge(*envs: Mapping[str, Any] | None) -> dict[str, Any]:
    """One of them all as Ray does it: the later wins, and variables are added up."""
    merged: dict[str, Any] = {}
    for env in envs:
        variables = {**merged.get("env_vars", {}), **((env or {}).get("env_vars") or {})}
        merged |= env or {}
        if variables:
            merged["env_vars"] = variables
    return merged


def problems(env: Mapping[str, Any], *, outlives_driver: bool) -> Iterator[str]:
    """Why nodes could not have this, as far as can be seen before anything is sent."""
    from ray.runtime_env import RuntimeEnv

    hook, exported = env.get(_HOOK), (env.get("env_vars") or {}).get(_HOOK_VARIABLE)
    if hook and not exported:
        yield f"{_HOOK}: Ray takes it in ray.init(runtime_env=...) alone"
    elif hook and exported != hook and outlives_driver:
        # Ray keeps a function that a job brought along until that job's driver has ended.
        yield f"{_HOOK}: {hook} would be gone with this driver; name it, as 'module.function'"
    for local in _local_packages(env):
        if not os.path.exists(local):
            yield f"wanted to upload {local}, which is not there"
    left_out = {"working_dir", "py_modules", "excludes", _HOOK}
    try:
        RuntimeEnv(**{name: value for name, value in env.items() if name not in left_out})
    except Exception as error:  # noqa: BLE001  each kind of mistake has an error of its own
        yield str(error)


def uploaded(env: Mapping[str, Any]) -> dict[str, Any]:
    """The same with its local folders on the cluster; Ray itself uploads those of a job alone."""
    from ray.runtime_env import RuntimeEnv

    plain = dict(env)
    if any(_local_packages(env)):
        try:
            plain = _upload(plain)
        except Exception as error:
            raise HuldraSubmitError(
                f"wanted to upload what {dict(env)} names to the Ray cluster: {error}"
            ) from error
    plain.pop("excludes", None)
    return dict(RuntimeEnv(**plain))  # reads the files that pip and conda name, which are here


def _upload(env: dict[str, Any]) -> dict[str, Any]:
    from ray._private.runtime_env import py_modules, working_dir

    uploads: tuple[Any, ...] = (
        py_modules.upload_py_modules_if_needed,
        working_dir.upload_working_dir_if_needed,
    )
    heeds_gitignore = os.environ.get("RAY_RUNTIME_ENV_IGNORE_GITIGNORE", "0") != "1"
    with tempfile.TemporaryDirectory() as scratch:
        offered = {"include_gitignore": heeds_gitignore, "scratch_dir": scratch}
        for upload in uploads:
            taken = inspect.signature(upload).parameters  # some came with later Rays
            env = upload(env, **{name: offered[name] for name in offered if name in taken})
    return env


def _local_packages(env: Mapping[str, Any]) -> Iterator[str]:
    """The files and folders that a runtime_env names by their place on this machine."""
    for package in (env.get("working_dir"), *(env.get("py_modules") or ())):
        if isinstance(package, ModuleType):
            yield str(package.__file__)
        elif package is not None and "://" not in str(package):
            yield str(package)
