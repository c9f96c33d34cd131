"""Settings: where a value comes from, which values are allowed, and how they reach a worker."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from huldra import settings
from huldra.errors import HuldraSettingsError
from huldra.settings import HULDRA_CONFIG, VARIABLES, Settings
from tests.support import children


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that nobody has used, in an empty working directory and environment."""
    monkeypatch.chdir(tmp_path)
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)
    return Settings()


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The process's own settings, put back afterwards."""
    before = HULDRA_CONFIG.snapshot()
    monkeypatch.chdir(tmp_path)
    yield HULDRA_CONFIG
    HULDRA_CONFIG.apply(before)


DEFAULTS = {
    "log_level": "INFO",
    "ignore_git_diff": False,
    "poll_interval": 10.0,
    "wait_log_every": 10.0,
    "stale_after": 1800.0,
    "lease": 120.0,
    "heartbeat": 40.0,
    "preempt_max": 5,
    "cancelled_is_preempted": False,
    "rich_uncaught_tracebacks": True,
    "durable": True,
    "cache_dir": None,
    "code": "label",
    "freeze": "auto",
    "freeze_max_mb": 256,
}


@pytest.mark.parametrize(("name", "expected"), DEFAULTS.items())
def test_default(config: Settings, name: str, expected: object) -> None:
    """Without a variable each setting has the documented default."""
    assert getattr(config, name) == expected


def test_default_root(config: Settings, tmp_path: Path) -> None:
    """The default root is `data-huldra` in the working directory, absolute."""
    assert config.root == str(tmp_path / "data-huldra")


GIVEN = [
    ("HULDRA_PATH", "/my/store/", "root", "/my/store"),
    ("HULDRA_LOG_LEVEL", "warning", "log_level", "WARNING"),
    ("HULDRA_IGNORE_DIFF", "yes", "ignore_git_diff", True),
    ("HULDRA_POLL_INTERVAL_SECS", "0.5", "poll_interval", 0.5),
    ("HULDRA_WAIT_LOG_EVERY_SECS", "60", "wait_log_every", 60.0),
    ("HULDRA_STALE_AFTER_SECS", "1e3", "stale_after", 1000.0),
    ("HULDRA_LEASE_SECS", "30", "lease", 30.0),
    ("HULDRA_HEARTBEAT_SECS", "7", "heartbeat", 7.0),
    ("HULDRA_PREEMPT_MAX", "0", "preempt_max", 0),
    ("HULDRA_CANCELLED_IS_PREEMPTED", "ON", "cancelled_is_preempted", True),
    ("HULDRA_RICH_UNCAUGHT_TRACEBACKS", "0", "rich_uncaught_tracebacks", False),
    ("HULDRA_DURABLE", "no", "durable", False),
    ("HULDRA_CACHE_DIR", "/scratch/cache", "cache_dir", "/scratch/cache"),
    ("HULDRA_CODE", "STRICT", "code", "strict"),
    ("HULDRA_FREEZE", "On", "freeze", "on"),
    ("HULDRA_FREEZE_MAX_MB", "16", "freeze_max_mb", 16),
]


@pytest.mark.parametrize(("variable", "text", "name", "expected"), GIVEN)
def test_variable(
    config: Settings,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    text: str,
    name: str,
    expected: object,
) -> None:
    """Each variable gives its setting, in its type."""
    monkeypatch.setenv(variable, text)
    value = getattr(config, name)
    assert value == expected
    assert type(value) is type(expected)


def test_every_variable_is_tested() -> None:
    """No variable is left out of the two tables above."""
    names = {v.name for v in VARIABLES}
    assert names == {row[0] for row in GIVEN}
    assert {v.attribute for v in VARIABLES} == {*DEFAULTS, "root"}


