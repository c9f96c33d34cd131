"""Configs written down and read back: as JSON documents, as a plain view, and as Python.

The same table of types (`kinds`) makes the hash, so everything that hashes comes back. Documents
are flat: a nested config stands once, however often it is used, and is named by its digest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast

from huldra.config import forms
from huldra.config.hashing import MAX_DEPTH, digest_of, encoding_of, key_of, parts_of
from huldra.config.import_paths import (
    ImportPathError,
    UnhashableValue,
    describe,
    find,
    import_name,
    loaded,
    public_module,
)
from huldra.errors import HuldraError, HuldraIdentityError, HuldraSerializationError

T = TypeVar("T")
# What stands for a value that is kept elsewhere, None for one that is written here.
Leaf = Callable[[Any], Mapping[str, Any] | None]

DOCUMENT_VERSION: Final = 1
MAX_PYTHON_BRACKETS: Final = 90
MAX_PYTHON_CHARACTERS: Final = 1_000_000
"""`to_python` refuses beyond these: Python's own parser stops at 200 brackets."""
MAX_PLAIN_UNHASHED: Final = 10_000
"""Items of an unhashed field's value that the plain view shows."""

_LARGEST_JSON_INT: Final = 2**63 - 1
_LOST: Final = "$lost"
_STORED: Final = "$stored"
_WRITTEN: Final = ("__huldra_written__", "__huldra_written_strictly__")  # by `strict`


# --- to JSON -------------------------------------------------------------------------------


def to_document(obj: Any, *, strict: bool = False, shared: bool = False) -> dict[str, Any]:
    """Write `obj` and all configs in it as one flat JSON document; `from_document` reads it.

    A value of an *unhashed* field that cannot be written (a callback, say) is noted as lost, and
    reading the document back is then an error that names it; with `strict` writing it is. With
    `shared` each object is written once in its life, and the parts of the document, which must not
    be changed then, are those of other documents, too: each config of a chain holds all below it.

    Raises:
        HuldraIdentityError: a value has no stable identity, or is `huldra.MISSING`.
    """
    return {
        "huldra": DOCUMENT_VERSION,
        "root": digest_of(obj),
        "objects": to_objects([obj], strict=strict, shared=shared),
    }


def to_objects(
    objs: Iterable[Any], *, strict: bool = True, shared: bool = False
) -> dict[str, dict[str, Any]]:
    """Write all these configs and those in them: digest → object of a document, each once.

    Where two configs of one digest differ in unhashed fields, the first one stands. `shared` and
    what is raised are as in `to_document`.
    """
    return dict(iter_objects(objs, strict=strict, shared=shared))


def iter_objects(
    objs: Iterable[Any], *, strict: bool = True, shared: bool = False
) -> Iterator[tuple[str, dict[str, Any]]]:
    """As `to_objects`, one after the other: each is done with before the next one is written."""
    seen: set[str] = set()
    for obj in objs:
        stack = [obj]
        while stack:
            current = stack.pop()
            digest = digest_of(current)
            if digest not in seen:
                seen.add(digest)
                write = _object_once if shared else _object_and_nested
                written, nested = write(current, strict)
                yield digest, written
                stack += reversed(nested)


def _object_once(obj: Any, strict: bool) -> tuple[dict[str, Any], list[Any]]:
    """As `_object_and_nested`, remembered in `obj` itself, as its digest is."""
    name = _WRITTEN[strict]
    owner, written = obj.__dict__.get(name, (0, None))
    if written is None or owner != id(obj):  # a copy has its original's
        written = _object_and_nested(obj, strict)
        obj.__dict__[name] = id(obj), written
    known: tuple[dict[str, Any], list[Any]] = written
    return known


def _object_and_nested(obj: Any, strict: bool) -> tuple[dict[str, Any], list[Any]]:
    sheet = _WriteContext(strict)
    return _object_entry(obj, sheet), sheet.nested


