"""The table of types: how each type is taken apart, put together again and written as Python.

None, bool, int, float, str, list, tuple, set, frozenset and dict are basic: the renderers know
them. A `ScalarType` is a value of another type that reduces to a payload of basic values (or of
values that reduce in their turn). A `RecordType` is an object with named fields. The hash, the JSON
form and the Python form are all made from these two, so that what hashes also comes back.
"""

from __future__ import annotations

import array
import binascii
import collections
import dataclasses
import enum
import functools
import inspect
import io
import operator
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chz.data_model import init_property

from huldra.config import coercion, fields, identities
from huldra.config.import_paths import (
    ImportPathError,
    UnhashableValue,
    describe,
    find,
    import_name,
    public_module,
)

Render = Callable[[Any], str]


class ScalarType(typing.NamedTuple):
    """How values of one type are written: `tag` names it in the hash and, as `$tag`, in JSON.

    `reduce` gives the payload and `rebuild` takes it back; `source` writes Python, given how to
    write a part; `plain` is one JSON value for reading. `is_nested` says that the payload may
    hold configs. `identify` gives the payload for the hash, where that is not `reduce`'s: of names
    of classes, which may have declared another.
    """

    tag: str
    reduce: Callable[[Any], Any]
    rebuild: Callable[[Any], Any]
    source: Callable[[Any, Render], str]
    plain: Callable[[Any], Any] = str
    is_nested: bool = False
    identify: Callable[[Any], Any] | None = None


class FieldSpec(typing.NamedTuple):
    """A field of a record: `key` is the attribute with the value that rebuilds the object.

    `is_hashed` is False for what takes no part in the hash; `absent` holds the value at which it
    takes none either; `normalise` is None where the declared type changes nothing. `renamed_from`
    is its name in the hash, where that is not its own.
    """

    name: str
    key: str
    is_hashed: bool = True
    is_required: bool = True
    normalise: coercion.Normalise | None = None
    absent: tuple[Any, ...] = ()
    renamed_from: str | None = None

    @property
    def hashed_name(self) -> str:
        """The field's name in the hash."""
        return self.renamed_from or self.name

    def read(self, record: object) -> Any:
        """The field's value in `record`, normalised to the declared type."""
        value = getattr(record, self.key)
        return value if self.normalise is None else self.normalise(value)


class RecordType(typing.NamedTuple):
    """How objects of class `cls` are written: by the fields' names, in order of declaration.

    `is_transparent` says that the constructor, given the fields, gives an equal object.
    """

    tag: str
    cls: type
    name: str
    fields: tuple[FieldSpec, ...]
    rebuild: Callable[[type, dict[str, Any]], Any]
    is_transparent: bool = True


Kind = ScalarType | RecordType

STILL_MISSING = "it is still huldra.MISSING: set the field first"

BASIC: frozenset[type] = frozenset(
    {type(None), bool, int, float, str, list, tuple, set, frozenset, dict}
)
SCALARS: frozenset[type] = frozenset({type(None), bool, int, float, str, bytes})

_KINDS: dict[type, Kind] = {}


def is_huldra(cls: type) -> bool:
    """Return True if `cls` is a class whose objects are artifacts."""
    return getattr(cls, "__huldra_class__", False) is True


def kind_of(value: object) -> Kind:
    """The kind of `value`, which is not basic; raises `UnhashableValue` when it has none."""
    cls = type(value)
    kind = _KINDS.get(cls)
    if kind is None:
        kind = _KINDS[cls] = _make_kind(cls, value)
    return kind


def _make_kind(cls: type, value: object) -> Kind:
    kind = _plain_kind(cls, value)
    if not isinstance(kind, RecordType) or not _changes_parts(cls, kind):
        return kind
    renamed, absent = identities.renamed_parts(cls), identities.absent_parts(cls)
    _refuse_unknown_parts({*renamed, *absent}, {spec.name for spec in kind.fields}, cls)
    changed = tuple(
        spec._replace(
            renamed_from=renamed.get(spec.name, spec.renamed_from),
            absent=(absent[spec.name],) if spec.name in absent else spec.absent,
        )
        for spec in kind.fields
    )
    _refuse_shared_names(changed, cls)
    return kind._replace(fields=changed)


def _changes_parts(cls: type, record: RecordType) -> bool:
    is_declared = identities.renamed_parts(cls) or identities.absent_parts(cls)
    return bool(is_declared) or any(spec.renamed_from for spec in record.fields)


def _refuse_unknown_parts(named: set[str], known: set[str], cls: type) -> None:
    if unknown := sorted(named - known):
        raise UnhashableValue(
            f"@huldra.identity of {identities.full_name(cls)} names {unknown[0]!r}, which it has"
            f" not; it has {', '.join(sorted(known))}"
        )


