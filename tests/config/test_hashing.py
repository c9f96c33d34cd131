"""Equal configs have equal digests, on every machine; unequal ones never share one."""

from __future__ import annotations

import copy
import datetime
import functools
import itertools
import math
import os
import pickle
import subprocess
import sys
import typing
from typing import Any

import chz
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huldra.config import documents, hashing
from huldra.config.fields import MISSING
from huldra.config.forms import class_form
from huldra.config.hashing import children_of, digest_of, encoding_of, key_of, namespace_of
from huldra.errors import HuldraClassError, HuldraCycleError, HuldraIdentityError
from tests.support import config_samples as samples
from tests.support.config_samples import DISTINCT, Declared, Holder, Pair, Train, numpy, pydantic

MODULE = "tests.support.config_samples"


def digest(value: Any) -> str:
    return digest_of(Holder(value=value))


# --- equal and unequal ---------------------------------------------------------------------


def test_no_two_of_the_listed_values_share_a_digest() -> None:
    """Every value of the sample list has a digest of its own."""
    by_digest: dict[str, list[str]] = {}
    for name, value in DISTINCT.items():
        by_digest.setdefault(digest(value), []).append(name)
    assert [names for names in by_digest.values() if len(names) > 1] == []


def test_no_encoding_begins_another_one() -> None:
    """No value's bytes are the beginning of another's, so sequences cannot be confused."""
    encodings = sorted(encoding_of(value) for value in DISTINCT.values())
    for one, other in itertools.pairwise(encodings):
        assert not other.startswith(one)


@pytest.mark.parametrize("name", DISTINCT)
def test_a_deep_copy_has_the_same_digest(name: str) -> None:
    """A value and its copy are the same value."""
    value = DISTINCT[name]
    copied = value if name == "mapping proxy" or "clever" in name else copy.deepcopy(value)
    assert digest(copied) == digest(value)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([0.0, -0.0, 1.0, 2.0, math.inf, math.nan]),
    st.text("a1:", max_size=3),
    st.binary(max_size=2),
    st.sampled_from([datetime.date(2026, 1, 1), samples.Color.RED, samples.Level.LOW]),
)
hashables = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2).map(tuple), max_leaves=3
)
values = st.recursive(
    st.one_of(scalars, st.frozensets(hashables, max_size=2)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(hashables, inner, max_size=2),
        st.builds(samples.Point, st.sampled_from([0.0, 1.0]), inner),
        st.builds(lambda value: samples.PlainChz(data=value), inner),
        st.builds(lambda value: Holder(value=value), inner),
    ),
    max_leaves=6,
)


def oracle(value: Any) -> Any:
    """What the rules call equal, written a second time in another way: nested plain tuples."""
    cls = type(value).__name__
    if isinstance(value, list | tuple):
        return (cls, *(oracle(item) for item in value))
    if isinstance(value, frozenset):
        return (cls, frozenset(oracle(item) for item in value))
    if isinstance(value, dict):
        return (cls, frozenset((oracle(k), oracle(v)) for k, v in value.items()))
    if isinstance(value, float):
        return (cls, "nan" if math.isnan(value) else value.hex())
    if isinstance(value, samples.Point):
        return (cls, oracle(value.x), oracle(value.y))
    if isinstance(value, samples.PlainChz):
        return (cls, oracle(value.data))
    if isinstance(value, Holder):
        return (cls, oracle(value.value))
    return (cls, repr(value))


@settings(max_examples=300, deadline=None)
@given(values, values)
def test_digests_are_equal_exactly_when_the_values_are(one: Any, other: Any) -> None:
    """An independent statement of equality agrees with the digest."""
    assert (digest(one) == digest(other)) == (oracle(one) == oracle(other))


@settings(max_examples=200, deadline=None)
@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
def test_bytes_in_a_row_are_read_in_one_way_only(one: list[Any], other: list[Any]) -> None:
    """Two sequences of values give the same bytes in a row only when they are the same."""
    joined = [b"".join(encoding_of(value) for value in row) for row in (one, other)]
    assert (joined[0] == joined[1]) == (oracle(one) == oracle(other))


