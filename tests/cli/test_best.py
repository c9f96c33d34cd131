"""`huldra best`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from huldra import cli
from tests.dashboard.store import StoreWriter

Answer = Callable[..., Any]


@pytest.fixture
def keys(store: StoreWriter) -> list[str]:
    """Three trainings with a metric, and one that failed."""
    found = []
    for lr, accuracy in ((0.1, 0.7), (0.2, 0.9), (0.3, 0.8)):
        key = store.add("p.m/Train", {"lr": lr, "steps": 5})
        (store.directory(key) / "metrics.json").write_text(json.dumps({"accuracy": accuracy}))
        found.append(key)
    store.add("p.m/Train", {"lr": 0.4, "steps": 5}, status="failed")
    return found


def test_best_first(keys: list[str], answer: Answer) -> None:
    """The highest value comes first, with the fields that vary; with `--min` the lowest."""
    best = answer("best", "Train", "accuracy")
    assert [one["value"] for one in best] == [0.9, 0.8, 0.7]
    assert best[0]["fields"] == {"lr": 0.2}
    (lowest,) = answer("best", "p.m.Train", "accuracy", "--min", "--limit", "1")
    assert lowest["key"] == keys[0]
    assert [one["value"] for one in answer("best", "Train", "accuracy", "--where", "lr<0.15")] == [
        0.7
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [(("Trian", "accuracy"), "near it: Train"), (("Train", "acuracy"), "near it: accuracy")],
)
def test_near_names(
    keys: list[str],
    store: StoreWriter,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, str],
    said: str,
) -> None:
    """A slip in the class or the metric is answered with what is near it."""
    assert cli.main(["best", *words, "--root", str(store.root)]) == 1
    assert said in capsys.readouterr().err
