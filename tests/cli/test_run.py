"""`huldra run`: here, on an engine, and as a command of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from huldra import cli
from huldra.catalog import Catalog
from huldra.testing.pipelines import Step

STEP = "huldra.testing.pipelines:Step"


def test_run_computes_here(huldra_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an engine the target is computed in place, and its directory is shown."""
    assert cli.main(["run", STEP, "name=a"]) == 0
    assert str(Step(name="a").huldra_dir) in capsys.readouterr().out
    assert Step(name="a").exists()


def test_failure_is_code_1_and_does_not_stop_the_others(
    huldra_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failed member costs exit code 1; the others are computed."""
    code = cli.main(["run", STEP, "name=a", "-m", "does=fail", "--json"])
    out, err = capsys.readouterr()
    assert code == 1
    assert [one["status"] for one in json.loads(out)] == ["failed"]
    assert "step a was told to fail" in err


def test_run_submits_to_an_engine(huldra_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With an engine the members are one graph; fields may stand behind options."""
    assert cli.main(["run", STEP, "--executor", "threads:2", "-m", "name=a,b", "--json"]) == 0
    members = json.loads(capsys.readouterr().out)
    assert [one["status"] for one in members] == ["success", "success"]
    assert len(Catalog([str(huldra_store)]).sweeps()) == 1


def test_plan_first_writes_nothing(huldra_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--plan` shows what would be done, and leaves no store behind."""
    assert cli.main(["run", STEP, "name=a", "--plan"]) == 0
    assert "never made" in capsys.readouterr().out
    assert not huldra_store.exists()


def test_help_shows_the_fields(huldra_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of a class names its fields, types and defaults."""
    assert cli.main(["run", STEP, "--help"]) == 0
    out = capsys.readouterr().out
    assert "--executor" in out
    assert "nested_executor" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "name a TARGET"),
        (["run", STEP], "name"),
        (["run", STEP, "name=a", "-m", "does"], "-m wants field=value,value"),
    ],
)
def test_wrong_command_lines_are_code_2(
    huldra_store: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """What was typed wrongly is said in one block, and nothing is written."""
    assert cli.main(arguments) == 2
    assert said in capsys.readouterr().err
    assert not huldra_store.exists()


def test_unknown_command_names_a_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip in the command's name is answered with the one that was meant."""
    with pytest.raises(SystemExit) as refused:
        cli.main(["rnu", STEP])
    assert refused.value.code == 2
    assert "did you mean run" in capsys.readouterr().err


def test_module_of_the_working_directory(huldra_store: Path, tmp_path: Path) -> None:
    """As a command of its own, `huldra` finds the modules of the folder that it starts in."""
    (tmp_path / "mine.py").write_text(
        "import huldra\n\n\n@huldra.task\ndef double(x: int) -> int:\n    return 2 * x\n"
    )
    command = [sys.executable, "-c", "from huldra.cli import main; raise SystemExit(main())"]
    done = subprocess.run(
        [*command, "run", "mine:double", "x=4", "--executor", "local:1", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    (member,) = json.loads(done.stdout)
    assert Path(member["directory"], ".huldra", "SUCCESS.json").exists()