def test_the_order_of_dicts_and_sets_does_not_matter() -> None:
    """Dicts and sets with the same members are equal in any order."""
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"x", "y", "z"}) == digest({"z", "x", "y"})


def test_two_spellings_of_one_type_are_one_value() -> None:
    """Aliases of `typing` are the builtin ones, and `Optional` is a union in any order."""
    import typing

    assert digest(typing.List[int]) == digest(list[int])  # noqa: UP006  # the old spelling on purpose
    assert digest(typing.Optional[int]) == digest(int | None) == digest(None | int)  # noqa: UP045  # the same


def test_every_nan_is_one_value() -> None:
    """A NaN with other bits is still NaN."""
    assert digest(-math.nan) == digest(math.nan) == digest(float("inf") - float("inf"))


# --- normalising to the declared type --------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "given", "meant"),
    [
        ("number", 1, 1.0),
        ("maybe", 2, 2.0),
        ("numbers", [1, 2.0, 3], [1.0, 2.0, 3.0]),
        ("table", {"a": [1]}, {"a": [1.0]}),
        ("pair", (1, 1), (1, 1.0)),
        ("many", (1, 2), (1.0, 2.0)),
        ("group", frozenset({1}), frozenset({1.0})),
        ("annotated", 1, 1.0),
        ("celsius", 1, 1.0),
        ("unknown", 1, 1.0),
        ("sequence", [1], [1.0]),
        ("sequence", (1,), (1.0,)),
        ("wave", 1, 1 + 0j),
    ],
)
def test_a_number_becomes_the_declared_number(field: str, given: Any, meant: Any) -> None:
    """An int given for a float field is that float, inside containers and unions too."""
    assert digest_of(Declared(**{field: given})) == digest_of(Declared(**{field: meant}))


@pytest.mark.parametrize(
    ("field", "given", "other"),
    [
        ("number", True, 1.0),
        ("number", "1", 1.0),
        ("number", 2**53 + 1, float(2**53)),
        ("number", 10**400, math.inf),
        ("whole", 1.0, 1),
        ("whole", True, 1),
        ("either", 1, 1.0),
        ("numbers", (1.0,), [1.0]),
        ("sequence", [1.0], (1.0,)),
        ("two_shapes", [1], [1.0]),
        ("many", [1.0], (1.0,)),
    ],
)
def test_what_is_not_that_number_stays(field: str, given: Any, other: Any) -> None:
    """Bools, texts, inexact ints, ints for `int | float` and other containers stay as they are."""
    assert digest_of(Declared(**{field: given})) != digest_of(Declared(**{field: other}))


@pytest.mark.skipif(numpy is None, reason="numpy is not installed")
def test_a_numpy_scalar_becomes_the_declared_python_value() -> None:
    """Given for a field of that Python type, a numpy scalar is the Python value."""
    for name, scalar, meant in (
        ("number", numpy.int64(1), 1.0),
        ("number", numpy.float64(0.5), 0.5),
        ("number", numpy.float32(0.5), 0.5),
        ("whole", numpy.int32(3), 3),
        ("flag", numpy.bool_(True), True),
        ("text", numpy.str_("a"), "a"),
        ("numbers", [numpy.float64(1)], [1.0]),
    ):
        assert digest_of(Declared(**{name: scalar})) == digest_of(Declared(**{name: meant}))


@pytest.mark.skipif(numpy is None, reason="numpy is not installed")
def test_numpy_values_without_a_portable_form_are_refused() -> None:
    """Long doubles differ between machines, and object arrays hold anything."""
    for value in (numpy.longdouble(1), numpy.array([object()])):
        with pytest.raises(HuldraIdentityError, match="no portable form"):
            digest(value)


@pytest.mark.skipif(pydantic is None, reason="pydantic is not installed")
def test_children_in_pydantic_models_are_found() -> None:
    """Also among what a model allows beyond its fields."""
    holder = Holder(value=samples.Aliased(Inner=None, other=Train()))
    assert [path for path, _ in children_of(holder)] == ["value.__pydantic_extra__['other']"]