def _refuse_shared_names(specs: tuple[FieldSpec, ...], cls: type) -> None:
    taken: dict[str, str] = {}
    for spec in specs:
        other = taken.setdefault(spec.hashed_name, spec.name)
        if other != spec.name:
            raise UnhashableValue(
                f"{identities.full_name(cls)}: the fields {other!r} and {spec.name!r} would both be"
                f" {spec.hashed_name!r} in the hash: remove renamed_from from one of them"
            )


def _plain_kind(cls: type, value: object) -> Kind:
    if isinstance(value, fields.MissingType):
        raise UnhashableValue(STILL_MISSING)
    if issubclass(cls, enum.Enum):  # first: a member may be a dataclass, too
        return _enum_leaf(cls)
    if hasattr(cls, "__chz_fields__") or dataclasses.is_dataclass(cls):
        _refuse_container(cls)
        return _chz_record(cls) if hasattr(cls, "__chz_fields__") else _dataclass_record(cls)
    if issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple):
        return _namedtuple_record(cls)
    found = _standard_leaf(cls) or _pydantic_record(cls) or _pydantic_leaf(cls) or _numpy_leaf(cls)
    if found is None:
        raise UnhashableValue(_why_refused(value))
    return found


_CONTAINERS: frozenset[type] = frozenset(
    {collections.UserDict, collections.UserList, collections.UserString}
    | {collections.deque, array.array}
)
_PATH = ("PurePath", "pathlib")  # by its names: no process pays for paths that has none
_IS_MADE_IN_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE: also set for some classes written in C


def container_base(cls: type) -> type | None:
    """The base that makes objects of `cls` hold something beside their fields; None without one.

    `dict`, `list`, `str`, `tuple` and their like, and what the standard library builds upon them.
    """
    for base in cls.__mro__:
        if base in (object, BaseException) or issubclass(base, BaseException):
            continue  # an exception's arguments are those of its constructor
        is_held = base in _CONTAINERS or (base.__name__, base.__module__.partition(".")[0]) == _PATH
        if is_held or not base.__flags__ & _IS_MADE_IN_PYTHON:
            return base
    return None


def _refuse_container(cls: type) -> None:
    base = container_base(cls)
    if base is not None:
        raise UnhashableValue(
            f"{cls.__module__}.{cls.__qualname__} has fields and is also a {base.__qualname__}:"
            " its items, beside its fields, have no identity; put them into a field"
        )


def _why_refused(value: object) -> str:
    said = f"a {describe(value)} has no stable identity"
    if isinstance(value, types.MethodType):
        return f"{said}: a bound method carries its object; use a function of a module"
    if isinstance(value, io.IOBase):
        return f"{said}: give the path instead of the open file"
    if isinstance(value, types.GeneratorType | types.CoroutineType | Iterator):
        return f"{said}: give a list instead of an iterator"
    for base in (str, int, float, bytes, list, tuple, dict, set, frozenset):
        if isinstance(value, base):
            return f"{said}: give a plain {base.__name__} instead of a subclass of it"
    if "datetime" in (base.__name__ for base in type(value).__mro__):
        return f"{said}: give a plain datetime.datetime"
    return f"{said}: use a dataclass, a chz class or a pydantic model, or field(hashed=False)"


# --- records -------------------------------------------------------------------------------


def _chz_record(cls: type) -> RecordType:
    variables = coercion.type_variables(cls)
    plans = []
    for spec in cls.__chz_fields__.values():  # type: ignore[attr-defined]  # known to be a chz class
        annotation = spec._raw_type if _is_unset(spec._raw_x_type) else spec._raw_x_type
        plans.append(
            FieldSpec(
                name=spec.logical_name,
                key=spec.x_name,
                is_hashed=fields.is_hashed(spec),
                is_required=_is_unset(spec._default) and _is_unset(spec._default_factory),
                normalise=coercion.normaliser(annotation, spec._user_module, variables),
                absent=fields.absent_value(spec),
                renamed_from=fields.renamed_from(spec),
            )
        )
    huldra = is_huldra(cls)
    if not huldra:
        _refuse_hidden_fields(cls, (property, init_property, functools.cached_property))
    name = f"{public_module(cls.__module__)}:{cls.__qualname__}" if huldra else import_name(cls)
    return RecordType("huldra" if huldra else "chz", cls, name, tuple(plans), _call)


def _refuse_hidden_fields(cls: type, shows: tuple[type, ...]) -> None:
    """Refuse a class in which something hides a field: what reads the field is one of `shows`."""
    names: Any = getattr(cls, "__chz_fields__", None) or cls._fields  # type: ignore[attr-defined]  # a named tuple
    for name in names:
        if not isinstance(inspect.getattr_static(cls, name, None), shows):
            owner = next((base for base in cls.__mro__ if name in vars(base)), cls)
            raise UnhashableValue(
                f"{owner.__qualname__}.{name} hides the field {name!r} of {cls.__qualname__}: "
                "rename one of them"
            )


