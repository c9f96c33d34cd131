"""Quantities as people read them, and what differs between configs."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from huldra.catalog import presentation
from huldra.catalog.config_fields import same


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0.0042, "4 ms"),
        (4.25, "4.2 s"),
        (59.9, "60 s"),
        (61, "1 min 1 s"),
        (720, "12 min"),
        (12_000, "3 h 20 min"),
        (442_800, "5 d 3 h"),
        (-5, "0 ms"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    """Durations have two units at most."""
    assert presentation.duration(seconds) == text


def test_ages_count_from_now() -> None:
    """An age is a duration ago; the future is now."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert presentation.age(now - timedelta(minutes=12), now) == "12 min ago"
    assert presentation.age(now + timedelta(hours=1), now) == "now"
    assert presentation.age(None) == "–"


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(0, "0 B"), (812, "812 B"), (3400, "3.4 kB"), (2e9, "2.0 GB")]
)
def test_sizes(n_bytes: float, text: str) -> None:
    """Sizes go in steps of a thousand."""
    assert presentation.size(n_bytes) == text


def test_counts_agree_with_their_noun() -> None:
    """One artifact, several artifacts, several classes."""
    assert presentation.count(1, "artifact") == "1 artifact"
    assert presentation.count(1204, "artifact") == "1,204 artifacts"
    assert presentation.count(2, "class", "classes") == "2 classes"


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), ("1", 1), ([1], [1.0]), ({"a": 1}, {"a": True})]
)
def test_values_of_other_types_differ(one: object, other: object) -> None:
    """Equal means the same type too."""
    assert not same(one, other)


def test_nan_does_not_differ_from_itself() -> None:
    """Two configs with NaN in a field do not differ in it."""
    assert same(math.nan, math.nan)
    assert not same(math.nan, 1.0)
