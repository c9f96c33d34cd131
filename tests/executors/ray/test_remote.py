"""Where a worker finds huldra: where the driver of its node does."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from huldra_ray import driver_path, remote

pytestmark = pytest.mark.ray

SITE: dict[str, Any] = {
    "digest": "d",
    "path": ["/clone", "/python/lib", "/python/lib/site-packages"],
    "interpreter": ["/python/lib", "/python/lib/site-packages"],
    "prefix": "/python",
}


def path_on(monkeypatch: pytest.MonkeyPatch, *, prefix: str, before: list[str]) -> list[str]:
    """The import path of a worker that runs a node of that driver."""
    monkeypatch.delitem(sys.modules, "huldra_ray", raising=False)
    monkeypatch.setattr(sys, "path", before)
    monkeypatch.setattr(sys, "prefix", prefix)
    remote.find_huldra(SITE)
    return sys.path


def test_the_drivers_order_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the worker has beside that stays reachable, behind it."""
    before = ["/ray/workers", "/python/lib/site-packages", "/python/lib", "/older", "/clone"]
    found = path_on(monkeypatch, prefix="/python", before=before)
    assert found == [*SITE["path"], "/ray/workers", "/older"]


def test_another_interpreter_keeps_its_own_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that `pip` in a runtime_env made has them for a reason; the driver's come last."""
    found = path_on(monkeypatch, prefix="/env", before=["/env/lib", "/env/lib/site-packages"])
    assert found[:3] == ["/clone", "/env/lib", "/env/lib/site-packages"]
    assert found[3:] == ["/python/lib", "/python/lib/site-packages"]


def test_the_path_of_a_worker_that_has_huldra_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The core orders it from then on."""
    monkeypatch.setattr(sys, "path", ["/as", "/it", "/is"])
    remote.find_huldra(SITE)
    assert sys.path == ["/as", "/it", "/is"]


def test_a_driver_is_known_by_its_process_and_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other driver shares its workers, and neither does the same one with another path."""
    first = driver_path.describe()
    assert driver_path.describe() == first
    monkeypatch.setattr(sys, "path", ["/before", *sys.path])
    changed = driver_path.describe()
    assert changed["path"][0] == "/before"
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert len({first["digest"], changed["digest"], driver_path.describe()["digest"]}) == 3


def test_the_drivers_own_packages_are_those_of_its_interpreter() -> None:
    """The standard library and what is installed, and not the folders of projects."""
    site = driver_path.describe()
    assert os.path.dirname(os.__file__) in site["interpreter"]
    assert not set(driver_path.huldra_folders()[:1]) & set(site["interpreter"])