def _is_unset(value: object) -> bool:
    return isinstance(value, fields.UNSET_TYPE)


def _call(cls: type, values: dict[str, Any]) -> Any:
    return cls(**values)


def _owner_module(cls: type, name: str) -> str:
    """The module of the class that declares the field `name`: its annotation is read there."""
    for klass in cls.__mro__:
        if name in klass.__dict__.get("__annotations__", {}):
            return klass.__module__
    return cls.__module__


def _dataclass_record(cls: type) -> RecordType:
    variables = coercion.type_variables(cls)
    specs = dataclasses.fields(cls)
    plans = tuple(
        FieldSpec(
            name=spec.name,
            key=spec.name,
            is_hashed=spec.compare,
            is_required=spec.default is spec.default_factory is dataclasses.MISSING,
            normalise=coercion.normaliser(spec.type, _owner_module(cls, spec.name), variables),
        )
        for spec in specs
        # What the class makes itself and does not compare is a cache.
        if spec.init or spec.compare
    )
    transparent = all(spec.init for spec in specs) and not hasattr(cls, "__post_init__")
    return RecordType("dataclass", cls, import_name(cls), plans, _fill_dataclass, transparent)


def _fill_dataclass(cls: type, values: dict[str, Any]) -> Any:
    # The constructor runs for what it sets up beside the fields; the fields are then exactly those
    # that were written, whatever `__post_init__` makes of them.
    specs = cls.__dataclass_fields__  # type: ignore[attr-defined]  # known to be a dataclass
    kinds = {name: spec._field_type for name, spec in specs.items()}
    if any(kind.name == "_FIELD_INITVAR" for kind in kinds.values()):
        made: Any = object.__new__(cls)
    else:
        made = cls(**{name: value for name, value in values.items() if specs[name].init})
    for name, value in values.items():
        if getattr(made, name, values) is not value:
            object.__setattr__(made, name, value)
    return made


def _namedtuple_record(cls: type) -> RecordType:
    _refuse_hidden_fields(cls, (_FIELD_OF_NAMEDTUPLE,))
    variables = coercion.type_variables(cls)
    plans = tuple(
        FieldSpec(
            name=name,
            key=name,
            is_required=name not in getattr(cls, "_field_defaults", {}),
            normalise=coercion.normaliser(
                _annotation(cls, name), _owner_module(cls, name), variables
            ),
        )
        for name in cls._fields  # type: ignore[attr-defined]  # known to be a named tuple
    )
    return RecordType("namedtuple", cls, import_name(cls), plans, _call)


class _Example(typing.NamedTuple):
    x: int


_FIELD_OF_NAMEDTUPLE = type(inspect.getattr_static(_Example, "x"))


def _annotation(cls: type, name: str) -> Any:
    for klass in cls.__mro__:
        annotations = klass.__dict__.get("__annotations__", {})
        if name in annotations:
            return annotations[name]
    return Any


# Arguments of generic models that stand in the name, as pydantic has it: `Box[int]`.
_NAMED_ARGUMENTS: Mapping[str, type] = {cls.__name__: cls for cls in (bool, int, float, str, bytes)}


def class_form(cls: Any, name_of: Callable[[Any], str] = import_name) -> str | list[Any]:
    """The name of a class, or of a generic model with its arguments the model and these.

    `Box[Inner]` of pydantic is a class of its own that no module need have. Its name does not say
    of which module `Inner` is, and is spelled by pydantic's version.
    """
    generic: Any = vars(cls).get("__pydantic_generic_metadata__") if isinstance(cls, type) else {}
    origin = generic and generic["origin"]
    if not origin:
        return name_of(cls)
    arguments = generic["args"]
    if all(argument in _NAMED_ARGUMENTS.values() for argument in arguments):
        return f"{name_of(origin)}[{', '.join(a.__name__ for a in arguments)}]"
    return [origin, list(arguments)]


def _hashed_form(cls: Any) -> str | list[Any]:
    """As `class_form`, with the names that the hash has."""
    return class_form(cls, _hashed_name)


def _hashed_name(cls: Any) -> str:
    return identities.hashed_name(cls) if isinstance(cls, type) else import_name(cls)


def hashed_record_name(record: RecordType) -> str:
    """The name of a plain record's class in the hash."""
    form = _hashed_form(record.cls)
    return form if isinstance(form, str) else identities.hashed_name(form[0])


def find_class(form: str | list[Any]) -> Any:
    """The class that `class_form` names; raises `ImportPathError` for what is none any more."""
    if isinstance(form, list):
        return _rebuild_alias(form)
    name, bracket, arguments = str(form).partition("[")
    found = find(name if bracket else form)
    if not bracket:
        return found
    try:
        named = [_NAMED_ARGUMENTS[argument] for argument in arguments[:-1].split(", ")]
        return found[tuple(named)]
    except (KeyError, TypeError) as error:
        raise ImportPathError(f"{form} is no generic model any more: {error}") from error


