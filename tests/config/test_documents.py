"""Everything that hashes is written down and comes back; the rest says why not."""

from __future__ import annotations

import copy
import json
import math
import pathlib
import subprocess
import sys
from typing import Any

import chz
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huldra.config import documents, forms
from huldra.config.documents import (
    HuldraSerializer,
    build,
    from_document,
    plain_config,
    python_namespace,
    to_document,
    to_objects,
    to_python,
)
from huldra.config.fields import MISSING
from huldra.config.hashing import MAX_DEPTH, digest_of
from huldra.errors import HuldraError, HuldraIdentityError, HuldraSerializationError
from tests.support import config_samples as samples
from tests.support.config_samples import DISTINCT, Declared, Holder, Pair, Train

MODULE = "tests.support.config_samples"


def through_json(obj: Any) -> Any:
    return from_document(json.loads(json.dumps(to_document(obj))))


def through_python(obj: Any) -> Any:
    return eval(to_python(obj), dict(python_namespace(obj)))


# --- there and back --------------------------------------------------------------------------


@pytest.mark.parametrize("name", DISTINCT)
def test_every_value_comes_back_from_json(name: str) -> None:
    """A config with this value is rebuilt with the same digest and a value of the same type."""
    one = Holder(value=DISTINCT[name])
    again = through_json(one)
    assert digest_of(again) == digest_of(one)
    assert type(again.value) is type(one.value)


@pytest.mark.parametrize("name", DISTINCT)
def test_every_value_comes_back_from_python(name: str) -> None:
    """`eval(to_python(...))` with the stated names has the same digest."""
    one = Holder(value=DISTINCT[name])
    assert digest_of(through_python(one)) == digest_of(one)


