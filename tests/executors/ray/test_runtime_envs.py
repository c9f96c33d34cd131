"""The runtime_env of a node, and the packages that it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from huldra_ray import packages, runtime_envs

pytestmark = pytest.mark.ray


def problems(*, outlives_driver: bool = True, **env: Any) -> list[str]:
    return list(runtime_envs.problems(env, outlives_driver=outlives_driver))


def test_a_later_one_wins_and_variables_add_up() -> None:
    """As Ray itself merges a job's with a task's."""
    job = {"working_dir": "gcs://a.zip", "env_vars": {"A": "1", "B": "1"}}
    task = {"working_dir": "gcs://b.zip", "env_vars": {"B": "2"}, "pip": ["x"]}
    assert runtime_envs.merge(job, None, {}, task) == {
        "working_dir": "gcs://b.zip",
        "env_vars": {"A": "1", "B": "2"},
        "pip": ["x"],
    }
    assert job["env_vars"] == {"A": "1", "B": "1"}


@pytest.mark.parametrize(
    "asked",
    [
        {"pip": ["x==1"]},
        {"conda": {"dependencies": ["pip"]}},
        {"config": {"setup_timeout_seconds": 5}},
        {"py_executable": "python3"},
        {"image_uri": "x"},
    ],
)
def test_what_ray_has_made_of_a_drivers_is_taken_again(asked: dict[str, Any]) -> None:
    """It reaches nodes as Ray reads it, with the variable that marks their driver."""
    from ray.runtime_env import RuntimeEnv

    read = dict(RuntimeEnv(**asked))
    mark = {"env_vars": {runtime_envs.DRIVER_VARIABLE: "d"}}
    merged = runtime_envs.merge(read, mark)
    assert problems(**merged) == []
    assert runtime_envs.uploaded(merged) == {**read, **mark}


def test_what_cannot_be_had_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    """A folder that is not there, and what Ray would not accept; what is right passes."""
    missing = str(tmp_path / "missing")
    assert problems(working_dir=missing) == [f"wanted to upload {missing}, which is not there"]
    assert problems(py_modules=[missing]) == [f"wanted to upload {missing}, which is not there"]
    [reason] = problems(pip=["x"], conda="y")
    assert "cannot be specified at the same time" in reason
    assert problems(working_dir=str(tmp_path), py_modules=["gcs://x.zip"], pip=["x"]) == []


def test_a_setup_hook_has_to_outlive_its_driver() -> None:
    """Ray forgets a function that a job brought when that ends; a name can be looked up again."""
    key = runtime_envs._HOOK_VARIABLE
    by_name = {"worker_process_setup_hook": "m.f", "env_vars": {key: "m.f"}}
    function = {"worker_process_setup_hook": "f", "env_vars": {key: "abc123"}}
    assert problems(**by_name) == []
    assert problems(**function, outlives_driver=False) == []
    assert "name it, as 'module.function'" in problems(**function)[0]
    assert "in ray.init" in problems(worker_process_setup_hook="m.f")[0]


def test_packages_stay_until_their_last_holder_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are pinned at once and again and again, since Ray's own pins end."""
    pinned: list[str] = []
    monkeypatch.setattr(packages, "_pin", pinned.append)
    monkeypatch.setattr(packages, "_RENEW_S", 0.01)
    env = {"working_dir": "gcs://w.zip", "py_modules": ["gcs://m.zip", "https://x/y.zip"]}
    pins = packages.Pins()
    for _ in range(2):
        pins.hold(packages.uris_of(env))
    assert set(pinned[:2]) == {"gcs://w.zip", "gcs://m.zip"}
    pins.release(packages.uris_of(env))
    _until_renewed(pinned)
    pins.release(packages.uris_of(env))
    pins.close()
    assert pins._thread is not None
    pins._thread.join(30)
    assert not +pins._holders


def _until_renewed(pinned: list[str]) -> None:
    from tests.support.children import until

    seen = len(pinned)
    until(lambda: len(pinned) > seen + 1, "the pins were renewed")
