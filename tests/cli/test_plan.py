"""`huldra plan` and `huldra why`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import huldra
from huldra import cli
from huldra.testing.pipelines import Step

STEP = "huldra.testing.pipelines:Step"


def test_plan_says_why_for_each_node(
    huldra_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line a node with its reason, the totals, and what to paste next."""
    Step(name="a").load_or_create()
    with pytest.raises(huldra.HuldraComputeError):
        Step(name="b", does="fail").load_or_create()
    capsys.readouterr()
    assert cli.main(["plan", STEP, "-m", "name=a,b,c"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines[1:4]] == ["cached", "will run", "will run"]
    assert "ValueError: step b was told to fail" in lines[2]
    assert "3 artifacts: 1 cached, 2 will run" in lines
    assert f"to compute what is missing:  huldra run {STEP} -m name=a,b,c" in lines


def test_plan_as_json(huldra_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` has the same, with whole keys and directories."""
    assert cli.main(["plan", STEP, "name=a", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["counts"] == {"will run": 1}
    assert plan["nodes"][0]["directory"] == str(Step(name="a").huldra_dir)


def test_plan_of_an_artifact(huldra_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An ID is a target, too."""
    Step(name="a").load_or_create()
    capsys.readouterr()
    assert cli.main(["plan", Step(name="a").huldra_hash[:8]]) == 0
    assert "1 artifacts: 1 cached" in capsys.readouterr().out


def test_why_names_the_nearest_artifact(
    huldra_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a miss the answer has the fields that differ from the nearest artifact."""
    Step(name="a").load_or_create()
    capsys.readouterr()
    assert cli.main(["why", STEP, "name=z"]) == 0
    assert "name: 'a' → 'z'" in capsys.readouterr().out
    assert cli.main(["why", STEP, "name=z", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["differences"] == [{"field": "name", "there": "a", "here": "z"}]