BAD = [
    ("HULDRA_PATH", "a\nb\0", "directory"),
    ("HULDRA_LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING, ERROR"),
    ("HULDRA_IGNORE_DIFF", "maybe", "true, false"),
    ("HULDRA_POLL_INTERVAL_SECS", "0", "above 0"),
    ("HULDRA_WAIT_LOG_EVERY_SECS", "nan", "above 0"),
    ("HULDRA_STALE_AFTER_SECS", "inf", "above 0"),
    ("HULDRA_LEASE_SECS", "-1", "above 0"),
    ("HULDRA_HEARTBEAT_SECS", "120", "below HULDRA_LEASE_SECS, which is 120"),
    ("HULDRA_PREEMPT_MAX", "1.5", "whole number"),
    ("HULDRA_CANCELLED_IS_PREEMPTED", "2", "true, false"),
    ("HULDRA_RICH_UNCAUGHT_TRACEBACKS", "x", "true, false"),
    ("HULDRA_DURABLE", "never", "true, false"),
]


@pytest.mark.parametrize(("variable", "text", "allowed"), BAD)
def test_bad_variable(
    config: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, allowed: str
) -> None:
    """A bad value is an error at the first use of any setting, and says what is allowed."""
    entry = next(v for v in VARIABLES if v.name == variable)
    with pytest.raises(HuldraSettingsError) as caught:  # noqa: PT012  one of two ways in
        if "\0" in text:  # the environment itself cannot hold this one
            entry.validate(text)
        else:
            monkeypatch.setenv(variable, text)
            _ = config.root
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.variable == variable
    assert variable in str(error)
    assert repr(error.value)[1:-1] in str(error)
    assert allowed in error.allowed
    assert error.allowed in str(error)