class _WriteContext:
    """What one object is written on: notes the configs in it, which get sheets of their own."""

    def __init__(self, strict: bool, leaf: Leaf | None = None) -> None:
        self.strict = strict
        self.nested: list[Any] = []
        self.leaf = leaf


def _object_entry(obj: Any, sheet: _WriteContext) -> dict[str, Any]:
    record = forms.record_of(type(obj), "huldra")
    written = {}
    for plan in record.fields:
        try:
            written[plan.name] = _json_field(plan, obj, sheet, 0)
        except UnhashableValue as refused:
            raise _refused_error(record.cls, plan, obj, refused) from None
    return {"class": record.name, "fields": written}


def _json_field(plan: forms.FieldSpec, record: Any, sheet: _WriteContext, depth: int) -> Any:
    if plan.is_hashed or sheet.strict:
        return _to_json(plan.read(record), sheet, depth)
    noted = len(sheet.nested)
    try:
        return _to_json(plan.read(record), sheet, depth)
    except UnhashableValue as refused:
        if refused.reason == forms.STILL_MISSING:
            raise
        del sheet.nested[noted:]
        return {_LOST: describe(getattr(record, plan.key))}


def _refused_error(
    cls: type, plan: forms.FieldSpec, obj: Any, refused: UnhashableValue
) -> HuldraIdentityError:
    path = plan.name + _refused_part(getattr(obj, plan.key))[0]
    return HuldraIdentityError(
        f"{cls.__qualname__}.{path} cannot be serialized: {refused.reason}", field_path=path
    )


def _refused_part(value: Any, leaf: Leaf | None = None) -> tuple[str, Any]:
    """The part of `value` that cannot be written, and the steps that lead to it."""
    path, above = "", {id(value)}
    while True:
        try:
            parts = list(parts_of(value))
        except UnhashableValue:
            return path, value
        refused = [(step, part) for step, part in parts if not _can_write(part, leaf)]
        if not refused or id(refused[0][1]) in above:
            return path, value
        step, value = refused[0]
        above.add(id(value))
        path += step


def _can_write(value: Any, leaf: Leaf | None) -> bool:
    try:
        _to_json(value, _WriteContext(strict=True, leaf=leaf), 0)
    except UnhashableValue:
        return False
    return True


def _to_json(value: Any, sheet: _WriteContext, depth: int) -> Any:
    """Write one value; configs in it are noted on the sheet."""
    cls = type(value)
    if cls in _JSON_ATOMS:
        return value
    if depth > MAX_DEPTH:
        raise UnhashableValue(f"it is nested deeper than {MAX_DEPTH} levels, or contains itself")
    if sheet.leaf is not None and (elsewhere := sheet.leaf(value)) is not None:
        return {_STORED: elsewhere}
    write = _JSON_WRITERS.get(cls)
    if write is not None:
        return write(value, sheet, depth)
    kind = forms.kind_of(value)
    if isinstance(kind, forms.ScalarType):
        return {f"${kind.tag}": _to_json(kind.reduce(value), sheet, depth + 1)}
    if kind.tag == "huldra":
        sheet.nested.append(value)
        return {"$huldra": digest_of(value)}
    written = {f.name: _json_field(f, value, sheet, depth + 1) for f in kind.fields}
    is_named = kind.tag != "pydantic" or isinstance(forms.class_form(kind.cls), str)
    name = kind.name if is_named else _to_json(kind.cls, sheet, depth + 1)
    return {f"${kind.tag}": {"class": name, "fields": written}}


def _json_int(value: int, _sheet: _WriteContext, _depth: int) -> Any:
    return value if abs(value) <= _LARGEST_JSON_INT else {"$int": hex(value)}


def _json_float(value: float, _sheet: _WriteContext, _depth: int) -> Any:
    return value if value - value == 0 else {"$float": repr(value)}


def _json_str(value: str, _sheet: _WriteContext, _depth: int) -> Any:
    if _is_unicode(value):
        return value
    # Two lone surrogates side by side would come back from JSON as one other character.
    return {"$str": value.encode("unicode_escape").decode("ascii")}


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json_list(value: Iterable[Any], sheet: _WriteContext, depth: int) -> list[Any]:
    return [_to_json(item, sheet, depth + 1) for item in value]