def test_numbers_in_nested_plain_objects_are_normalised() -> None:
    """Dataclasses, named tuples and plain chz objects declare their types, too."""
    assert digest(samples.Point(1)) == digest(samples.Point(1.0))
    assert digest(samples.Size(1, 2)) == digest(samples.Size(1.0, 2.0))
    assert digest(samples.PlainChz(rate=1)) == digest(samples.PlainChz(rate=1.0))
    assert digest(samples.Frozen(1, (2,))) == digest(samples.Frozen(1, (2.0,)))


def test_a_type_variable_is_what_the_subclass_put_there() -> None:
    """`class FloatModel(Model[float])` declares floats where `Model` says X."""
    made = samples.FloatModel(size=1), samples.FloatModel(size=1.0)
    assert digest_of(made[0]) == digest_of(made[1])
    free = samples.Model(size=1), samples.Model(size=1.0)
    assert digest_of(free[0]) != digest_of(free[1])


# --- which fields count --------------------------------------------------------------------


def test_unhashed_and_private_fields_do_not_count() -> None:
    """`hashed=False` and names with a leading underscore leave the digest alone."""
    assert digest_of(samples.Marked(workers=lambda: 0, _device=open)) == digest_of(samples.Marked())


def test_a_field_at_its_absent_value_does_not_count() -> None:
    """With `absent` the digest is that of the class without the field, compared after declaring."""
    absent = digest_of(samples.Grown(name="a"))
    assert absent == digest_of(samples.Grown(name="a", added=7)) == digest_of(samples.Grown())
    assert absent != digest_of(samples.Grown(added=8))
    plan = hashing._plan_of(samples.Grown)
    data = hashing._encode_fields(samples.Grown().__dict__, plan.fields, hashing._HashContext())
    assert b"added" not in data


def test_the_cache_version_counts() -> None:
    """A class with another `cache_version` has other digests."""
    before = digest_of(samples.Versioned())
    plan = hashing._plans.pop(samples.Versioned)
    try:
        samples.Versioned.__huldra_cache_version__ = "3"
        assert digest_of(samples.Versioned()) != before
    finally:
        samples.Versioned.__huldra_cache_version__ = "2"
        hashing._plans[samples.Versioned] = plan


def test_the_class_counts() -> None:
    """Two classes with the same fields have different digests."""
    assert digest_of(Holder(value=1)) != digest_of(samples.Outer.Inner(value=1))


def test_what_is_hashed_is_what_was_given_not_what_a_munger_made_of_it() -> None:
    """The raw value rebuilds the object, so it is the raw value that counts."""
    assert digest_of(samples.Munged(name="a")) != digest_of(samples.Munged(name="A"))


# --- stability -----------------------------------------------------------------------------


def test_known_digests_do_not_change() -> None:
    """These digests are on people's disks; a change of the rules must raise their version."""
    assert hashing.RULES_VERSION == 1
    found = {name: digest(DISTINCT[name]) for name in PINNED if name in DISTINCT}
    assert found == {name: PINNED[name] for name in found}
    assert digest_of(Train(lr=3e-4, steps=5000)) == PINNED_TRAIN