_EXTRA = "__pydantic_extra__"


def _pydantic_record(cls: type) -> RecordType | None:
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not issubclass(cls, pydantic.BaseModel):
        return None
    plans = [
        FieldSpec(
            name=name,
            key=name,
            is_required=spec.is_required(),
            normalise=coercion.normaliser(spec.annotation, _owner_module(cls, name)),
        )
        for name, spec in cls.model_fields.items()  # type: ignore[attr-defined]  # a pydantic model
    ]
    if cls.model_config.get("extra") == "allow":  # type: ignore[attr-defined]  # a pydantic model
        plans.append(FieldSpec(name=_EXTRA, key=_EXTRA, is_required=False))
    form = class_form(cls)
    name = form if isinstance(form, str) else import_name(form[0])
    return RecordType("pydantic", cls, name, tuple(plans), _fill_pydantic, is_transparent=False)


def _fill_pydantic(cls: type, values: dict[str, Any]) -> Any:
    # Not validated again: a validator may change what it already accepted.
    extra = values.get(_EXTRA) or {}
    own = {name: value for name, value in values.items() if name != _EXTRA}
    made = cls.model_construct(**own, **extra)  # type: ignore[attr-defined]  # a pydantic model
    for name, value in own.items():  # by name, also where the field has an alias
        made.__dict__[name] = value
    return made


def rebuild_record(cls: type, values: dict[str, Any]) -> Any:
    """Make an object of `cls` with exactly these fields; what `to_python` calls by name."""
    rebuild = {"dataclass": _fill_dataclass, "pydantic": _fill_pydantic}
    return rebuild["dataclass" if dataclasses.is_dataclass(cls) else "pydantic"](cls, values)


def default_of(cls: Any, name: str, missing: Any) -> Any:
    """The default of a field of a chz class or a dataclass; `missing` where there is no value."""
    if spec := getattr(cls, "__chz_fields__", {}).get(name):
        return missing if _is_unset(spec._default) else spec._default
    if dataclasses.is_dataclass(cls):
        found = next((f.default for f in dataclasses.fields(cls) if f.name == name), missing)
        return missing if found is dataclasses.MISSING else found
    return getattr(cls, "_field_defaults", {}).get(name, missing)


RECORD_TAGS = frozenset({"chz", "dataclass", "namedtuple", "pydantic"})


def record_of(cls: Any, tag: str) -> RecordType:
    """The kind of class `cls`, written with `tag`; raise `ImportPathError` if it is another."""
    if not isinstance(cls, type):
        raise ImportPathError(f"{cls!r} is not a {tag} class any more")
    try:
        kind = _KINDS.get(cls) or _make_kind(cls, None)
    except UnhashableValue as error:
        raise ImportPathError(f"{cls!r} is not a {tag} class any more") from error
    if not isinstance(kind, RecordType) or kind.tag != tag:
        raise ImportPathError(f"{cls!r} is not a {tag} class any more")
    _KINDS[cls] = kind
    return kind


# --- leaves --------------------------------------------------------------------------------


def _enum_leaf(cls: type[enum.Enum]) -> ScalarType:
    name, hashed_name = import_name(cls), identities.hashed_name(cls)
    is_flag = issubclass(cls, enum.Flag)
    renamed = identities.renamed_parts(cls)
    _refuse_unknown_parts(set(renamed), set(cls.__members__), cls)
    if why := identities.why_members_refused(cls, renamed):  # inherited: no decorator saw it
        raise UnhashableValue(why)

    def reduce(member: enum.Enum) -> list[Any]:
        # The names of flag combinations differ between versions of Python, their bits do not.
        return [name, member.value if is_flag else member.name]

    def identify(member: enum.Enum) -> list[Any]:
        part = member.value if is_flag else renamed.get(member.name, member.name)
        return [hashed_name, part]

    def source(member: enum.Enum, render: Render) -> str:
        if is_flag:
            return f"{render(cls)}({member.value})"
        return (
            f"{render(cls)}[{member.name!r}]"
            if not member.name.isidentifier()
            else (f"{render(cls)}.{member.name}")
        )

    return ScalarType("enum", reduce, _rebuild_enum, source, plain=_plain_enum, identify=identify)


def _plain_enum(member: enum.Enum) -> str:
    name: str | None = member.name  # a flag without a name has None here
    return str(member.value) if name is None else name