def test_empty_variable_is_unset(config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable counts as one that is not set."""
    monkeypatch.setenv("HULDRA_LEASE_SECS", " ")
    assert config.lease == 120.0


def test_read_at_first_use(config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable counts until the first use of its setting, and no more afterwards."""
    _ = config.log_level
    monkeypatch.setenv("HULDRA_PATH", "/one")
    assert config.root == "/one"
    monkeypatch.setenv("HULDRA_PATH", "/two")
    assert config.root == "/one"


def test_reload(config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """`reload` reads the environment again and keeps what was assigned; `reset` drops it."""
    config.poll_interval = 3
    assert config.lease == 120.0
    monkeypatch.setenv("HULDRA_LEASE_SECS", "60")
    config.reload()
    assert (config.lease, config.heartbeat, config.poll_interval) == (60.0, 20.0, 3.0)
    config.reset()
    assert config.poll_interval == 10.0


def test_assignment_wins(config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the code assigns wins over the environment, also over a bad value there."""
    monkeypatch.setenv("HULDRA_POLL_INTERVAL_SECS", "often")
    config.poll_interval = 5
    assert config.poll_interval == 5.0
    assert config.lease == 120.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("poll_interval", -1),
        ("poll_interval", True),
        ("poll_interval", None),
        ("preempt_max", 2.5),
        ("log_level", 7),
        ("root", ""),
        ("root", b"bytes"),
        ("root", 3),
        ("ignore_git_diff", "perhaps"),
        ("heartbeat", 120),
    ],
)
def test_bad_assignment(config: Settings, name: str, value: object) -> None:
    """A value that is not allowed is refused, and the old one stays."""
    before = getattr(config, name)
    with pytest.raises(HuldraSettingsError):
        setattr(config, name, value)
    assert getattr(config, name) == before


def test_unknown_setting(config: Settings) -> None:
    """A misspelled setting is an error that lists the settings, on reading and on assigning."""
    with pytest.raises(AttributeError, match="poll_interval"):
        config.pol_interval = 3.0  # type: ignore[attr-defined]  # the very point
    with pytest.raises(AttributeError, match="poll_interval"):
        _ = config.pol_interval  # type: ignore[attr-defined]  # the very point


def test_heartbeat_follows_lease(config: Settings) -> None:
    """The heartbeat is a third of the lease until it is given, and again when None is assigned."""
    config.lease = 30
    assert config.heartbeat == 10.0
    config.heartbeat = 4
    config.lease = 60
    assert config.heartbeat == 4.0
    config.heartbeat = None
    assert config.heartbeat == 20.0


def test_lease_below_heartbeat(config: Settings) -> None:
    """A lease that ends before the given heartbeat is refused; both can be changed at once."""
    config.heartbeat = 40
    with pytest.raises(HuldraSettingsError, match="HULDRA_HEARTBEAT_SECS"):
        config.lease = 20
    assert config.lease == 120.0
    config.update(lease=20, heartbeat=5)
    assert (config.lease, config.heartbeat) == (20.0, 5.0)


def test_snapshot_travels(config: Settings) -> None:
    """A snapshot is JSON, and applied elsewhere it gives the same settings; unknown keys pass."""
    config.update(root="/store", lease=9, ignore_git_diff=True)
    text = json.dumps({**config.snapshot(), "of_a_later_version": 1})
    other = Settings()
    other.apply(json.loads(text))
    assert other.snapshot() == config.snapshot()
    other.lease = 30
    assert other.heartbeat == 10.0


def test_dotenv(config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` in the working directory is read at first use; the environment wins over it."""
    pytest.importorskip("dotenv")
    (tmp_path / ".env").write_text("HULDRA_LEASE_SECS=33\nHULDRA_PREEMPT_MAX=2\n")
    monkeypatch.setenv("HULDRA_LEASE_SECS", "66")
    monkeypatch.setenv("HULDRA_PREEMPT_MAX", "9")  # so that monkeypatch takes it back
    monkeypatch.delenv("HULDRA_PREEMPT_MAX")
    assert (config.lease, config.preempt_max) == (66.0, 2)


def test_load_env(shared: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`load_env` reads a file by its path, and what it holds counts from then on."""
    pytest.importorskip("dotenv")
    monkeypatch.setenv("HULDRA_STALE_AFTER_SECS", "1")
    monkeypatch.delenv("HULDRA_STALE_AFTER_SECS")
    shared.reset()
    assert shared.stale_after == 1800.0
    assert settings.load_env() is False
    file = tmp_path / "site.env"
    file.write_text("HULDRA_STALE_AFTER_SECS=77\n")
    assert settings.load_env(file) is True
    assert shared.stale_after == 77.0


def test_load_env_of_a_missing_file(shared: Settings, tmp_path: Path) -> None:
    """A file that is named and not there is an error that names it."""
    with pytest.raises(HuldraSettingsError, match=r"nowhere\.env"):
        settings.load_env(tmp_path / "nowhere.env")


def test_root_functions(shared: Settings, tmp_path: Path) -> None:
    """The root is set and asked for by function; relative paths are made absolute."""
    settings.set_huldra_root("relative")
    assert settings.get_huldra_root() == tmp_path / "relative"
    settings.set_huldra_root(Path("~/x"))
    assert settings.get_huldra_root() == Path.home() / "x"


def test_root_in_a_block(shared: Settings, tmp_path: Path) -> None:
    """Inside `huldra_root` another root holds, afterwards the one before, also after an error."""
    settings.set_huldra_root(tmp_path / "a")
    with settings.huldra_root(tmp_path / "b") as root:
        assert settings.get_huldra_root() == root == tmp_path / "b"
    with pytest.raises(KeyError), settings.huldra_root(tmp_path / "b"):
        raise KeyError
    assert settings.get_huldra_root() == tmp_path / "a"


def test_import_reads_nothing(tmp_path: Path) -> None:
    """Importing reads no variable and no `.env`: a bad value is silent until the first use."""
    (tmp_path / ".env").write_text("HULDRA_LEASE_SECS=never\n")
    code = "from huldra.settings import HULDRA_CONFIG as c; print('imported'); c.root"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "imported\n"
    assert "HULDRA_LEASE_SECS is 'never'" in done.stderr


def test_a_relative_root_below_a_removed_folder_is_refused(tmp_path: Path) -> None:
    """The error says what to do; nothing raw comes out of the system."""
    code = """
        import os, tempfile
        os.environ.pop("HULDRA_PATH")
        folder = tempfile.mkdtemp(); os.chdir(folder); os.rmdir(folder)
        import huldra
        try:
            huldra.get_huldra_root()
        except huldra.HuldraSettingsError as error:
            print(error)
    """
    done = children.run(code, tmp_path)
    assert "which was removed; change to one that exists" in done.stdout, done.stderr