def _json_dict(value: dict[Any, Any], sheet: _WriteContext, depth: int) -> dict[str, Any]:
    if all(type(key) is str and key[:1] != "$" and _is_unicode(key) for key in value):
        return {key: _to_json(item, sheet, depth + 1) for key, item in value.items()}
    pairs = [
        [_to_json(key, sheet, depth + 1), _to_json(item, sheet, depth + 1)]
        for key, item in value.items()
    ]
    return {"$dict": pairs}


def _sorted(value: Iterable[Any]) -> list[Any]:
    return sorted(value, key=encoding_of)


_JSON_ATOMS = frozenset({type(None), bool})
_JSON_WRITERS: dict[type, Callable[[Any, _WriteContext, int], Any]] = {
    int: _json_int,
    float: _json_float,
    str: _json_str,
    list: _json_list,
    tuple: lambda value, sheet, depth: {"$tuple": _json_list(value, sheet, depth)},
    set: lambda value, sheet, depth: {"$set": _json_list(_sorted(value), sheet, depth)},
    frozenset: lambda v, sheet, depth: {"$frozenset": _json_list(_sorted(v), sheet, depth)},
    dict: _json_dict,
}


def value_to_json(value: Any, leaf: Leaf, probe: Leaf) -> tuple[Any, dict[str, dict[str, Any]]]:
    """Write any value, not only a config: its form, and the configs in it by their hashes.

    `leaf` is asked of each part first, and keeps elsewhere what it has an answer for. `probe`
    answers as `leaf` did and keeps nothing: it finds the part that was refused.

    Raises `HuldraSerializationError`, whose text is the steps to the part that cannot be written,
    and its type.
    """
    sheet = _WriteContext(strict=True, leaf=leaf)
    try:
        form = _to_json(value, sheet, 0)
    except UnhashableValue as refused:
        step, part = _refused_part(value, probe)
        cls = type(part)
        raise HuldraSerializationError(
            f"{step}, of type {cls.__module__}.{cls.__qualname__}, cannot be stored"
        ) from refused
    return form, to_objects(sheet.nested)


# --- from JSON -----------------------------------------------------------------------------


def value_from_json(
    written: Any,
    objects: Mapping[str, dict[str, Any]],
    leaf: Callable[[Mapping[str, Any]], Any],
) -> Any:
    """Rebuild what `value_to_json` wrote; `leaf` gives the parts that were kept elsewhere.

    Raises `HuldraSerializationError` for a class or a value that cannot be rebuilt.
    """
    memo: dict[str, Any] = {}

    def lookup(body: Any) -> Any:
        return leaf(body) if isinstance(body, Mapping) else build(body, objects, memo)

    try:
        return _from_json(written, lookup, [])
    except (ImportPathError, UnhashableValue) as error:
        raise HuldraSerializationError(f"cannot read the value back: {error}") from error


def from_document(document: Mapping[str, Any]) -> Any:
    """Rebuild the config that `to_document` wrote; unknown keys of the document are ignored.

    Raises:
        HuldraSerializationError: this is no document, or a class or a field of it is gone.
    """
    given: object = document  # callers without a type checker pass anything
    if not isinstance(given, Mapping) or not {"root", "objects"} <= given.keys():
        raise HuldraSerializationError(
            "not a config document: expected a dict with the keys 'root' and 'objects', as"
            f" to_dict() returns, found {_shape(document)}"
        )
    root, objects = document["root"], document["objects"]
    if not isinstance(root, str) or not isinstance(objects, Mapping):
        raise HuldraSerializationError(
            "not a config document: expected a string under 'root' and a dict under 'objects',"
            f" found a {type(root).__name__} and a {type(objects).__name__}"
        )
    return build(root, objects, {})