PINNED_TRAIN = "ba6d88de08b566b72950cf863081e356"
PINNED = {
    "none": "07f312f489e08e5324e91b4444638ba0",
    "true": "d420c2f838443014549c3827af64f667",
    "one": "8e39fb014413fea164f8f0a9643c6801",
    "one as float": "16f81dae0aa5d53db2c45fc42bbb854a",
    "one as text": "65eb2410072564f76af2e895511d2542",
    "nan": "a91154b8827bf396146094a7b1487301",
    "negative zero": "ac88fc2ef34267a38750b83fbec6fc65",
    "larger": "aa37d89792b1252cf6257702b37aee96",
    "lone surrogate": "1ff6b4ebe443ed4a315afcc20bc26847",
    "bytes a": "da4c93f9ead1c6e3601efb8f835edb49",
    "list": "f8751e3a0f7982e7eba4da74998bcc90",
    "tuple": "5f0f9718ce57107890332e63095871dd",
    "set": "258405162123738e0e660619f2a46420",
    "frozenset": "3cbb57091988f2e1364a08a35a5531e0",
    "dict int key": "904a11a242e77ec2f31b8f1f278dbef1",
    "path": "0510f7de1feea5cbc3bf9f19b54dd3ff",
    "decimal 1.0": "34a515755a1113b96834b20a831f0d5b",
    "same instant": "034858a2aca70b7707fe585ffc7fb436",
    "timedelta": "d1594eae99b71c6513b0d04869ba33c5",
    "uuid": "e801f01188dc97aa17a6afc276ad1b66",
    "enum": "537170865e2646e94a9b25ffd1f3f0d4",
    "int enum": "20805fa3a327766b55d64b29e7adddc6",
    "flags": "0292581c6b7df0aa3d0cb75e0efc6152",
    "dataclass": "8838cbe1764a23ac9d88f76351c116a4",
    "named tuple": "3b25421ddf5b2ab348459424a59606c9",
    "pydantic": "9e6d5054334069adb993c7e818045d2c",
    "chz": "6d0473a89b808385ab360696a441324d",
    "config in dict": "31df31b66838502e941254d4ee13b6b4",
    "type": "ac46e47078f987c9057c1d86edfeeda7",
    "pure path type": "f56954be254204ee42e3786c130206c2",
    "function": "2a34c342b7433da97a5b030a3a2d98d6",
    "alias": "91f664fa2b966b878ab63c92bba7e9d4",
    "optional": "f1b856e86e102a01d5516239bd76b1fe",
    "float32": "61c72b73c00f230b2416a148220330de",
    "array": "71e6849f6a33a0fa21f3c9d382593c61",
    "partial": "877714e4ac6db328ae7e67a6abdc167c",
    "regex": "87a1ccddded8ab429292142e95a210ef",
}

_IN_ANOTHER_PROCESS = """
from tests.support.config_samples import DISTINCT, Holder
from huldra.config.hashing import digest_of
for name, value in DISTINCT.items():
    print(name, digest_of(Holder(value=value)))
"""


def test_digests_are_the_same_in_every_process() -> None:
    """Hash seed, time zone, locale and optimisation flags change nothing."""
    run = subprocess.run(
        [sys.executable, "-OO", "-c", _IN_ANOTHER_PROCESS],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
        | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONUTF8": "0"},
    )
    assert run.returncode == 0, run.stderr
    assert dict(line.rsplit(" ", 1) for line in run.stdout.splitlines()) == {
        name: digest(value) for name, value in DISTINCT.items()
    }


def test_the_digest_is_32_hexadecimal_digits() -> None:
    """A digest is 128 bits in lowercase hexadecimal."""
    assert len(digest(1)) == 32
    assert set(digest(1)) <= set("0123456789abcdef")


def test_a_copy_with_another_value_has_another_digest() -> None:
    """The remembered digest is worth nothing in a copy that was changed."""
    one = Holder(value=1)
    before = digest_of(one)
    for copied in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert digest_of(copied) == before
    changed = copy.copy(one)
    object.__setattr__(changed, "X_value", 2)
    assert digest_of(changed) == digest(2)
    assert digest_of(chz.replace(one, value=2)) == digest(2)


def test_asking_for_the_digest_leaves_the_object_as_it_was() -> None:
    """Equality and repr do not see the remembered digest."""
    one, other = Holder(value=1), Holder(value=1)
    text = repr(one)
    digest_of(one)
    assert one == other
    assert repr(one) == text


# --- nested configs --------------------------------------------------------------------------


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every hash that is computed, as it is computed."""
    computed: list[Any] = []
    blake2s = hashing.hashlib.blake2s

    def counted(data: bytes, **keywords: Any) -> Any:
        computed.append(data)
        return blake2s(data, **keywords)

    monkeypatch.setattr(hashing.hashlib, "blake2s", counted)
    return computed


def test_a_diamond_of_depth_40_costs_40_hashes(hashes: list[Any]) -> None:
    """Shared nested configs are hashed once, though there are 2**40 paths to them."""
    node: Any = Train()
    for _ in range(39):
        node = Pair(a=node, b=node)
    digest_of(node)
    assert len(hashes) == 40


def test_a_chain_of_5000_is_hashed_without_recursion(hashes: list[Any]) -> None:
    """Depth is no matter of Python's stack, and each config is hashed once."""
    node: Any = None
    for index in range(5000):
        node = Pair(a=index, b=[node])
    digest_of(node)
    assert len(hashes) == 5000


