"""The model of histories: it finds what it is for, and lets through what is promised to happen."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.histories import LEASE_ACROSS_HOSTS_S, Model

PLACES = {"actor0": "", "actor1": "", "actor2": "host-a"}
SHORT, LONG = LEASE_ACROSS_HOSTS_S / 2, LEASE_ACROSS_HOSTS_S * 2


def wrong_in(*lines: str) -> list[str]:
    return list(Model(PLACES, Counter()).contradictions(lines))


def test_one_after_the_other_is_right() -> None:
    """An attempt that begins when the one before has ended contradicts nothing."""
    lines = ("begin a actor0 t 1 0", "end a actor0 t 1 1", "begin a actor1 t 2 2")
    assert not wrong_in(*lines)


@pytest.mark.parametrize("actor", ["actor1", "actor2"])
def test_two_at_once_is_wrong(actor: str) -> None:
    """A second `_create` of the same claims while the first one lives is a contradiction."""
    assert wrong_in("begin a actor0 t 1 0", f"overlap a {actor} t 2 1")


def test_after_a_removal_two_claims_are_two_artifacts() -> None:
    """Who makes a removed artifact again is not together with the owner of before."""
    assert not wrong_in("begin a actor0 t 1 0", "removed a 1", "begin a actor1 u 1 2")


def test_a_stopped_process_is_replaced_by_another_host_after_its_lease_alone() -> None:
    """On its own host a stopped process is never replaced, on another not before its lease."""
    stopped = ("begin a actor0 t 1 0", "stop actor0 1")
    assert not wrong_in(*stopped, f"overlap a actor2 t 2 {1 + LONG}")
    assert wrong_in(*stopped, f"overlap a actor2 t 2 {1 + SHORT}")
    assert wrong_in(*stopped, f"overlap a actor1 t 2 {1 + LONG}")


def test_a_torn_artifact_is_wrong() -> None:
    """What stands as made without all of its files is a contradiction at any moment."""
    assert wrong_in("begin a actor0 t 1 0", "torn a")
