"""`field` says more than `chz.field` and loses nothing of it; `MISSING` is one value."""

from __future__ import annotations

import copy
import inspect
import pickle

import chz
import pytest

from huldra.config.fields import MISSING, absent_value, field, is_hashed
from tests.support.config_samples import Grown, Marked, Needs, Train


def test_a_field_takes_everything_that_chz_takes() -> None:
    """The signature is chz's, with the same defaults, and three names more."""
    ours = inspect.signature(field).parameters
    theirs = inspect.signature(chz.field).parameters
    assert set(ours) - set(theirs) == {"hashed", "absent", "renamed_from"}
    assert all(ours[name].default == theirs[name].default for name in theirs)


def test_what_chz_is_told_still_counts() -> None:
    """Defaults, factories, mungers and the user's metadata are passed on."""

    @chz.chz
    class Config:
        items: list[int] = field(default_factory=lambda: [1])
        name: str = field(default="a", munger=lambda _self, value: value * 2)
        seen: int = field(default=1, metadata={"mine": 1}, hashed=False, doc="said")

    assert (Config().items, Config().name) == ([1], "aa")
    spec = chz.chz_fields(Config)["seen"]
    assert spec.metadata["mine"] == 1
    assert not is_hashed(spec)


def test_fields_are_hashed_unless_they_say_otherwise() -> None:
    """`hashed=False` and a leading underscore take a field out; chz's own fields are in."""
    fields = chz.chz_fields(Marked)
    assert [is_hashed(fields[name]) for name in ("value", "workers", "_device")] == [
        True,
        False,
        False,
    ]
    assert is_hashed(chz.chz_fields(Train)["lr"])


def test_absent_is_remembered_also_when_it_is_none() -> None:
    """No value given and None given are two things."""

    @chz.chz
    class Config:
        none: int | None = field(default=None, absent=None)

    assert absent_value(chz.chz_fields(Config)["none"]) == (None,)
    assert absent_value(chz.chz_fields(Grown)["added"]) == (7,)
    assert absent_value(chz.chz_fields(Grown)["name"]) == ()


def test_a_field_that_makes_no_sense_is_refused() -> None:
    """`hashed` is a bool, and what is not hashed cannot be absent from the hash."""
    with pytest.raises(TypeError, match="must be True or False"):
        field(hashed="no")  # type: ignore[arg-type]  the mistake is the test
    with pytest.raises(TypeError, match="no effect"):
        field(default=1, hashed=False, absent=1)


def test_the_users_metadata_is_left_alone() -> None:
    """The dict that the user gave is not changed."""
    mine: dict[str, int] = {}
    field(metadata=mine, hashed=False)
    assert mine == {}


def test_missing_is_one_object_everywhere() -> None:
    """Copies and pickles of `MISSING` are `MISSING`."""
    for again in (copy.copy(MISSING), copy.deepcopy(MISSING), pickle.loads(pickle.dumps(MISSING))):
        assert again is MISSING
    assert type(MISSING)() is MISSING
    assert repr(MISSING) == "huldra.MISSING"


def test_missing_is_neither_true_nor_false() -> None:
    """A config that was not finished does not slip through an `if`."""
    with pytest.raises(TypeError, match="no truth value"):
        bool(MISSING)


def test_a_config_with_a_missing_value_can_be_shown_and_finished() -> None:
    """Only the hash and the written form are refused."""
    assert "huldra.MISSING" in repr(Needs())
    assert chz.replace(Needs(), data=3).data == 3