def test_a_second_question_computes_nothing(hashes: list[Any]) -> None:
    """A digest is computed once per object."""
    one = Pair(a=Train(), b=1)
    digest_of(one)
    computed = len(hashes)
    digest_of(one)
    digest_of(Pair(a=one.a, b=2))
    assert len(hashes) == computed + 1


def test_a_nested_config_counts_by_what_it_says() -> None:
    """Two equal nested configs are the same value, two unequal ones are not."""
    assert digest(Train()) == digest(Train(lr=1e-3))
    assert digest(Train()) != digest(Train(lr=2e-3))


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        (Train(), ["value"]),
        ([Train(), 3, Train()], ["value[0]", "value[2]"]),
        ({"a": Train(), 2: (Train(),)}, ["value['a']", "value[2][0]"]),
        ({Train(): 1}, ["value.keys()[Train]"]),
        (frozenset({Train()}), ["value{0}"]),
        (samples.PlainChz(data=Train()), ["value.data"]),
        (samples.Point(1, Train()), ["value.y"]),
        (samples.Size(Train(), 2), ["value.width"]),
        (lambda: 0, []),
        (5, []),
    ],
)
def test_children_are_found_wherever_they_stand(value: Any, paths: list[str]) -> None:
    """Configs in the fields are found with their paths, inside plain values, too."""
    assert [path for path, _ in children_of(Holder(value=value))] == paths


def test_children_of_unhashed_fields_are_listed() -> None:
    """What does not count may still be needed."""
    assert [path for path, _ in children_of(samples.Marked(workers=Train()))] == ["workers"]


