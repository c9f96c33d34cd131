"""`huldra diff`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.dashboard.store import StoreWriter, ref

Answer = Callable[..., Any]


def test_fields_that_differ_are_named_through_nested_artifacts(
    store: StoreWriter, answer: Answer
) -> None:
    """Each line is one field, with both values; what is equal is left out."""
    toy, large = (store.add("p.data/Data", {"name": name, "seed": 0}) for name in ("toy", "large"))
    one = store.add("p.models/Train", {"lr": 0.1, "data": ref(toy), "steps": 5})
    other = store.add("p.models/Train", {"lr": 0.2, "data": ref(large), "steps": 5})
    assert answer("diff", one, other) == [
        {"field": "data.name", "one": "toy", "other": "large"},
        {"field": "lr", "one": 0.1, "other": 0.2},
    ]


def test_two_classes_differ_in_their_class(store: StoreWriter, answer: Answer) -> None:
    """The class is the first field that differs."""
    one, other = store.add("p/A", {"n": 1}), store.add("p/B", {"n": 1})
    assert answer("diff", one, other)[0] == {"field": "class", "one": "p/A", "other": "p/B"}


def test_an_artifact_does_not_differ_from_itself(
    store: StoreWriter, command: Callable[..., str]
) -> None:
    """A sentence says so."""
    key = store.add("p/A", {"n": 1})
    assert "equal configs" in command("diff", key, key)
