"""The identity of a config: its namespace, its digest, and the configs that stand in it.

docs/identity.md states the rules. In short: the digest is a blake2s over the rules' version, the
class and the hashed fields, each value written so that two different values never give the same
bytes: every item begins with its kind and says how long it is.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from huldra.config import forms, identities
from huldra.config.coercion import NUMBERS, Normalise
from huldra.config.import_paths import MAIN_MODULES, UnhashableValue, lead_back, public_module
from huldra.errors import HuldraClassError, HuldraCycleError, HuldraIdentityError

RULES_VERSION: Final = 1
MAX_DEPTH: Final = 100
"""How deep plain values (lists, dicts, dataclasses) may be nested in one field."""

_NESTED: Final = f"it is nested deeper than {MAX_DEPTH} levels, or contains itself"
_TOO_DEEP: Final = "its values are nested too deep for what is left of the stack"
_MAX_DIRECT: Final = 12  # nested configs that are hashed by recursion before the stack takes over
_CACHE: Final = "_huldra_identity"

_Encode = Callable[[Any, "_HashContext"], bytes]


class _Cached:
    """The digest of the one object whose id is `owner`; worth nothing in a copy or a pickle."""

    __slots__ = ("digest", "owner", "reference")

    def __init__(self, owner: int, digest: str, reference: bytes) -> None:
        self.owner = owner
        self.digest = digest
        self.reference = reference  # how the object is written inside another one

    def __reduce__(self) -> tuple[Any, ...]:
        return _Cached, (0, "", b"")


class _ClassEncoder:
    """How objects of one class are hashed; compiled once per class."""

    __slots__ = ("fields", "namespace", "prefix", "reference")

    def __init__(self, cls: type, record: forms.RecordType) -> None:
        self.namespace = namespace_of(cls)
        version = getattr(cls, "__huldra_cache_version__", None)
        walk = _HashContext()
        self.prefix = b"huldra%d;" % RULES_VERSION + b"".join(
            _encode(part, walk) for part in (self.namespace, version)
        )
        self.reference = b"H" + _encode_str(self.namespace, walk)
        self.fields = _encoded_fields(record)


class _HashContext:
    """The state of one question for a digest."""

    __slots__ = ("active", "depth", "level", "pending", "waiting")

    def __init__(self) -> None:
        self.depth = 0  # of plain values around the one being written
        self.level = 0  # of configs being hashed by recursion
        self.active: set[int] = set()  # ids of these
        self.pending: list[Any] = []  # configs that must be hashed first
        self.waiting: set[int] = set()  # ids of these and of the configs around them


# --- names ---------------------------------------------------------------------------------

_namespaces: dict[type, str] = {}


def namespace_of(cls: type) -> str:
    """The folder of a class: `<module>/<qualified name>`; `Model[int]` is `Model`'s.

    A class that declares an identity has that instead.

    Raises `HuldraClassError` for a class that no other process can import.
    """
    try:
        return _namespaces[cls]
    except (KeyError, TypeError):
        pass
    origin = getattr(cls, "__origin__", cls)
    return _namespaces.setdefault(origin, _make_namespace(origin))


def _make_namespace(cls: type) -> str:
    module, qualname = public_module(cls.__module__), cls.__qualname__
    lost = None if "<locals>" in qualname else lead_back(cls)
    if module in MAIN_MODULES and "get_ipython" in vars(sys.modules.get(module, sys)):
        raise HuldraClassError(
            f"{qualname} is defined in a notebook cell, so no other process can import it.\n"
            "Put `%%writefile pipelines.py` at the top of that cell, and write in the next one:"
            f" from pipelines import {qualname}"
        )
    if module in MAIN_MODULES or (lost is not None and cls.__module__ in MAIN_MODULES):
        raise HuldraClassError(
            f"{qualname} is defined in __main__, so no other process can import it and it has no "
            "stable directory: move the class into a module (for example pipelines.py) and import "
            "it from there in your script, or run the file as a module (python -m package.module)"
        )
    if "<locals>" in qualname:
        raise HuldraClassError(
            f"{module}.{qualname} is defined in a function body, so no other process can import it"
            " and it has no stable directory: move the class to the top of its module"
        )
    if not _is_folder_name(module) or not _is_folder_name(qualname):
        raise HuldraClassError(
            f"{module}.{qualname} cannot name a folder: give the class a name without "
            "slashes and empty parts"
        )
    if lost is not None:
        raise HuldraClassError(
            f"{module}.{qualname} cannot be imported by that name, so no other process can compute"
            f" it and it has no stable directory: {lost}; define the class at the top of a file"
            " that can be imported, under its own name, and import it from there"
        )
    return identities.declared(cls) or f"{module}/{qualname}"


def _is_folder_name(name: str) -> bool:
    return all(name.split(".")) and not any(character in name for character in "/\\\0")


# --- the bytes of a value ------------------------------------------------------------------


def _encode_none(_value: None, _walk: _HashContext) -> bytes:
    return b"N"


def _encode_bool(value: bool, _walk: _HashContext) -> bytes:
    return b"T" if value else b"F"


def _encode_int(value: int, _walk: _HashContext) -> bytes:
    return b"i%x;" % value  # hexadecimal has no limit on digits


_pack_float = struct.Struct(">d").pack
_NAN: Final = b"f" + struct.pack(">d", float("nan"))


def _encode_float(value: float, _walk: _HashContext) -> bytes:
    return b"f" + _pack_float(value) if value == value else _NAN  # noqa: PLR0124  # NaN has many bits


def _encode_str(value: str, _walk: _HashContext) -> bytes:
    try:
        data = value.encode()
    except UnicodeEncodeError:
        data = value.encode("utf-8", "surrogatepass")
    return b"s%d:%b" % (len(data), data)


def _encode_bytes(value: bytes, _walk: _HashContext) -> bytes:
    return b"b%d:%b" % (len(value), value)


def _deeper(walk: _HashContext) -> None:
    walk.depth += 1
    if walk.depth > MAX_DEPTH:
        raise UnhashableValue(_NESTED)


def _encode_list(value: list[Any], walk: _HashContext) -> bytes:
    return b"[" + _encode_items(value, walk)


def _encode_tuple(value: tuple[Any, ...], walk: _HashContext) -> bytes:
    return b"(" + _encode_items(value, walk)


def _encode_items(value: Any, walk: _HashContext) -> bytes:
    _deeper(walk)
    items = [_ENCODERS.get(type(item), _encode_other)(item, walk) for item in value]
    walk.depth -= 1
    return b"%d:%b" % (len(items), b"".join(items))


def _encode_set(value: set[Any], walk: _HashContext) -> bytes:
    return b"{" + _encode_unordered(value, walk)


def _encode_frozenset(value: frozenset[Any], walk: _HashContext) -> bytes:
    return b"<" + _encode_unordered(value, walk)


def _encode_unordered(value: Any, walk: _HashContext) -> bytes:
    _deeper(walk)
    items = sorted(_encode(item, walk) for item in value)
    walk.depth -= 1
    return b"%d:%b" % (len(items), b"".join(items))


def _encode_dict(value: dict[Any, Any], walk: _HashContext) -> bytes:
    _deeper(walk)
    items = sorted(_encode(key, walk) + _encode(item, walk) for key, item in value.items())
    walk.depth -= 1
    return b"D%d:%b" % (len(items), b"".join(items))


def _encode(value: Any, walk: _HashContext) -> bytes:
    return _ENCODERS.get(type(value), _encode_other)(value, walk)


def _encode_other(value: Any, walk: _HashContext) -> bytes:
    """Anything that is not basic; remembers how, for the next value of that class."""
    kind = forms.kind_of(value)
    if isinstance(kind, forms.ScalarType):
        encode = _leaf_encoder(kind)
    elif kind.tag == "huldra":
        encode = _encode_huldra
    else:
        encode = _record_encoder(kind)
    _ENCODERS[type(value)] = encode
    return encode(value, walk)


def _leaf_encoder(leaf: forms.ScalarType) -> _Encode:
    prefix = b"x" + _encode_str(leaf.tag, _HashContext())
    payload_of = leaf.identify or leaf.reduce

    def encode(value: Any, walk: _HashContext) -> bytes:
        _deeper(walk)
        data = prefix + _encode(payload_of(value), walk)
        walk.depth -= 1
        return data

    return encode


def _record_encoder(record: forms.RecordType) -> _Encode:
    name = forms.hashed_record_name(record)
    prefix = b"R" + _encode_str(record.tag, _HashContext()) + _encode_str(name, _HashContext())
    if record.tag == "pydantic" and not isinstance(form := forms.class_form(record.cls), str):
        prefix += _encode(form[1], _HashContext())  # after `[`: fields begin with `.` or `;`
    planned: list[tuple[_Field, ...]] = []

    def encode(value: Any, walk: _HashContext) -> bytes:
        if not planned:  # not before the first value: a default may be of this very class
            planned.append(_encoded_fields(record))
        _deeper(walk)
        values = {field.key: getattr(value, field.key) for field in planned[0]}
        data = prefix + _encode_fields(values, planned[0], walk)
        walk.depth -= 1
        return data

    return encode


class _Field(NamedTuple):
    """A hashed field, ready for use: where its value is and what its bytes begin with."""

    key: str
    prefix: bytes
    normalise: Normalise | None
    as_it_is: frozenset[type]  # values of these types are not changed by `normalise`
    absent: bytes | None


_NEVER_CHANGED: Final = frozenset({type(None), bool, str, bytes})


def _encoded_fields(record: forms.RecordType) -> tuple[_Field, ...]:
    hashed = sorted((f for f in record.fields if f.is_hashed), key=lambda plan: plan.hashed_name)
    return tuple(_encoded_field(plan) for plan in hashed)


def _encoded_field(plan: forms.FieldSpec) -> _Field:
    own = frozenset(number for number, change in NUMBERS.items() if change is plan.normalise)
    prefix = b"." + _encode_str(plan.hashed_name, _HashContext())
    absent = None
    if plan.absent:
        walk = _HashContext()
        walk.level = -1_000_000  # a default is no chain of thousands: recursion is fine
        value = plan.absent[0]
        absent = _encode(value if plan.normalise is None else plan.normalise(value), walk)
    return _Field(plan.key, prefix, plan.normalise, _NEVER_CHANGED | own, absent)


def _encode_fields(
    values: Mapping[str, Any], planned: tuple[_Field, ...], walk: _HashContext
) -> bytes:
    parts = []
    for key, prefix, normalise, as_it_is, absent in planned:
        value = values[key]
        if normalise is not None and type(value) not in as_it_is:
            value = normalise(value)
        data = _ENCODERS.get(type(value), _encode_other)(value, walk)
        if data != absent:
            parts.append(prefix)
            parts.append(data)
    parts.append(b";")
    return b"".join(parts)


def _encode_huldra(value: Any, walk: _HashContext) -> bytes:
    cached: _Cached | None = value.__dict__.get(_CACHE)
    if cached is not None and cached.owner == id(value):
        return cached.reference
    if id(value) in walk.waiting:
        return b""
    if walk.level < _MAX_DIRECT and walk.depth < _MAX_DIRECT:
        cached = _hash(value, walk)
        if cached is not None:
            return cached.reference
    else:
        walk.pending.append(value)
    walk.waiting.add(id(value))
    return b""


_ENCODERS: dict[type, _Encode] = {
    type(None): _encode_none,
    bool: _encode_bool,
    int: _encode_int,
    float: _encode_float,
    str: _encode_str,
    bytes: _encode_bytes,
    list: _encode_list,
    tuple: _encode_tuple,
    set: _encode_set,
    frozenset: _encode_frozenset,
    dict: _encode_dict,
}


# --- digests -------------------------------------------------------------------------------

_plans: dict[type, _ClassEncoder] = {}


def _plan_of(cls: type) -> _ClassEncoder:
    plan = _plans.get(cls)
    if plan is None:
        if not forms.is_huldra(cls):
            raise HuldraIdentityError(
                f"expected a Huldra config, found a {cls.__module__}.{cls.__qualname__}: only"
                " objects of subclasses of huldra.Huldra have a hash and a directory",
                field_path="",
            )
        record = forms.record_of(cls, "huldra")
        plan = _plans[cls] = _ClassEncoder(cls, record)
    return plan


def _hash(obj: Any, walk: _HashContext) -> _Cached | None:
    """Hash `obj` and remember it; None when configs in it, now pending, must come first."""
    if id(obj) in walk.active:
        raise HuldraCycleError("cycle")  # the caller, who knows the root, reports it in full
    plan = _plan_of(type(obj))
    pending, depth = len(walk.pending), walk.depth
    walk.active.add(id(obj))
    walk.level += 1
    walk.depth = 0
    data = _encode_fields(obj.__dict__, plan.fields, walk)
    walk.depth = depth
    walk.level -= 1
    walk.active.discard(id(obj))
    if len(walk.pending) != pending:
        return None
    raw = hashlib.blake2s(plan.prefix + data, digest_size=16)
    cached = _Cached(id(obj), raw.hexdigest(), plan.reference + raw.digest())
    obj.__dict__[_CACHE] = cached
    return cached


def _cached(obj: Any) -> _Cached:
    try:
        cached: _Cached | None = obj.__dict__.get(_CACHE)
    except AttributeError:
        _plan_of(type(obj))  # says what is wanted
        raise
    if cached is not None and cached.owner == id(obj):
        return cached
    walk = _HashContext()
    try:
        return _hash(obj, walk) or _hash_all(obj, walk)
    except UnhashableValue as refused:
        raise _explain(obj, refused.reason) from None
    except HuldraCycleError:
        raise _explain_cycle(obj) from None
    except RecursionError:
        raise _explain(obj, _TOO_DEEP) from None


def _hash_all(obj: Any, walk: _HashContext) -> _Cached:
    """Hash `obj` after the configs in it that are pending, without deep recursion."""
    stack, opened = [obj, *walk.pending], {id(obj)}
    walk.pending.clear()
    walk.waiting.clear()
    while True:
        current = stack[-1]
        cached: _Cached | None = current.__dict__.get(_CACHE)
        if cached is None or cached.owner != id(current):
            cached = _hash(current, walk)
        if cached is None:
            opened.add(id(current))
            if any(id(child) in opened for child in walk.pending):
                raise HuldraCycleError("cycle")
            stack += walk.pending
            walk.pending.clear()
            walk.waiting.clear()
            continue
        opened.discard(id(current))
        stack.pop()
        if not stack:
            return cached


def digest_of(obj: Any) -> str:
    """The 32 hexadecimal digits that name the artifact of `obj` in its namespace.

    Computed once per object: what is changed inside a list or dict field afterwards is not seen.

    Raises:
        HuldraIdentityError: a value has no stable identity, or is `huldra.MISSING`; `field_path`
            says where it stands.
        HuldraCycleError: the config contains itself.
        HuldraClassError: the class has no name that another process can import.
    """
    return _cached(obj).digest


def key_of(obj: Any) -> str:
    """`<namespace>/<digest>`: the name of the artifact of `obj` in a store."""
    return f"{_plan_of(type(obj)).namespace}/{_cached(obj).digest}"


def encoding_of(value: Any) -> bytes:
    """The bytes that stand for `value` in the hash; equal for equal values and for no others."""
    walk = _HashContext()
    while True:
        data = _encode(value, walk)
        if not walk.pending:
            return data
        for child in walk.pending:
            _cached(child)
        walk.pending.clear()
        walk.waiting.clear()


def are_same(one: Any, other: Any) -> bool:
    """Return True if two values are equal, also where `==` raises or gives no truth value (arrays).

    What neither compares nor has an encoding is the same only as itself.
    """
    if one is other:
        return True
    try:
        equal = one == other
        if isinstance(equal, bool):
            return equal
        return encoding_of(one) == encoding_of(other)
    except Exception:  # noqa: BLE001  # the value's own `__eq__` may raise anything
        pass
    try:
        return type(one) is type(other) and encoding_of(one) == encoding_of(other)
    except Exception:  # noqa: BLE001  # what has no encoding cannot be compared
        return False


# --- what stands in a config ---------------------------------------------------------------


def parts_of(value: Any) -> Iterator[tuple[str, Any]]:
    """The values directly inside a plain value, each with its step of a field path."""
    cls = type(value)
    if cls in (list, tuple):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif cls is dict:
        for key, item in value.items():
            if type(key) not in forms.SCALARS:
                yield f".keys()[{_key_text(key)}]", key
            yield f"[{_key_text(key)}]", item
    elif cls in (set, frozenset):
        yield from ((f"{{{index}}}", item) for index, item in enumerate(_in_order(value)))
    elif cls not in forms.BASIC:
        kind = forms.kind_of(value)
        if isinstance(kind, forms.RecordType):
            yield from ((f".{plan.name}", plan.read(value)) for plan in kind.fields)
        elif kind.is_nested:
            yield from parts_of(kind.reduce(value))


def _key_text(key: Any) -> str:
    return repr(key) if type(key) in forms.SCALARS else type(key).__qualname__


def _in_order(value: Any) -> list[Any]:
    try:
        return sorted(value, key=encoding_of)
    except UnhashableValue:
        return list(value)


def children_of(obj: Any) -> list[tuple[str, Any]]:
    """The configs that stand directly in the fields of `obj`, each with its field path.

    `data`, `parts[0]`, `by_name['a']`, `options.data`: also inside lists, tuples, sets, dicts
    (values and keys), plain chz objects, dataclasses, named tuples and pydantic models, and in
    fields that are not hashed. In order of declaration; a config that stands in two places is
    listed twice.
    """
    found: list[tuple[str, Any]] = []
    for plan in forms.record_of(type(obj), "huldra").fields:
        value = getattr(obj, plan.key)
        if type(value) not in forms.SCALARS:
            _collect(plan.name, value, found, 0)
    return found


def _hashed_children_of(obj: Any) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for plan in forms.record_of(type(obj), "huldra").fields:
        if plan.is_hashed:
            _collect(plan.name, getattr(obj, plan.key), found, 0)
    return found


def _collect(path: str, value: Any, found: list[tuple[str, Any]], depth: int) -> None:
    cls = type(value)
    if cls in forms.SCALARS:
        return
    if forms.is_huldra(cls):
        found.append((path, value))
        return
    if depth > MAX_DEPTH:
        raise _identity_error(path, _NESTED)
    try:
        for step, part in parts_of(value):
            if type(part) not in forms.SCALARS:
                _collect(path + step, part, found, depth + 1)
    except UnhashableValue:
        return  # has no identity, so holds no config that could be named


# --- errors --------------------------------------------------------------------------------


def _identity_error(path: str, reason: str, owner: type | None = None) -> HuldraIdentityError:
    where = f"{owner.__qualname__}.{path}" if owner is not None else path
    return HuldraIdentityError(f"{where} has no stable identity: {reason}", field_path=path)


def _explain(root: Any, reason: str) -> HuldraIdentityError:
    """Find the value that was refused, by asking for each part; only errors pay for this."""
    for path, obj in _descend(root):
        for plan in forms.record_of(type(obj), "huldra").fields:
            if not plan.is_hashed:
                continue
            found = _find_refused(plan.name, getattr(obj, plan.key))
            if found is not None:
                step, why = found
                return _identity_error(f"{path}.{step}" if path else step, why, type(root))
    return _identity_error("", reason, type(root))


def _descend(root: Any) -> Iterator[tuple[str, Any]]:
    stack, seen = [("", root)], set()
    while stack:
        path, obj = stack.pop()
        if id(obj) in seen:
            continue
        seen.add(id(obj))
        yield path, obj
        steps = _hashed_children_of(obj)
        stack += [(f"{path}.{step}" if path else step, child) for step, child in reversed(steps)]


def _find_refused(path: str, value: Any) -> tuple[str, str] | None:
    reason = _refusal(value)
    while reason is not None and reason != _NESTED:
        inner = _first_refused(value)
        if inner is None:
            break
        step, value, reason = inner
        path += step
    if reason == _NESTED:
        loop = _find_loop(value)
        return (path, _NESTED) if loop is None else (path + loop, "it contains itself")
    return None if reason is None else (path, reason)


def _first_refused(value: Any) -> tuple[str, Any, str] | None:
    """The first part of `value` that is refused, with its step and the reason."""
    try:
        for step, part in parts_of(value):
            reason = _refusal(part)
            if reason is not None:
                return step, part, reason
    except UnhashableValue:
        pass  # `value` itself is what has no identity
    return None


def _find_loop(value: Any) -> str | None:
    """The steps by which a plain value contains itself, if it does."""
    above = [("", value, parts_of(value))]
    ids, done = {id(value)}, set()
    while above:
        step, part = next(above[-1][2], ("", None))
        if part is None or type(part) in forms.SCALARS:
            if not step:
                finished = above.pop()[1]
                ids.discard(id(finished))
                done.add(id(finished))
        elif id(part) in ids:
            return "".join(name for name, _, _ in above) + step
        elif id(part) not in done and not forms.is_huldra(type(part)):
            ids.add(id(part))
            above.append((step, part, parts_of(part)))
    return None


def _refusal(value: Any) -> str | None:
    """Why `value` is refused, looking at nested configs as if they were fine."""
    walk = _HashContext()
    walk.level = _MAX_DIRECT
    try:
        _encode(value, walk)
    except UnhashableValue as refused:
        return refused.reason
    except RecursionError:
        return _TOO_DEEP
    return None


_Step = tuple[str, Any, Iterator[tuple[str, Any]]]


def _explain_cycle(root: Any) -> HuldraCycleError:
    """Find the path by which a config contains itself."""
    steps: list[_Step] = [("", root, iter(_hashed_children_of(root)))]
    done: set[int] = set()
    while steps:
        step, child = next(steps[-1][2], ("", None))
        if child is None:
            done.add(id(steps.pop()[1]))
            continue
        ids = [id(obj) for _, obj, _ in steps]
        if id(child) in ids:
            return _cycle_error(steps[ids.index(id(child)) :], step, child)
        if id(child) not in done:
            steps.append((step, child, iter(_hashed_children_of(child))))
    return HuldraCycleError(f"{type(root).__qualname__} contains itself", path=())


def _cycle_error(steps: list[Any], last: str, child: Any) -> HuldraCycleError:
    names = [namespace_of(type(steps[0][1]))]
    names += [f"{namespace_of(type(obj))} (in {step})" for step, obj, _ in steps[1:]]
    names.append(f"{namespace_of(type(child))} (in {last})")
    path = tuple(name.partition(" ")[0] for name in names)
    return HuldraCycleError(f"a config contains itself: {' -> '.join(names)}", path=path)