def checked_instance(cls: type[T], obj: Any) -> T:
    """`obj`, which must be of `cls`; else an error that names both classes."""
    if isinstance(obj, cls):
        return obj
    if _is_copy_of(cls, type(obj)):
        return cast(T, obj)
    raise HuldraSerializationError(
        f"the document contains a {type(obj).__module__}.{type(obj).__qualname__}, expected a"
        f" {cls.__module__}.{cls.__qualname__}; call from_dict on the class that wrote it, or on"
        " huldra.Huldra"
    )


def _is_copy_of(cls: type, found: type) -> bool:
    """Return True if `found` is a copy of `cls`: `python -m` loads its module under two names."""
    name = (public_module(cls.__module__), cls.__qualname__)
    names = [(public_module(base.__module__), base.__qualname__) for base in found.__mro__]
    return name in names


def _shape(document: object) -> str:
    if isinstance(document, Mapping):
        return f"a dict with the keys {sorted(map(str, document))}"
    return f"a {type(document).__name__}"


def build(ref: str, objects: Mapping[str, dict[str, Any]], memo: dict[str, Any]) -> Any:
    """Rebuild the object `ref` of a document; each one is made once per `memo`.

    Raises `HuldraSerializationError` as `from_document`.
    """
    stack, opened = [ref], set()
    while stack:
        current = stack[-1]
        if current in memo:
            stack.pop()
            continue
        missing: list[str] = []
        values = _read_fields(current, objects, memo, missing)
        if missing:
            opened.add(current)
            if not opened.isdisjoint(missing):
                raise HuldraSerializationError(
                    f"object {current} of the document depends on itself"
                )
            stack += missing
            continue
        memo[current] = _make_object(objects[current], values)
        stack.pop()
    return memo[ref]


def _read_fields(
    ref: str, objects: Mapping[str, dict[str, Any]], memo: dict[str, Any], missing: list[str]
) -> dict[str, Any]:
    entry = objects.get(ref)
    if not isinstance(entry, Mapping) or not isinstance(entry.get("fields"), Mapping):
        raise HuldraSerializationError(f"the document has no object {ref!r} with fields")

    def lookup(nested: Any) -> Any:
        if not isinstance(nested, str):
            raise ImportPathError("a stored file is no part of a config")
        if nested not in memo:
            missing.append(nested)
        return memo.get(nested)

    values = {}
    for name, written in entry["fields"].items():
        try:
            values[name] = _from_json(written, lookup, missing)
        except (ImportPathError, UnhashableValue) as error:
            raise _reading_error(entry, name, str(error)) from error
        except HuldraError:
            raise
        except Exception as error:
            raise _reading_error(entry, name, f"{type(error).__name__}: {error}") from error
    return values


def _reading_error(entry: Mapping[str, Any], name: str, reason: str) -> HuldraSerializationError:
    return HuldraSerializationError(f"cannot read {entry.get('class')}.{name}: {reason}")


def _make_object(entry: Mapping[str, Any], values: dict[str, Any]) -> Any:
    name = str(entry.get("class"))
    try:
        cls = find(name)
        record = forms.record_of(cls, "huldra")
    except (ImportPathError, UnhashableValue) as error:
        raise HuldraSerializationError(f"cannot rebuild a {name}: {error}") from error
    return _construct(record, values)


def _construct(record: forms.RecordType, values: dict[str, Any]) -> Any:
    known = {plan.name for plan in record.fields}
    renamed = {plan.renamed_from: plan.name for plan in record.fields if plan.renamed_from}
    values = {name if name in known else renamed.get(name, name): values[name] for name in values}
    unknown = [name for name in values if name not in known]
    lacking = [p.name for p in record.fields if p.is_required and p.name not in values]
    if unknown or lacking:
        said = [f"it has no field {name!r} any more" for name in unknown]
        said += [
            f"the document has no value for its field {name!r}, which has no default"
            for name in lacking
        ]
        raise HuldraSerializationError(
            f"{record.name} has changed since the document was written: {'; '.join(said)}"
        )
    try:
        return record.rebuild(record.cls, values)
    except Exception as error:
        raise HuldraSerializationError(
            f"{record.name} rejected the fields in the document: {type(error).__name__}: {error}"
        ) from error