def _rebuild_enum(payload: list[Any]) -> Any:
    cls = find(payload[0])
    if not isinstance(cls, type) or not issubclass(cls, enum.Enum):
        raise ImportPathError(f"{payload[0]} is not an enum")
    now = {old: new for new, old in identities.renamed_parts(cls).items()}
    try:
        if issubclass(cls, enum.Flag):
            return cls(payload[1])
        return cls[payload[1] if payload[1] in cls.__members__ else now[payload[1]]]
    except (KeyError, ValueError, TypeError) as error:
        raise ImportPathError(f"{payload[0]} has no member {payload[1]!r} any more") from error


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _decimal_text(value: Any) -> str:
    # str() of a Decimal depends on the thread's context.
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits))
    if isinstance(exponent, str):
        special = {"F": "Infinity", "n": f"NaN{text}", "N": f"sNaN{text}"}[exponent]
        return f"{'-' * sign}{special}"
    return f"{'-' * sign}{text}E{exponent:+d}"


def _make(name: str) -> Callable[[Any], Any]:
    """A constructor that is imported when it is needed."""
    return lambda payload: find(name)(payload)  # noqa: PLW0108  # not before it is needed


def _make_of(name: str) -> Callable[[Any], Any]:
    return lambda payload: find(name)(*payload)


def _zone_payload(zone: Any) -> Any:
    if zone is None:
        return None
    cls = type(zone)
    if (cls.__module__, cls.__qualname__) == ("datetime", "timezone"):
        offset, *name = zone.__getinitargs__()
        return ["offset", [offset.days, offset.seconds, offset.microseconds], *name]
    if cls.__qualname__ == "ZoneInfo" and cls.__module__.split(".")[0] == "zoneinfo" and zone.key:
        return ["zone", zone.key]
    if cls.__qualname__ == "TzInfo" and cls.__module__.partition(".")[0] == "pydantic_core":
        # The zone of a time that pydantic read; it gives the offset without a time, too.
        offset = zone.utcoffset(None)
        return ["offset", [offset.days, offset.seconds, offset.microseconds]]
    raise UnhashableValue(
        f"the time zone {describe(zone)} has no stable identity: use datetime.timezone or a "
        "zoneinfo.ZoneInfo with a key"
    )


def _rebuild_zone(payload: Any) -> Any:
    if payload is None:
        return None
    if payload[0] == "zone":
        try:
            return find("zoneinfo:ZoneInfo")(payload[1])
        except Exception as error:
            raise ImportPathError(
                f"time zone {payload[1]!r} is not known on this machine"
            ) from error
    offset = find("datetime:timedelta")(*payload[1])
    return find("datetime:timezone")(offset, *payload[2:])


def _zone_source(zone: Any, render: Render) -> str:
    if zone is None:
        return "None"
    payload = _zone_payload(zone)
    if payload[0] == "zone":
        return f"{render(type(zone))}({payload[1]!r})"
    timezone = render(find("datetime:timezone"))
    if payload[1:] == [[0, 0, 0]]:
        return f"{timezone}.utc"
    offset = f"{render(find('datetime:timedelta'))}({', '.join(map(str, payload[1]))})"
    return f"{timezone}({', '.join([offset, *map(repr, payload[2:])])})"


def _clock_payload(value: Any) -> list[Any]:
    text = value.replace(tzinfo=None, fold=0).isoformat()
    return [text, value.fold, _zone_payload(value.tzinfo)]


def _rebuild_clock(name: str) -> Callable[[Any], Any]:
    def rebuild(payload: list[Any]) -> Any:
        text, fold, zone = payload
        return find(name).fromisoformat(text).replace(fold=fold, tzinfo=_rebuild_zone(zone))

    return rebuild


def _clock_source(value: Any, render: Render) -> str:
    naive = value.replace(tzinfo=None, fold=0)
    parts = repr(naive).partition("(")[2].removesuffix(")")
    if value.tzinfo is not None:
        parts += f", tzinfo={_zone_source(value.tzinfo, render)}"
    if value.fold:
        parts += ", fold=1"
    return f"{render(type(value))}({parts})"


def _from_text(value: Any, render: Render) -> str:
    return f"{render(type(value))}({str(value)!r})"


def _from_payload(reduce: Callable[[Any], list[Any]]) -> Callable[[Any, Render], str]:
    return lambda value, render: f"{render(type(value))}({', '.join(map(render, reduce(value)))})"


def _path_leaf(tag: str, name: str) -> ScalarType:
    return ScalarType(
        tag,
        lambda value: value.as_posix(),
        _make(name),
        lambda value, render: f"{render(find(name))}({value.as_posix()!r})",
        plain=str,
    )


def _simple_leaf(
    tag: str, name: str, reduce: Callable[[Any], list[Any]], plain: Callable[[Any], Any] = str
) -> ScalarType:
    return ScalarType(tag, reduce, _make_of(name), _from_payload(reduce), plain)


def _callable_name(value: Any) -> str:
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType):
        raise UnhashableValue(_why_refused(value) + "; it is bound to an object")
    return _ufunc_name(value) if type(value).__name__ == "ufunc" else import_name(value)


def _ufunc_name(value: Any) -> str:
    name = str(value.__name__)
    # Older versions of numpy give a ufunc no module.
    for module in ("numpy", "scipy.special"):
        if getattr(sys.modules.get(module), name, None) is value:
            return f"{module}:{name}"
    return import_name(value)