@pytest.mark.parametrize("name", DISTINCT)
def test_every_value_has_a_plain_view(name: str) -> None:
    """The plain view is JSON that any reader takes: no NaN, no odd characters."""
    view = plain_config(Holder(value=DISTINCT[name]))
    json.dumps(view, allow_nan=False, ensure_ascii=False).encode()


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
nested = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(leaves, inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$tuple", "$", "a", "$huldra"]), inner, max_size=1)
        | st.builds(lambda value: Holder(value=value), inner)
        | st.builds(samples.Point, st.floats(), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(nested)
def test_nested_values_come_back(value: Any) -> None:
    """Whatever is nested in whatever, both written forms lead back to the same digest."""
    one = Holder(value=value)
    assert digest_of(through_json(one)) == digest_of(one)
    assert digest_of(through_python(one)) == digest_of(one)


def test_a_document_is_read_in_another_process() -> None:
    """Nothing but the document and importable classes is needed."""
    one = Pair(a=Train(), b={"x": (1, samples.Color.RED, pathlib.Path("a"))})
    code = (
        "import json, sys\n"
        "from huldra.config.documents import from_document\n"
        "from huldra.config.hashing import digest_of\n"
        "print(digest_of(from_document(json.load(sys.stdin))))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(to_document(one)),
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )
    assert run.stdout.strip() == digest_of(one), run.stderr


def test_fields_that_are_not_hashed_travel_too() -> None:
    """Unhashed and private fields come back."""
    again = through_json(samples.Marked(workers=8, _device=("gpu", 1)))
    assert (again.workers, again._device) == (8, ("gpu", 1))


def test_raw_values_are_written_not_munged_ones() -> None:
    """A munger runs again on the raw value."""
    again = through_json(samples.Munged(name="a"))
    assert (again.X_name, again.name) == ("a", "A")


def test_documents_of_equal_configs_are_equal() -> None:
    """Numbers are written as the declared type has them."""
    assert to_document(Declared(number=1, numbers=[1])) == to_document(
        Declared(number=1.0, numbers=[1.0])
    )


def test_a_dataclass_comes_back_as_it_was() -> None:
    """Fields are what was written, whatever `__post_init__` makes of them; caches start empty."""
    again = through_json(Holder(value=samples.Clever("a"))).value
    assert (again.text, again.length) == ("a!", 2)
    assert again.cache is not None


# --- documents -------------------------------------------------------------------------------


def test_json_values_stand_as_they_are() -> None:
    """What JSON has is written plainly; the rest as one-key objects."""
    document = to_document(Holder(value=[1, "a", None, True, 0.5, {"k": (1,)}]))
    assert document["huldra"] == 1
    entry = document["objects"][document["root"]]
    assert entry["class"] == f"{MODULE}:Holder"
    assert entry["fields"]["value"] == [1, "a", None, True, 0.5, {"k": {"$tuple": [1]}}]


def test_a_nested_config_stands_once() -> None:
    """A diamond of depth 40 is 41 objects, and comes back with its sharing."""
    node: Any = Train()
    for _ in range(40):
        node = Pair(a=node, b=[node])
    document = to_document(node)
    assert len(document["objects"]) == 41
    again = from_document(document)
    assert digest_of(again) == digest_of(node)
    assert again.a is again.b[0]


def test_a_chain_of_5000_is_written_and_read_without_recursion() -> None:
    """Depth is no matter of Python's stack."""
    node: Any = None
    for index in range(5000):
        node = Pair(a=index, b={"next": node})
    again = through_json(node)
    assert digest_of(again) == digest_of(node)


def test_many_roots_share_their_objects() -> None:
    """The objects of many configs are merged; of two with one digest the first stands."""
    shared = Train()
    objects = to_objects([Pair(a=shared, b=1), Pair(a=shared, b=2), samples.Marked(workers=1)])
    assert len(objects) == 4
    one, other = samples.Marked(workers=1), samples.Marked(workers=2)
    assert to_objects([one, other])[digest_of(one)]["fields"]["workers"] == 1


def test_an_object_is_built_once_per_memo() -> None:
    """Nodes of one run share what they have in common."""
    shared = Train()
    pairs = [Pair(a=shared, b=index) for index in range(3)]
    objects = to_objects(pairs)
    memo: dict[str, Any] = {}
    built = [build(digest_of(pair), objects, memo) for pair in pairs]
    assert built[0].a is built[1].a is built[2].a
    assert build(digest_of(pairs[0]), objects, memo) is built[0]


def test_unknown_keys_and_newer_versions_of_a_document_are_fine() -> None:
    """Readers accept what a later huldra may add."""
    document = to_document(Train())
    document |= {"huldra": 99, "more": 1}
    document["objects"][document["root"]]["more"] = 2
    assert from_document(document) == Train()


def test_the_page_on_identity_names_every_form() -> None:
    """Each `$tag` that can stand in a document is described."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "identity.md").read_text("utf-8")
    tags = {*documents._JSON_READERS, *forms._BY_TAG, *forms.RECORD_TAGS, "huldra", "lost"}
    assert [tag for tag in sorted(tags) if f"${tag}" not in page] == []


# --- errors ----------------------------------------------------------------------------------


def edited(obj: Any, **changes: Any) -> dict[str, Any]:
    document = json.loads(json.dumps(to_document(obj)))
    document["objects"][document["root"]] |= changes
    return dict(document)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class": "no.such.module:X"}, "no.such.module.*moved or renamed"),
        ({"class": f"{MODULE}:Gone"}, "has no 'Gone' any more"),
        ({"class": f"{MODULE}:double"}, "is not a huldra class any more"),
        ({"class": f"{MODULE}:Point"}, "is not a huldra class any more"),
        ({"class": 5}, "not of the form module:qualname"),
        ({"fields": {"value": 1, "old": 2}}, "has no field 'old' any more"),
        ({"fields": {"value": {"$color": 1}}}, r"Holder.value: the form \$color is not known"),
        ({"fields": {"value": {"$huldra": "f" * 32}}}, "has no object 'ffff"),
        ({"fields": {"value": {"$date": "yesterday"}}}, "cannot read .*Holder.value:"),
        ({"fields": {"value": {"$enum": [f"{MODULE}:Color", "GREEN"]}}}, "no member 'GREEN'"),
        ({"fields": {"value": {"$function": f"{MODULE}:gone"}}}, "has no 'gone' any more"),
        ({"fields": []}, "has no object"),
    ],
)
def test_what_cannot_be_read_back_says_why(changes: dict[str, Any], message: str) -> None:
    """A class or a field that is gone, or a form that is not known, is named."""
    with pytest.raises(HuldraSerializationError, match=message):
        from_document(edited(Holder(value=1), **changes))


def test_a_field_that_was_not_written_takes_its_default_or_is_an_error() -> None:
    """A field added since has its default; without one it is named."""
    assert from_document(edited(Train(), fields={"lr": 0.5})) == Train(lr=0.5)
    with pytest.raises(HuldraSerializationError, match="no value for its field 'name'"):
        from_document(edited(samples.Scalars(name="a"), fields={}))


def test_a_validator_that_refuses_is_an_error_that_names_the_class() -> None:
    """The constructor's own error is the cause."""
    with pytest.raises(HuldraSerializationError, match="Positive rejected") as caught:
        from_document(edited(samples.Positive(value=1), fields={"value": -1}))
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("document", [{}, [], None, {"lr": 0.5}])
def test_something_else_is_no_document(document: Any) -> None:
    """The message says what was wanted and what was found."""
    with pytest.raises(HuldraSerializationError, match="not a config document"):
        from_document(document)


def test_a_document_that_needs_itself_is_an_error() -> None:
    """A damaged document does not hang the reader."""
    document = edited(Holder(value=1))
    document["objects"][document["root"]]["fields"]["value"] = {"$huldra": document["root"]}
    with pytest.raises(HuldraSerializationError, match="depends on itself"):
        from_document(document)


def test_a_missing_value_is_refused_also_where_it_does_not_count() -> None:
    """`huldra.MISSING` is never written down."""
    with pytest.raises(HuldraIdentityError, match="MISSING") as caught:
        to_document(samples.Marked(workers=[MISSING]))
    assert caught.value.field_path == "workers[0]"


def test_an_unhashed_value_that_cannot_be_written_is_an_error_or_noted() -> None:
    """Strictly it is an error with its path; otherwise it is noted, and reading it is the error."""
    one = samples.Marked(workers={"f": lambda: 0})
    for write in (HuldraSerializer.to_dict, lambda obj: to_objects([obj])):
        with pytest.raises(HuldraIdentityError) as caught:
            write(one)
        assert caught.value.field_path == "workers['f']"
    with pytest.raises(HuldraSerializationError, match=r"Marked\.workers: .* not serialized"):
        from_document(to_document(one))
    with pytest.raises(HuldraSerializationError, match="because of an unhashed field"):
        to_python(one)
    assert plain_config(one)["workers"]["f"].startswith("<function")


@pytest.mark.parametrize(
    "value", [list(range(20_000)), {"a": ["x" * 20_000]}, "x" * 20_000, [[0] * 6_000] * 2]
)
def test_a_long_unhashed_value_stands_in_the_document_alone(value: Any) -> None:
    """In the view for reading it is described; a hashed value, or a short one, is shown."""
    view = plain_config(samples.Marked(workers=value))
    assert view["workers"].endswith("of more than 10000 items>")
    assert from_document(to_document(samples.Marked(workers=value))).workers == value
    assert plain_config(Holder(value=value))["value"] == value
    assert plain_config(samples.Marked(workers=[1, 2]))["workers"] == [1, 2]


def test_an_unhashed_value_of_a_nested_plain_object_is_noted_too() -> None:
    """What does not count and cannot be written is noted wherever it stands."""
    one = Holder(value=[samples.Watched(callback=[Train(), lambda: 0])])
    document = to_document(one)
    assert len(document["objects"]) == 1
    with pytest.raises(HuldraSerializationError, match="not serialized"):
        from_document(document)
    with pytest.raises(HuldraIdentityError) as caught:
        to_document(one, strict=True)
    assert caught.value.field_path == "value[0].callback[1]"


def test_what_hashes_at_the_deepest_comes_back() -> None:
    """The limit on nesting is the same for the hash and for both written forms."""
    deep: Any = ()
    for _ in range(MAX_DEPTH - 1):
        deep = (deep,)
    one = Holder(value=deep)
    assert digest_of(through_json(one)) == digest_of(one)
    with pytest.raises(HuldraIdentityError, match="nested deeper"):
        to_document(Holder(value=(deep,)))


# --- Python ------------------------------------------------------------------------------------


def test_to_python_prints_what_one_would_type() -> None:
    """Classes stand by their bare names, fields in order of declaration."""
    assert to_python(Train(lr=3e-4, steps=5000)) == "Train(lr=0.0003, steps=5000)"
    assert to_python(Pair(a=Train(), b=(pathlib.PurePosixPath("a"),))) == (
        "Pair(a=Train(lr=0.001, steps=1000), b=(pathlib.PurePosixPath('a'),))"
    )
    assert to_python(samples.Outer.Inner(value=samples.Color.RED)) == "Outer.Inner(value=Color.RED)"


def test_of_two_classes_with_one_name_the_second_has_its_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both evaluate to what they are."""
    import types

    module = types.ModuleType("other_samples")
    monkeypatch.setitem(sys.modules, "other_samples", module)
    twin = type("Train", (samples.Config,), {"__module__": "other_samples", "__annotations__": {}})
    module.Train = twin  # type: ignore[attr-defined]  a class of that name in another module
    both = Pair(a=Train(), b=twin())
    assert to_python(both) == "Pair(a=Train(lr=0.001, steps=1000), b=other_samples_Train())"
    assert through_python(both) == both


def test_to_python_refuses_what_python_cannot_read() -> None:
    """Past a stated depth or size it is an error, soon, however large the graph is."""
    node: Any = 1
    for _ in range(documents.MAX_PYTHON_BRACKETS - 1):
        node = Holder(value=node)
    assert digest_of(through_python(node)) == digest_of(node)
    with pytest.raises(HuldraSerializationError, match="nested deeper"):
        to_python(Holder(value=Holder(value=node)))
    for _ in range(60):
        node = Pair(a=node, b=node)
    with pytest.raises(HuldraSerializationError):
        to_python(node)
    wide: Any = Train()
    for _ in range(40):
        wide = Pair(a=wide, b=wide)
    with pytest.raises(HuldraSerializationError, match="longer than"):
        to_python(wide)


def test_to_python_of_what_has_no_identity_names_the_field() -> None:
    """The error is that of the hash."""
    with pytest.raises(HuldraIdentityError, match=r"Holder.value\[0\]"):
        to_python(Holder(value=[lambda: 0]))


# --- the plain view ------------------------------------------------------------------------------


def test_the_plain_view_reads_well() -> None:
    """Paths and dates are text, tuples and sets lists, objects dicts, configs references."""
    train = Train()
    view = plain_config(
        Holder(
            value={
                "path": pathlib.PurePosixPath("a/b"),
                "tuple": (1, {2}),
                "enum": samples.Color.RED,
                "point": samples.Point(1, None),
                "when": samples.NOON,
                "nan": math.nan,
                7: train,
            }
        )
    )
    assert view == {
        "value": {
            "path": "a/b",
            "tuple": [1, [2]],
            "enum": "RED",
            "point": {"x": 1.0, "y": None},
            "when": "2026-01-31T12:00:00.000005",
            "nan": "nan",
            "7": {"$ref": f"{MODULE}/Train/{digest_of(train)}"},
        }
    }


# --- the public face -------------------------------------------------------------------------


def test_the_serializer_does_what_the_functions_do() -> None:
    """`HuldraSerializer` is a thin face."""
    one = Train(lr=0.5)
    assert HuldraSerializer.from_dict(HuldraSerializer.to_dict(one)) == one
    assert HuldraSerializer.to_python(one) == to_python(one)
    assert HuldraSerializer.compute_hash(one) == digest_of(one)


def test_a_document_survives_chz_replace() -> None:
    """An object made by `chz.replace` is written with its new values."""
    one = Train()
    to_document(one)
    assert through_json(chz.replace(one, lr=0.25)).lr == 0.25


def test_writing_imports_nothing_optional() -> None:
    """Neither pydantic nor numpy is imported by identity and serialization."""
    code = (
        "import sys, huldra.config.documents;"
        " print({'numpy', 'pydantic', 'rich'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )
    assert run.stdout.strip() == "set()", run.stderr


# --- documents that somebody changed -------------------------------------------------------


@pytest.mark.parametrize("value", [samples.PlainChz(), MISSING, None, {"lr": 1}])
def test_the_serializer_says_what_it_takes(value: Any) -> None:
    """Each of its methods raises an error of our tree for what is no config."""
    for method in (
        HuldraSerializer.to_dict,
        HuldraSerializer.compute_hash,
        HuldraSerializer.to_python,
    ):
        with pytest.raises(HuldraIdentityError, match="expected a Huldra config, found a"):
            method(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"$enum": ["os:environ", "HOME"]}, "os:environ is not an enum"),
        ({"$enum": ["builtins:dict", "HOME"]}, "builtins:dict is not an enum"),
        ({"$alias": [{"$function": "os:getcwd"}, [1]]}, "not a generic alias"),
        ({"$alias": [{"$type": "os:environ"}, ["HOME"]]}, "os:environ is not a class"),
        ({"$alias": ["abc", [0]]}, "not a generic alias"),
        ({"$alias": [["x"], [0]]}, "not a generic alias"),
        ({"$type": "os:getcwd"}, "os:getcwd is not a class"),
        ({"$function": "os:environ"}, "os:environ is not a function"),
        ({"$function": "builtins:int"}, "builtins:int is not a function"),
        ({"$function": ".os:getcwd"}, "not of the form"),
        ({"$url": ["builtins:eval", "1"]}, "not one of pydantic's URLs"),
        ({"$dataclass": {"class": "os:getcwd", "fields": {}}}, "not a dataclass class"),
        ({"$chz": {"class": f"{MODULE}:Point", "fields": {}}}, "not a chz class"),
        ({"$dataclass": {"class": f"{MODULE}:Preset", "fields": {}}}, "not a dataclass class"),
        ({"$dataclass": []}, "cannot read"),
        ({"$dataclass": {"class": 3, "fields": {}}}, "not of the form"),
        ({"$partial": [3, [], {}]}, "cannot read"),
        ({"$huldra": []}, "cannot read"),
        ({"$set": [[]]}, "cannot read"),
    ],
)
def test_a_form_that_names_something_else_is_refused(value: Any, message: str) -> None:
    """An enum is an enum, a function a function: a document reaches nothing else."""
    with pytest.raises(HuldraSerializationError, match=message):
        from_document(edited(Holder(value=1), fields={"value": value}))


def test_an_error_asks_once_whether_the_class_was_moved() -> None:
    """One question in one message."""
    for name in ("no.such.module:X", f"{MODULE}:Gone"):
        with pytest.raises(HuldraSerializationError) as caught:
            from_document(edited(Holder(value=1), **{"class": name}))
        assert str(caught.value).count("moved or renamed") == 1


ODD = st.sampled_from(
    [
        *(None, 0, "", "a:b", "builtins:dict", "os:environ", f"{MODULE}:Point", f"{MODULE}:Train"),
        *([], {}, [[]], [1, 2], {"fields": {}}, {"class": f"{MODULE}:Holder", "fields": {}}),
    ]
)
TAGS = sorted({*forms._BY_TAG, *forms.RECORD_TAGS, *documents._JSON_READERS, "huldra", "lost"})


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Each place in a document: the container, and the key or index in it."""
    keys = value if isinstance(value, dict) else range(len(value)) if type(value) is list else ()
    found: list[tuple[Any, Any]] = []
    for key in keys:
        found += [(value, key), *_places(value[key])]
    return found


@settings(max_examples=400)
@given(st.sampled_from(sorted(DISTINCT)), st.data())
def test_a_changed_document_is_read_or_is_our_error(name: str, data: st.DataObject) -> None:
    """Whatever stands at a place of a document, reading it raises nothing but our own errors."""
    document = json.loads(json.dumps(to_document(Holder(value=DISTINCT[name]))))
    for _ in range(data.draw(st.integers(1, 2))):
        container, key = data.draw(st.sampled_from(_places(document)))
        odd = copy.deepcopy(data.draw(ODD))
        container[key] = (
            {f"${data.draw(st.sampled_from(TAGS))}": odd} if data.draw(st.booleans()) else odd
        )
    try:
        from_document(document)
    except HuldraError:
        pass