def _from_json(written: Any, lookup: Callable[[str], Any], missing: list[str]) -> Any:
    if isinstance(written, list):
        return [_from_json(item, lookup, missing) for item in written]
    if not isinstance(written, dict):
        return written
    if len(written) == 1:
        (key,) = written
        if key[:1] == "$":
            return _from_form(key[1:], written[key], lookup, missing)
    return {key: _from_json(item, lookup, missing) for key, item in written.items()}


def _from_form(tag: str, body: Any, lookup: Callable[[str], Any], missing: list[str]) -> Any:
    """Read `{"$tag": body}`; an unfinished value is fine while `missing` is not empty."""
    if tag == "huldra" or f"${tag}" == _STORED:
        return lookup(body)
    if f"${tag}" == _LOST:
        raise ImportPathError(f"the value was not serialized: a {body}")
    if tag in forms.RECORD_TAGS:
        values = {k: _from_json(v, lookup, missing) for k, v in body["fields"].items()}
        form = body["class"]
        cls = (
            _from_json(form, lookup, missing) if isinstance(form, dict) else forms.find_class(form)
        )
        return None if missing else _construct(forms.record_of(cls, tag), values)
    payload = _from_json(body, lookup, missing)
    if missing:
        return None
    read = _JSON_READERS.get(tag)
    return read(payload) if read is not None else forms.rebuild_leaf(tag, payload)


_JSON_READERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda payload: int(payload, 16),
    "float": float,
    "str": lambda payload: payload.encode("ascii").decode("unicode_escape"),
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": lambda pairs: {key: value for key, value in pairs},  # noqa: C416  # pairs are lists
}


# --- the plain view ------------------------------------------------------------------------


def plain_config(obj: Any) -> dict[str, Any]:
    """The fields of `obj` as JSON for reading and filtering; lossy, and never an error.

    A nested config is `{"$ref": "<namespace>/<hash>"}`, a path or a date its text, a tuple or a
    set a list, a dataclass a dict; what cannot be written is its description, and so is a value of
    an unhashed field that is long: no filter needs it, and the document has it already.
    """
    record = forms.record_of(type(obj), "huldra")
    return {plan.name: _plain_field(plan, obj) for plan in record.fields}


def _plain_field(plan: forms.FieldSpec, obj: Any) -> Any:
    value = plan.read(obj)
    if not plan.is_hashed and _is_longer(value, MAX_PLAIN_UNHASHED):
        return f"<{describe(value)} of more than {MAX_PLAIN_UNHASHED} items>"
    return _plain(value, 0)


def _is_longer(value: Any, limit: int) -> bool:
    """Return True if containers, text and bytes in `value` hold more than `limit` items in all."""
    waiting = [value]
    while waiting and limit >= 0:
        current = waiting.pop()
        if isinstance(current, str | bytes | bytearray | list | tuple | set | frozenset | dict):
            limit -= len(current)
            if limit >= 0 and not isinstance(current, str | bytes | bytearray):
                waiting += [*current, *current.values()] if isinstance(current, dict) else current
    return limit < 0


def _plain(value: Any, depth: int) -> Any:
    cls = type(value)
    if cls in _JSON_ATOMS:
        return value
    if depth > MAX_DEPTH:
        return "…"
    if cls in forms.BASIC:
        return _plain_basic(value, depth)
    try:
        kind = forms.kind_of(value)
        if isinstance(kind, forms.ScalarType):
            return _plain(kind.plain(value), depth + 1)
        if kind.tag == "huldra":
            return {"$ref": key_of(value)}
        return {plan.name: _plain(plan.read(value), depth + 1) for plan in kind.fields}
    except (UnhashableValue, HuldraError):
        return f"<{describe(value)}>"