def _alias_payload(value: Any) -> list[Any]:
    return [typing.get_origin(value), list(typing.get_args(value))]


def _rebuild_alias(payload: list[Any]) -> Any:
    origin, arguments = payload
    if not _is_of_typing(origin):
        raise ImportPathError(f"{describe(origin)} takes no types: not a generic alias")
    return origin[tuple(arguments)] if len(arguments) != 1 else origin[arguments[0]]


def _typing_alias_payload(value: Any) -> list[Any]:
    if typing.get_origin(value) is typing.Union:
        return _union_payload(value)
    return _alias_payload(value)


def _union_payload(value: Any) -> list[Any]:
    return ["|", frozenset(typing.get_args(value))]


def _is_of_typing(value: Any) -> bool:
    """Return True if `value` is a class, or one of `typing`'s that is none (`Any`, `Literal`)."""
    return isinstance(value, type) or type(value).__module__ == "typing"


def _type_name(value: Any) -> str:
    form = class_form(value)
    return form if isinstance(form, str) else str(value.__qualname__)


def _find_type(name: str | list[Any]) -> Any:
    found = find_class(name)
    if not _is_of_typing(found):
        raise ImportPathError(f"{name} is not a class, but a {describe(found)}")
    return found


def _find_function(name: str) -> Any:
    found = find(name)
    if isinstance(found, type) or _standard_leaf(type(found)) is not _FUNCTION_LEAF:
        raise ImportPathError(f"{name} is not a function, but a {describe(found)}")
    return found


def _rebuild_any_alias(payload: list[Any]) -> Any:
    if payload[0] == "|":
        return functools.reduce(operator.or_, payload[1])
    return _rebuild_alias(payload)


def _alias_source(value: Any, render: Render) -> str:
    arguments = ", ".join(map(render, typing.get_args(value)))
    origin = typing.get_origin(value)
    if origin is typing.Union or isinstance(value, types.UnionType):
        return f"{render(typing.Union)}[{arguments}]"
    return f"{render(origin)}[{arguments or '()'}]"


def _special_name(value: Any) -> str:
    name = getattr(value, "_name", None)
    if isinstance(name, str) and getattr(typing, name, None) is value:
        return f"typing:{name}"
    raise UnhashableValue(_why_refused(value))


def _partial_payload(value: Any) -> list[Any]:
    return [value.func, list(value.args), dict(value.keywords)]


def _rebuild_partial(payload: list[Any]) -> Any:
    function, arguments, keywords = payload
    return functools.partial(function, *arguments, **keywords)


def _partial_source(value: Any, render: Render) -> str:
    parts = [render(value.func), *map(render, value.args)]
    parts += [f"**{render(dict(value.keywords))}"] if value.keywords else []
    return f"{render(functools.partial)}({', '.join(parts)})"


def _wrapped(tag: str, name: str) -> ScalarType:
    """A container that is written as the dict or list it was made from."""
    basic: Callable[[Any], Any] = dict if name != "collections:OrderedDict" else _pairs
    return ScalarType(
        tag,
        basic,
        _make(name),
        lambda value, render: f"{render(type(value))}({render(basic(value))})",
        plain=dict,
        is_nested=True,
    )


def _pairs(value: Mapping[Any, Any]) -> list[Any]:
    return [list(item) for item in value.items()]


def _pattern_payload(value: Any) -> list[Any]:
    return [value.pattern, value.flags]


def _parts_of(*names: str) -> Callable[[Any], list[Any]]:
    return lambda value: [getattr(value, name) for name in names]


_TYPE_LEAF = ScalarType(
    "type",
    class_form,
    _find_type,
    lambda v, render: render(v),
    plain=_type_name,
    identify=_hashed_form,
)
_FUNCTION_LEAF = ScalarType(
    "function", _callable_name, _find_function, lambda v, render: render(v), plain=_callable_name
)
_ALIAS_LEAF = ScalarType("alias", _typing_alias_payload, _rebuild_any_alias, _alias_source)

