"""The language of config filters."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huldra.catalog.filters import MISSING_FIELD, parse_filter, parse_path, value_at
from huldra.errors import HuldraQueryError

DATA_KEY = f"proj.data/Data/{'ab' * 16}"
DATA = {"name": "toy", "size": {"rows": 10}}
CONFIG: dict[str, Any] = {
    "lr": 1e-3,
    "steps": 1000,
    "name": "Base Line",
    "version": "1",
    "debug": True,
    "note": None,
    "nan": float("nan"),
    "opt": {"name": "adam", "betas": [0.9, 0.99]},
    "parts": [{"size": 3}, {"size": 5}],
    "by_name": {"a b": {"n": 1}, "x.y": 2},
    "tags": ["fast", "GPU"],
    "when": "2026-01-31",
    "data": {"$ref": DATA_KEY},
    "lost": {"$ref": "proj.data/Data/none"},
}


def matches(text: str) -> bool:
    return parse_filter(text)(CONFIG, {DATA_KEY: DATA}.get)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lr=0.001",
        "lr = 1e-3",
        "lr==.001",
        "lr<1e-2",
        "lr<=1e-3",
        "steps>999",
        "steps>=1000",
        "steps=1000.0",
        "steps!=1",
        "name='Base Line'",
        'name="Base Line"',
        "name~line",
        "name ~ 'BASE'",
        "version=1",
        "version='1'",
        "debug=true",
        "debug!=false",
        "note=null",
        "nan=nan",
        "opt.name=adam",
        "opt.name in sgd,adam",
        "opt.name in (sgd, 'adam')",
        "opt.betas[1]=0.99",
        "opt.betas.0=0.9",
        "parts[0].size=3",
        "parts[-1].size=5",
        "by_name['a b'].n=1",
        "by_name[\"x.y\"]=2",
        "tags~gpu",
        "when>2026-01-01",
        "data.name=toy",
        "data.size.rows<11",
        "data=abab",
        f"data={DATA_KEY}",
        "data~data/Data",
        "lost~none",
        "lr<1 steps>1",
        "lr<1 and steps>1",
        "lr>1 or steps>1",
        "lr>1 or steps>1 and debug=true",
        "(lr>1 or steps>1) and (debug=true)",
        "not=1 or lr<1",
        "steps in 1000",
        "AND=1 OR lr<1",
    ],
)  # fmt: skip
def test_matches(text: str) -> None:
    """The example config matches each of these."""
    assert matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "lr=0.002",
        "lr='0.001'",
        "lr<abc",
        "name<5",
        "debug=1",
        "steps=true",
        "note=0",
        "note!=null",
        "nan<1",
        "nan>1",
        "nan=1",
        "absent=1",
        "absent!=1",
        "absent~x",
        "opt=adam",
        "opt.name.x=1",
        "opt.betas[9]=1",
        "parts.size=3",
        "data.nothing=1",
        "data=ab",
        "lost.name=toy",
        "lost.name!=toy",
        "lr<1 and steps<1",
        "lr>1 or steps<1",
        "name=base",
        "tags=fast",
    ],
)
def test_does_not_match(text: str) -> None:
    """The example config matches none of these."""
    assert not matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "lr",
        "lr=",
        "=1",
        "lr<<1",
        "lr=1 or",
        "or lr=1",
        "(lr=1",
        "lr=1)",
        "lr in",
        "lr in (1",
        "lr in 1,",
        "lr=1,2",
        "lr='1",
        "and",
        "(" * 60 + "lr=1" + ")" * 60,
        "x" * 5000,
        "lr = 1 2",
    ],
)
def test_what_is_not_understood_is_said(text: str) -> None:
    """A filter that is not of the language is an error that carries it."""
    with pytest.raises(HuldraQueryError) as caught:
        parse_filter(text)
    assert caught.value.field == "config"
    assert "config filter" in str(caught.value)


@given(st.text(max_size=40) | st.text("lro=<>~!(),'\"[]. 1e-andi", max_size=40))
def test_any_text_is_compiled_or_refused(text: str) -> None:
    """No text breaks the parser, and what it compiles gives a bool."""
    try:
        predicate = parse_filter(text)
    except HuldraQueryError:
        return
    assert predicate(CONFIG, {DATA_KEY: DATA}.get) in (True, False)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from("abc"), _json | st.just({"$ref": "k"}) | st.just({"$ref": 3})),
    st.sampled_from("abc"),
    st.sampled_from(["=1", "!=x", "<1", ">=a", "~x", " in 1,x", ".b=1", "[0]=1", ".b.c~1"]),
)
def test_any_config_can_be_asked(config: dict[str, Any], name: str, rest: str) -> None:
    """No value on disk breaks a comparison, whatever its type."""
    assert parse_filter(name + rest)(config, lambda _key: None) in (True, False)


def test_paths_have_steps() -> None:
    """A dotted path is its names and places."""
    assert parse_path("a.b[0]['c d'].2") == ("a", "b", 0, "c d", "2")
    assert value_at(CONFIG, parse_path("opt.betas[5]"), lambda _key: None) is MISSING_FIELD