def test_children_of_a_set_stand_in_one_order() -> None:
    """The order of configs in a set is that of their digests, in every process."""
    configs = [Train(steps=steps) for steps in range(20)]
    listed = [child for _, child in children_of(Holder(value=set(configs)))]
    assert [digest_of(c) for c in listed] == sorted(digest_of(c) for c in configs)


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        lambda: 0,
        DISTINCT.values,
        (item for item in [1]),
        object(),
        samples.MyStr("a"),
        sys,
        iter([1]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_stable_identity_is_refused_with_its_path(value: Any) -> None:
    """The error names the field, through containers and nested configs."""
    with pytest.raises(HuldraIdentityError) as caught:
        digest_of(Pair(a=Train(), b=Holder(value=[1, {"k": (2, value)}])))
    assert caught.value.field_path == "b.value[1]['k'][1]"
    assert "Pair.b.value[1]['k'][1]" in str(caught.value)


def test_local_functions_and_classes_are_refused() -> None:
    """What is defined in a function's body has no name to import it by."""

    def local() -> None: ...

    class Local: ...

    for value in (local, Local):
        with pytest.raises(HuldraIdentityError, match="defined in a function"):
            digest(value)


def test_an_open_file_is_refused_with_what_to_do(tmp_path: Any) -> None:
    """The message proposes the path."""
    with open(tmp_path / "f", "w") as file, pytest.raises(HuldraIdentityError, match="the path"):
        digest(file)


def test_a_missing_value_is_refused_by_name() -> None:
    """`huldra.MISSING` must be replaced before the hash is asked for."""
    with pytest.raises(HuldraIdentityError, match="MISSING") as caught:
        digest_of(samples.Needs())
    assert caught.value.field_path == "data"
    digest_of(chz.replace(samples.Needs(), data=1))
    with pytest.raises(HuldraIdentityError) as nested:
        digest([1, MISSING])
    assert nested.value.field_path == "value[1]"


def test_a_container_that_contains_itself_is_refused() -> None:
    """A list in itself has no value."""
    loop: list[Any] = [1]
    loop.append(loop)
    with pytest.raises(HuldraIdentityError, match="contains itself") as caught:
        digest(loop)
    assert caught.value.field_path == "value[1]"


def test_plain_values_may_be_nested_to_a_limit() -> None:
    """A hundred levels are fine; more is an error that says so, however much more."""
    deep: Any = 1
    for _ in range(hashing.MAX_DEPTH):
        deep = [deep]
    digest(deep)
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(HuldraIdentityError, match="nested deeper than 100"):
        digest(deep)


def test_a_config_that_contains_itself_is_an_error_with_its_path() -> None:
    """A cycle through a mutable field is named step by step, of any length."""
    for length in (1, 2, 11, 12, 13, 14, 40):
        inside: list[Any] = []
        node = Holder(value=inside)
        first = node
        for _ in range(length - 1):
            node = Holder(value=node)
        inside.append(node)
        with pytest.raises(HuldraCycleError) as caught:
            digest_of(first)
        assert len(caught.value.path) == length + 1
        assert caught.value.path[0] == caught.value.path[-1] == f"{MODULE}/Holder"


# --- names -----------------------------------------------------------------------------------


def test_the_namespace_is_module_and_qualified_name() -> None:
    """Nested classes and generic aliases have the namespace that one expects."""
    assert namespace_of(Train) == f"{MODULE}/Train"
    assert namespace_of(samples.Outer.Inner) == f"{MODULE}/Outer.Inner"
    assert namespace_of(samples.Model[int]) == f"{MODULE}/Model"  # type: ignore[arg-type]  # an alias on purpose


def test_the_key_is_namespace_and_digest() -> None:
    """A key names an artifact in a store."""
    one = Train()
    assert key_of(one) == f"{MODULE}/Train/{digest_of(one)}"


def test_a_class_of_main_is_refused_with_the_fix() -> None:
    """Nobody else can import `__main__`."""
    made = type("Script", (), {"__module__": "__main__"})
    with pytest.raises(HuldraClassError, match="move the class into a module"):
        namespace_of(made)


def test_a_class_of_a_function_is_refused_with_the_fix() -> None:
    """Nobody else can import a class of a function's body."""

    class Local: ...

    with pytest.raises(HuldraClassError, match="top of its module"):
        namespace_of(Local)


@pytest.mark.parametrize("name", ["../up", "", "a..b", "nul\0", "a\\b"])
def test_a_class_whose_name_cannot_be_a_folder_is_refused(name: str) -> None:
    """Classes made at run time may be called anything."""
    with pytest.raises(HuldraClassError, match="cannot name a folder"):
        namespace_of(type("X", (), {"__module__": "made", "__qualname__": name}))


def test_types_that_moved_between_versions_keep_their_public_name() -> None:
    """`pathlib.Path` lives in `pathlib._local` in 3.13, and is the same type."""
    import pathlib

    assert b"pathlib:Path" in encoding_of(pathlib.Path)
    assert b"types:NoneType" in encoding_of(type(None))


# --- what hides a part of itself -----------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        samples.ListWithName(),
        samples.DequeWithName(),
        samples.UserDictWithName(),
        samples.TextWithName(),
        samples.DictWithName(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_class_with_fields_that_is_a_container_is_refused(value: Any) -> None:
    """Its items are no fields: two that differ in them would share a digest."""
    with pytest.raises(HuldraIdentityError, match=f"{type(value).__name__} has fields and is a"):
        digest([value])


@pytest.mark.parametrize("value", [samples.ShadowedBy(), samples.HidesWidth(1.0)])
def test_a_plain_class_in_which_something_hides_a_field_is_refused(value: Any) -> None:
    """The object shows one value, and the field holds another."""
    with pytest.raises(HuldraIdentityError, match="width hides the field 'width'"):
        digest(value)


def test_a_subclass_of_a_named_tuple_has_its_declared_types() -> None:
    """The fields are those of the base, and an int for a float is that float."""
    assert digest(samples.Sized(1)) == digest(samples.Sized(1.0))


def test_an_enum_of_dataclasses_is_its_member() -> None:
    """The member's name counts, and its value does not."""
    member = samples.Preset.SMALL
    assert encoding_of(member)[:1] == b"x"
    assert samples.Preset.ALSO_SMALL is member


def test_a_time_that_pydantic_read_has_a_fixed_offset() -> None:
    """Its zone is the offset, as `datetime.timezone` has it."""
    if pydantic is None:
        pytest.skip("pydantic is not installed")
    read = samples.Event(when="2026-01-31T12:00:00+02:00", where="https://a.b").when
    offset = datetime.timezone(datetime.timedelta(hours=2))
    assert digest(read) == digest(datetime.datetime(2026, 1, 31, 12, tzinfo=offset))


def test_a_secret_is_refused_with_the_reason() -> None:
    """It would stand in the store for all to read."""
    if pydantic is None:
        pytest.skip("pydantic is not installed")
    with pytest.raises(HuldraIdentityError, match=r"Holder\.value\.token .*for all to read"):
        digest(samples.Secretive(token="t"))


@pytest.mark.skipif(pydantic is None, reason="pydantic is not installed")
@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("HttpUrl", "https://me:pw@a.b/c"),
        ("PostgresDsn", "postgres://me:pw@a.b,me@c.d/e"),
        ("RedisDsn", "redis://:pw@a.b/1"),
    ],
)
def test_an_address_with_a_password_is_refused(kind: str, address: str) -> None:
    """It would stand in the store for all to read; without the password the address is fine."""
    address_of = getattr(pydantic, kind)
    with pytest.raises(HuldraIdentityError, match=f"the password in this {kind} .*environment"):
        digest(address_of(address))
    assert digest(address_of(address.replace(":pw", "")))