# By public name, so that modules that are not loaded stay unloaded.
_STANDARD: dict[str, ScalarType] = {
    "builtins:complex": _simple_leaf("complex", "builtins:complex", _parts_of("real", "imag")),
    "builtins:bytes": ScalarType(
        "bytes", _base64, binascii.a2b_base64, lambda v, _: repr(v), _base64
    ),
    "builtins:bytearray": ScalarType(
        "bytearray",
        _base64,
        lambda payload: bytearray(binascii.a2b_base64(payload)),
        lambda v, _: repr(v),
        _base64,
    ),
    "builtins:range": _simple_leaf("range", "builtins:range", _parts_of("start", "stop", "step")),
    "builtins:slice": _simple_leaf("slice", "builtins:slice", _parts_of("start", "stop", "step")),
    "types:EllipsisType": ScalarType(
        "ellipsis", lambda _: None, lambda _: ..., lambda _v, _r: "..."
    ),
    "decimal:Decimal": ScalarType(
        "decimal",
        _decimal_text,
        _make("decimal:Decimal"),
        _from_text,
    ),
    "fractions:Fraction": _simple_leaf(
        "fraction", "fractions:Fraction", _parts_of("numerator", "denominator")
    ),
    "datetime:date": ScalarType(
        "date",
        lambda v: v.isoformat(),
        lambda payload: find("datetime:date").fromisoformat(payload),
        _from_payload(_parts_of("year", "month", "day")),
    ),
    "datetime:datetime": ScalarType(
        "datetime",
        _clock_payload,
        _rebuild_clock("datetime:datetime"),
        _clock_source,
        plain=lambda v: v.isoformat(),
    ),
    "datetime:time": ScalarType(
        "time",
        _clock_payload,
        _rebuild_clock("datetime:time"),
        _clock_source,
        plain=lambda v: v.isoformat(),
    ),
    "datetime:timedelta": _simple_leaf(
        "timedelta", "datetime:timedelta", _parts_of("days", "seconds", "microseconds")
    ),
    "datetime:timezone": ScalarType("timezone", _zone_payload, _rebuild_zone, _zone_source),
    "zoneinfo:ZoneInfo": ScalarType("timezone", _zone_payload, _rebuild_zone, _zone_source),
    "pathlib:PosixPath": _path_leaf("path", "pathlib:Path"),
    "pathlib:WindowsPath": _path_leaf("path", "pathlib:Path"),
    "pathlib:PurePosixPath": _path_leaf("posixpath", "pathlib:PurePosixPath"),
    "pathlib:PureWindowsPath": _path_leaf("windowspath", "pathlib:PureWindowsPath"),
    "uuid:UUID": ScalarType("uuid", str, _make("uuid:UUID"), _from_text),
    "re:Pattern": ScalarType(
        "regex",
        _pattern_payload,
        _make_of("re:compile"),
        lambda v, render: f"{render(find('re:compile'))}({v.pattern!r}, {v.flags})",
        plain=lambda v: str(v.pattern),
    ),
    "collections:OrderedDict": _wrapped("ordereddict", "collections:OrderedDict"),
    "types:MappingProxyType": _wrapped("mappingproxy", "types:MappingProxyType"),
    "functools:partial": ScalarType(
        "partial", _partial_payload, _rebuild_partial, _partial_source, _partial_payload, True
    ),
    "types:FunctionType": _FUNCTION_LEAF,
    "types:BuiltinFunctionType": _FUNCTION_LEAF,
    "functools:_lru_cache_wrapper": _FUNCTION_LEAF,
    "types:GenericAlias": _ALIAS_LEAF,
    "types:UnionType": ScalarType("alias", _union_payload, _rebuild_any_alias, _alias_source),
}
_TYPING_ALIASES = frozenset(
    {"_GenericAlias", "_UnionGenericAlias", "_LiteralGenericAlias", "_CallableGenericAlias"}
    | {"_AnnotatedAlias", "Union"}
)


_NUMPY_FUNCTIONS = frozenset({"ufunc", "_ArrayFunctionDispatcher"})


def _standard_leaf(cls: type) -> ScalarType | None:
    if issubclass(cls, type):
        return _TYPE_LEAF
    if cls.__module__ == "typing" and cls.__name__ in _TYPING_ALIASES:
        return _ALIAS_LEAF
    if cls.__module__ == "typing" and cls.__name__.endswith("Form"):
        return ScalarType(
            "type", _special_name, _find_type, lambda v, render: render(v), _special_name
        )
    if cls.__module__ == "collections.abc" and cls.__name__ == "_CallableGenericAlias":
        return _ALIAS_LEAF
    if cls.__module__.partition(".")[0] == "numpy" and cls.__name__ in _NUMPY_FUNCTIONS:
        return _FUNCTION_LEAF
    try:
        return _STANDARD.get(import_name(cls))
    except UnhashableValue:
        return None


# --- numpy ---------------------------------------------------------------------------------

_NUMPY_PLAIN = "biufcUS"
_NUMPY_TIMES = "mM"
_TIME_CODES = ("<m", "<M")


def _numpy_leaf(cls: type) -> ScalarType | None:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if issubclass(cls, numpy.generic):
        return ScalarType("numpy", _scalar_payload, _rebuild_scalar, _scalar_source, _plain_scalar)
    if issubclass(cls, numpy.dtype):
        return ScalarType("dtype", _dtype_payload, _rebuild_dtype, _dtype_source)
    if cls is numpy.ndarray:
        return ScalarType(
            "ndarray", _array_payload, _rebuild_array, _array_source, lambda v: v.tolist()
        )
    return None