def _plain_basic(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value if _is_unicode(value) else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_JSON_INT else hex(value)
    if isinstance(value, float):
        return value if value - value == 0 else repr(value)
    if isinstance(value, dict):
        return {_plain_key(key): _plain(item, depth + 1) for key, item in value.items()}
    items = _in_plain_order(value) if isinstance(value, set | frozenset) else value
    return [_plain(item, depth + 1) for item in items]


def _in_plain_order(value: Any) -> list[Any]:
    try:
        return _sorted(value)
    except (UnhashableValue, HuldraError):
        return list(value)


def _plain_key(key: Any) -> str:
    plain = _plain(key, 0)
    return plain if isinstance(plain, str) else str(plain)


# --- to Python -----------------------------------------------------------------------------


def to_python(obj: Any, *, max_characters: int = MAX_PYTHON_CHARACTERS) -> str:
    """Write `obj` as a Python expression: `TrainModel(lr=0.0003, steps=5000)`.

    `eval(to_python(obj), python_namespace(obj))` equals `obj`. Classes of configs stand by their
    bare names; of two with one name the second is written with its module.

    Raises:
        HuldraSerializationError: nested deeper than `MAX_PYTHON_BRACKETS`, or longer than
            `max_characters` (nested configs are written out, not shared), or a field that is not
            hashed has a value that cannot be written.
        HuldraIdentityError: a value has no stable identity.
    """
    return _Source(obj, max_characters).text


def python_namespace(obj: Any) -> dict[str, object]:
    """The names that the expression `to_python(obj)` uses, with what they stand for."""
    return _Source(obj).names


class _Source:
    """One expression in the making, and the names that it uses."""

    def __init__(self, obj: Any, max_characters: int = MAX_PYTHON_CHARACTERS) -> None:
        self.names: dict[str, object] = {}
        self._room = self._max_characters = max_characters
        self._depth = 0
        self._root = type(obj)
        try:
            self.text = self._render(obj)
        except UnhashableValue as refused:
            raise self._error_of(obj, refused) from None

    def _error_of(self, obj: Any, refused: UnhashableValue) -> HuldraError:
        try:
            digest_of(obj)
        except HuldraError as error:
            return error
        return HuldraSerializationError(
            f"{self._root.__qualname__} cannot be written as Python because of an unhashed field:"
            f" {refused.reason}"
        )

    def _render(self, value: Any) -> str:
        self._depth += 1
        if self._depth > MAX_PYTHON_BRACKETS:
            raise HuldraSerializationError(
                f"{self._root.__qualname__} is nested deeper than {MAX_PYTHON_BRACKETS} brackets,"
                " more than Python can parse: use to_dict() instead"
            )
        writer = _PYTHON_WRITERS.get(type(value))
        text = self._other(value) if writer is None else writer(value, self._render)
        self._depth -= 1
        self._room -= len(text) if writer is None or type(value) in forms.SCALARS else 0
        if self._room < 0:
            raise HuldraSerializationError(
                f"{self._root.__qualname__} is longer than {self._max_characters} characters of "
                "Python: use to_dict() instead"
            )
        return text

    def _other(self, value: Any) -> str:
        kind = forms.kind_of(value)
        if isinstance(kind, forms.ScalarType):
            if kind.tag == "type":
                return self._class(value)
            if kind.tag == "function":
                return self._refer(kind.reduce(value))
            return kind.source(value, self._render)
        cls = self._refer(kind.name) if kind.tag != "pydantic" else self._class(kind.cls)
        fields = {plan.name: plan.read(value) for plan in kind.fields}
        if not (kind.is_transparent or _is_rebuilt_by_constructor(kind, fields, value)):
            rebuild = self._refer(import_name(forms.rebuild_record))
            return f"{rebuild}({cls}, {self._render(fields)})"
        return f"{cls}({', '.join(f'{k}={self._render(v)}' for k, v in fields.items())})"

    def _class(self, cls: Any) -> str:
        """A Python name for a class; `Box[Inner]` for a generic model."""
        form = forms.class_form(cls)
        if isinstance(form, str):
            name, bracket, arguments = form.partition("[")
            return f"{self._refer(name)}{bracket}{arguments}"
        origin, arguments_of_it = form
        return f"{self._render(origin)}[{', '.join(map(self._render, arguments_of_it))}]"

    def _refer(self, name: str) -> str:
        """A Python name for `module:qualname`, bound in the namespace."""
        module, _, qualname = name.partition(":")
        head, _, rest = qualname.partition(".")
        if module == "builtins":
            return qualname
        if module.partition(".")[0] in _BY_MODULE:
            top = module.partition(".")[0]
            find(name)
            self.names[top] = sys.modules[top]
            return f"{module}.{qualname}"
        target = getattr(loaded(module), head, None)
        if target is None:
            target = find(f"{module}:{head}")
        taken = self.names.get(head, target) is not target or head in _BY_MODULE
        if taken or head in _RESERVED:
            head = f"{module.replace('.', '_')}_{head}"
        self.names[head] = target
        return f"{head}.{rest}" if rest else head


def _is_rebuilt_by_constructor(kind: forms.RecordType, fields: dict[str, Any], value: Any) -> bool:
    try:
        return encoding_of(kind.cls(**fields)) == encoding_of(value)
    except Exception:  # noqa: BLE001  # the user's constructor may raise anything: then it is no
        return False


# These stand in Python with their modules: `pathlib.Path`, `numpy.dtype`.
_BY_MODULE = sys.stdlib_module_names | {"numpy"}
_RESERVED = frozenset({"float", "int", "set", "frozenset", "complex", "bytearray", "range", "list"})
_RESERVED |= {"dict", "tuple", "str", "bool", "bytes"}


def _python_float(value: float, _render: forms.Render) -> str:
    return repr(value) if value - value == 0 else f"float({repr(value)!r})"


def _python_int(value: int, _render: forms.Render) -> str:
    return repr(value) if abs(value) <= _LARGEST_JSON_INT else hex(value)


def _python_items(value: Iterable[Any], render: forms.Render) -> str:
    return ", ".join(map(render, value))


def _python_tuple(value: tuple[Any, ...], render: forms.Render) -> str:
    return f"({_python_items(value, render)}{',' if len(value) == 1 else ''})"


def _python_set(value: set[Any], render: forms.Render) -> str:
    return f"{{{_python_items(_sorted(value), render)}}}" if value else "set()"


def _python_frozenset(value: frozenset[Any], render: forms.Render) -> str:
    return f"frozenset([{_python_items(_sorted(value), render)}])" if value else "frozenset()"


def _python_dict(value: dict[Any, Any], render: forms.Render) -> str:
    return f"{{{', '.join(f'{render(k)}: {render(v)}' for k, v in value.items())}}}"


def _python_repr(value: Any, _render: forms.Render) -> str:
    return repr(value)


_PYTHON_WRITERS: dict[type, Callable[[Any, forms.Render], str]] = {
    type(None): _python_repr,
    bool: _python_repr,
    int: _python_int,
    float: _python_float,
    str: _python_repr,
    bytes: _python_repr,
    list: lambda value, render: f"[{_python_items(value, render)}]",
    tuple: _python_tuple,
    set: _python_set,
    frozenset: _python_frozenset,
    dict: _python_dict,
}


# --- the public face -----------------------------------------------------------------------


class HuldraSerializer:
    """Configs to dicts, to Python and to hashes; the methods of a config do the same."""

    @staticmethod
    def to_dict(obj: Any) -> dict[str, Any]:
        """A JSON-ready document that `from_dict` rebuilds an equal config from."""
        return to_document(obj, strict=True)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Any:
        """The config that `to_dict` wrote; raises `HuldraSerializationError` if it cannot be."""
        return from_document(data)

    @staticmethod
    def to_python(obj: Any) -> str:
        """A Python expression that evaluates to an equal config."""
        digest_of(obj)  # refuses what is no config, saying what is taken
        return to_python(obj)

    @staticmethod
    def compute_hash(obj: Any) -> str:
        """The 32 hexadecimal digits that name the artifact's directory."""
        return digest_of(obj)
