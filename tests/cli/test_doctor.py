"""`huldra doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from huldra import cli
from huldra.cli import doctor
from huldra.cli.doctor import Adapter
from huldra.settings import HULDRA_CONFIG
from tests.dashboard.store import StoreWriter


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let adapters be cheap to import: the true ones take seconds."""
    monkeypatch.setattr(doctor, "ADAPTERS", {"local": Adapter("json")})
    monkeypatch.setattr(doctor, "registered_engines", dict)


def checked(
    store: StoreWriter, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0
) -> dict[str, Any]:
    """What the command says in JSON, by check."""
    assert cli.main(["doctor", "--json", "--root", str(store.root), *words]) == code
    return {one["check"]: one for one in json.loads(capsys.readouterr().out)}


def test_a_sound_store_has_a_line_for_each_check(
    store: StoreWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verdict comes first; the last line counts."""
    store.add("p/A", {})
    assert cli.main(["doctor", "--root", str(store.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith("0 problems")
    verdicts = {line.split()[1]: line.split()[0] for line in lines[:-2]}
    sound = ("versions", "local", "root", "writable", "hard", "rename", "artifacts", "claims")
    assert {name: verdicts[name] for name in sound} == dict.fromkeys(sound, "ok")


def test_what_is_abandoned_or_unreadable_is_named(
    store: StoreWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    """An abandoned claim is a warning: the next run takes it over. A damaged file is a problem."""
    key = store.add("p/A", {"n": 1}, status="stale")
    claims = checked(store, capsys, "--read-only")["claims"]
    assert (claims["verdict"], claims["numbers"]) == ("warning", {"count": 1})
    assert key in claims["found"]
    damaged = store.directory(store.add("p/A", {"n": 2}))
    (damaged / ".huldra" / "metadata.json").write_text("{")
    artifacts = checked(store, capsys, "--read-only", code=1)["artifacts"]
    assert artifacts["verdict"] == "problem"
    assert str(damaged) in artifacts["found"]


def test_an_adapter_that_does_not_load_says_why(
    store: StoreWriter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is not installed is no problem; what is installed and cannot be imported is one."""
    (tmp_path / "broken_engine.py").write_text("raise ImportError('libengine.so is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    adapters = {
        "absent": Adapter("json", "absent-engine", "absent_engine"),
        "broken": Adapter("json", "broken-engine", "broken_engine"),
    }
    monkeypatch.setattr(doctor, "ADAPTERS", adapters)
    monkeypatch.setattr(doctor, "registered_engines", lambda: {"other": "broken_engine:adapter"})
    found = checked(store, capsys, "--read-only", code=1)
    assert found["absent"]["verdict"] == "ok"
    assert "pip install 'absent-engine'" in found["absent"]["found"]
    for engine in ("broken", "other"):
        assert found[engine]["verdict"] == "problem"
        assert "ImportError: libengine.so is missing" in found[engine]["found"]


def test_a_store_that_no_variable_names_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each working directory would have its own; none is made by looking."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HULDRA_PATH", raising=False)
    HULDRA_CONFIG.reset()
    assert cli.main(["doctor", "--json"]) == 0
    HULDRA_CONFIG.reset()
    found = {one["check"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["HULDRA_PATH"]["verdict"] == "warning"
    assert "the first run makes it" in found["root"]["found"]
    assert list(tmp_path.iterdir()) == []


def test_the_adapters_are_those_that_huldra_has() -> None:
    """None is forgotten."""
    from huldra.engines import registry

    known = {adapter.module for adapter in _ADAPTERS.values()}
    assert known == set(registry._PACKAGES.values())


_ADAPTERS = doctor.ADAPTERS
