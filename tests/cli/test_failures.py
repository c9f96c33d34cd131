"""`huldra failures`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.dashboard.store import StoreWriter

Answer = Callable[..., Any]


def test_a_group_names_the_fields_that_only_its_failures_share(
    store: StoreWriter, answer: Answer
) -> None:
    """Three runs with one solver fail, two with another do not: the solver is named."""
    failed = {
        store.add("p/Train", {"solver": "liblinear", "lr": lr}, status="failed")
        for lr in (0.1, 0.2, 0.3)
    }
    for lr in (0.1, 0.2):
        store.add("p/Train", {"solver": "saga", "lr": lr})
    (group,) = answer("failures")
    assert group["count"] == 3
    assert set(group["keys"]) == failed
    assert group["shared_fields"] == {"solver": "liblinear"}


def test_a_group_with_nothing_to_compare_with_names_no_field(
    store: StoreWriter, answer: Answer
) -> None:
    """Where every artifact of the class failed alike, each field would count: none is named."""
    store.add("p/Train", {"lr": 0.1}, status="failed")
    (group,) = answer("failures")
    assert group["shared_fields"] == {}


def test_a_store_without_failures_says_so(store: StoreWriter, command: Callable[..., str]) -> None:
    """One line, and exit code 0."""
    store.add("p/Train", {"lr": 0.1})
    assert command("failures").startswith("nothing failed in ")


def test_the_text_of_a_group_has_cause_fields_and_keys(
    store: StoreWriter, command: Callable[..., str]
) -> None:
    """For a person a group is a paragraph."""
    key = store.add("p/Train", {"lr": 9.0}, status="failed", error=("builtins.ValueError", "nan"))
    store.add("p/Train", {"lr": 0.1})
    text = command("failures")
    assert "1 × builtins.ValueError" in text
    assert "only these have: lr=9.0" in text
    assert key in text
