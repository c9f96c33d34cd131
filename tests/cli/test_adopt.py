"""`huldra adopt`: a dry run first, and then the result stands for the other config."""

from __future__ import annotations

from pathlib import Path

import pytest

from huldra import cli
from tests.scheduling.test_adoption import NEW, OLD

_NEW = ["tests.scheduling.test_adoption:Model", "backend=flash"]


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = cli.main(["adopt", *words])
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_adopt_shows_first_and_does_it_with_yes(
    huldra_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `--yes` nothing is written; afterwards `show` names the origin."""
    OLD.load_or_create()
    code, shown = _run(capsys, OLD.huldra_hash, *_NEW)
    assert (code, NEW.exists()) == (0, False)
    assert "backend: 'eager' → 'flash'" in shown
    assert "--yes" in shown
    assert _run(capsys, OLD.huldra_hash, *_NEW, "--yes")[0] == 0
    assert NEW.exists()
    assert cli.main(["show", NEW.huldra_hash]) == 0
    assert f"from {OLD.explain().key}" in capsys.readouterr().out


def test_adopt_differing_takes_a_sweep(
    huldra_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that has no artifact to adopt makes the exit code 1."""
    OLD.load_or_create()
    assert _run(capsys, "--differing", "backend", *_NEW, "--yes")[0] == 0
    assert NEW.exists()
    code, shown = _run(capsys, "--differing", "backend", _NEW[0], "lr=9", "--yes")
    assert code == 1
    assert "refused" in shown


def test_adopt_without_a_new_config_is_a_usage_error(
    huldra_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what was expected."""
    OLD.load_or_create()
    code, shown = _run(capsys, OLD.huldra_hash)
    assert code == 2
    assert "OLD" in shown