@pytest.mark.skipif(pydantic is None, reason="pydantic is not installed")
def test_spellings_of_one_generic_model_are_one() -> None:
    """Which module made `Box[int]` first, and how a union is written, changes nothing."""
    optional = samples.Box[typing.Optional[int]](v=1)  # noqa: UP045  # the other spelling
    assert digest(samples.Box[int | None](v=1)) == digest(optional)
    assert class_form(samples.Box[int]) == f"{MODULE}:Box[int]"


@pytest.mark.skipif(pydantic is None, reason="pydantic is not installed")
def test_a_generic_model_of_what_has_no_name_is_refused() -> None:
    """Its argument is named, and not the model, which is where it belongs."""

    class Local(pydantic.BaseModel):  # type: ignore[name-defined, misc]  # where it is installed
        pass

    with pytest.raises(HuldraIdentityError, match="Local is defined in a function"):
        digest(samples.Box[Local]())


def test_a_structured_dtype_is_refused() -> None:
    """It has no portable form."""
    if numpy is None:
        pytest.skip("numpy is not installed")
    with pytest.raises(HuldraIdentityError, match=r"the numpy dtype .* has no portable form"):
        digest(numpy.dtype([("a", "i4")]))


@pytest.mark.parametrize("value", [samples.PlainChz(), MISSING, None, 3, Train])
def test_what_is_no_config_has_no_digest(value: Any) -> None:
    """The error is of our tree and says what is taken."""
    with pytest.raises(HuldraIdentityError, match="expected a Huldra config, found a"):
        digest_of(value)


@functools.lru_cache
def cached(x: int) -> int:
    """A cached function of a module, as a config's value."""
    return x


@pytest.mark.parametrize(
    "value",
    [
        cached,
        slice(1, None, 2),
        pytest.param(numpy and numpy.sin, id="ufunc"),
        pytest.param(numpy and numpy.mean, id="array function"),
        pytest.param(numpy and functools.partial(numpy.add, 1), id="partial"),
        pytest.param(numpy and numpy.dtype("f4"), id="dtype"),
    ],
)
def test_what_can_be_imported_by_name_has_an_identity(value: Any) -> None:
    """Functions that are cached or numpy's, dtypes and slices hash, and come back equal."""
    if value is None:
        pytest.skip("numpy is not installed")
    config = Holder(value=value)
    assert digest_of(config) != digest_of(Holder(value=None))
    again = documents.from_document(documents.to_document(config, strict=True))
    assert digest_of(again) == digest_of(config)