def _scalar_payload(value: Any) -> list[Any]:
    kind, item = value.dtype.kind, value.item()
    if kind in _NUMPY_TIMES:
        return [_dtype_text(value.dtype), int(value.astype("int64"))]
    if kind in _NUMPY_PLAIN and type(item) in {bool, int, float, complex, str, bytes}:
        return [value.dtype.name if kind not in "US" else kind, item]
    raise UnhashableValue(
        f"a numpy scalar of {value.dtype} has no portable form: give a Python number"
    )


def _plain_scalar(value: Any) -> Any:
    return str(value) if value.dtype.kind in _NUMPY_TIMES else value.item()


def _rebuild_scalar(payload: list[Any]) -> Any:
    name, item = payload
    if name[:2] in _TIME_CODES:
        return find("numpy:array")(item, dtype="int64").view(name)[()]
    return find("numpy:dtype")(name).type(item)


def _scalar_source(value: Any, render: Render) -> str:
    name, item = _scalar_payload(value)
    if name[:2] in _TIME_CODES:
        return f"{render(find('numpy:array'))}({item}, dtype='int64').view({name!r})[()]"
    return f"{render(find('numpy:dtype'))}({name!r}).type({render(item)})"


def _dtype_text(dtype: Any) -> str:
    return str(dtype.newbyteorder("<").str)


def _dtype_payload(dtype: Any) -> str:
    if dtype.kind not in _NUMPY_PLAIN + _NUMPY_TIMES + "O" or dtype.char in "gG":
        raise UnhashableValue(
            f"the numpy dtype {dtype} has no portable form: give its name as a text"
        )
    return str(dtype.str)


def _rebuild_dtype(payload: str) -> Any:
    return find("numpy:dtype")(payload)


def _dtype_source(dtype: Any, render: Render) -> str:
    return f"{render(find('numpy:dtype'))}({_dtype_payload(dtype)!r})"


def _array_payload(value: Any) -> list[Any]:
    dtype = value.dtype
    if dtype.kind not in _NUMPY_PLAIN + _NUMPY_TIMES or dtype.char in "gG":
        raise UnhashableValue(f"a numpy array of {dtype} has no portable form: give a list")
    data = value.astype(dtype.newbyteorder("<"), order="C").tobytes()
    return [_dtype_text(dtype), list(value.shape), _base64(data)]


def _rebuild_array(payload: list[Any]) -> Any:
    dtype, shape, data = payload
    flat = find("numpy:frombuffer")(binascii.a2b_base64(data), dtype=dtype)
    return flat.reshape(shape).copy()


def _array_source(value: Any, render: Render) -> str:
    dtype, shape, _ = _array_payload(value)
    data = value.astype(dtype, order="C").tobytes()
    made = f"{render(find('numpy:frombuffer'))}({data!r}, dtype={dtype!r})"
    return f"{made}.reshape({shape!r}).copy()"


# --- pydantic's own values -----------------------------------------------------------------


def _pydantic_leaf(cls: type) -> ScalarType | None:
    if cls.__module__.partition(".")[0] not in ("pydantic", "pydantic_core"):
        return None
    if cls.__name__.startswith("Secret"):
        raise UnhashableValue(
            f"a {cls.__name__} would stand in the store for all to read: leave it out of the"
            " config, and read it from the environment in _create"
        )
    return _URL_LEAF if cls.__name__.endswith(("Url", "Dsn")) else None


def _url_payload(value: Any) -> list[Any]:
    hosts = value.hosts() if hasattr(value, "hosts") else [{"password": value.password}]
    if any(host.get("password") for host in hosts):
        raise UnhashableValue(
            f"the password in this {type(value).__name__} would stand in the store for all to read:"
            " leave it out of the config, and read it from the environment in _create"
        )
    return [import_name(type(value)), str(value)]


def _rebuild_url(payload: list[Any]) -> Any:
    name, text = payload
    cls = find(name)
    if not isinstance(cls, type) or _pydantic_leaf(cls) is not _URL_LEAF:
        raise ImportPathError(f"{name} is not one of pydantic's URLs")
    return cls(text)


_URL_LEAF = ScalarType("url", _url_payload, _rebuild_url, _from_text)


# --- reading back --------------------------------------------------------------------------

_BY_TAG: dict[str, Callable[[Any], Any]] = {
    leaf.tag: leaf.rebuild for leaf in (*_STANDARD.values(), _TYPE_LEAF)
} | {
    "enum": _rebuild_enum,
    "numpy": _rebuild_scalar,
    "ndarray": _rebuild_array,
    "dtype": _rebuild_dtype,
    "url": _rebuild_url,
}


def rebuild_leaf(tag: str, payload: Any) -> Any:
    """Make the value that was written with `tag`; raise `ImportPathError` for an unknown tag."""
    rebuild = _BY_TAG.get(tag)
    if rebuild is None:
        raise ImportPathError(f"the form ${tag} is not known to this version of huldra")
    return rebuild(payload)
