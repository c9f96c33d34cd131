"""Normalising a value to the type that its field declares.

Only numbers change: an int given for a float field is that float, also inside `list[float]`
and `float | None`, and a numpy scalar is the Python number. Everything else stays as it is.
An annotation that cannot be read changes nothing and is no error.
"""

from __future__ import annotations

import builtins
import collections.abc
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

Normalise = Callable[[Any], Any]


class _UnknownType(type):
    # Stands for a name that does not resolve, so that the rest of the annotation still counts:
    # `np.ndarray | float` under `if TYPE_CHECKING: import numpy as np` is `<unknown> | float`.
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __getitem__(cls, _: Any) -> Any:
        return cls


class Unknown(metaclass=_UnknownType):
    """A type that could not be resolved."""


class _Names(dict[str, Any]):
    def __init__(self, module: str) -> None:
        super().__init__()
        self._globals = getattr(sys.modules.get(module), "__dict__", {})

    def __missing__(self, name: str) -> Any:
        if name in self._globals:
            return self._globals[name]
        return getattr(builtins, name, Unknown)


def resolve(annotation: Any, module: str) -> Any:
    """Turn an annotation, maybe a string, into a type; what is unknown becomes `Unknown`."""
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, {"__builtins__": {}}, _Names(module))  # noqa: S307  # the class's own annotation
    except Exception:  # noqa: BLE001  # any expression may stand there; then nothing is normalised
        return Unknown


def normaliser(
    annotation: Any, module: str, variables: Mapping[Any, Any] | None = None
) -> Normalise | None:
    """Compile the normaliser of a declared type; None when it changes nothing."""
    try:
        return _compile(resolve(annotation, module), _Scope(module, dict(variables or {})))
    except Exception:  # noqa: BLE001  # hostile annotations (odd metaclasses) mean: nothing to do
        return None


def type_variables(cls: type) -> dict[Any, Any]:
    """What the bases of `cls` put in the place of type variables (`class A(Model[float])`)."""
    found: dict[Any, Any] = {}
    for klass in cls.__mro__:
        for base in getattr(klass, "__orig_bases__", ()):
            origin, arguments = typing.get_origin(base), typing.get_args(base)
            parameters = getattr(origin, "__parameters__", ())
            if origin is not typing.Generic and len(parameters) == len(arguments):
                for parameter, argument in zip(parameters, arguments, strict=True):
                    found.setdefault(parameter, argument)
    return found


class _Scope:
    def __init__(self, module: str, variables: dict[Any, Any]) -> None:
        self.module = module
        self.variables = variables
        self.named: dict[Any, _Named] = {}  # aliases and type variables, which may be recursive


class _Named:
    """The normaliser of an alias or a type variable, which may stand inside its own definition."""

    def __init__(self) -> None:
        self.normalise: Normalise | None = None

    def __call__(self, value: Any) -> Any:
        return value if self.normalise is None else self.normalise(value)


def _compile(declared: Any, scope: _Scope) -> Normalise | None:
    if isinstance(declared, typing.TypeVar) or _is_alias(declared):
        if declared in scope.named:
            return scope.named[declared]
        named = scope.named[declared] = _Named()
        named.normalise = _compile_plain(declared, scope)
        return named.normalise
    return _compile_plain(declared, scope)


def _is_alias(declared: Any) -> bool:
    return type(declared).__name__ == "TypeAliasType"


def _compile_plain(declared: Any, scope: _Scope) -> Normalise | None:
    declared = _unwrap(declared, scope)
    if declared in NUMBERS:
        return NUMBERS[declared]
    origin = typing.get_origin(declared)
    arguments = typing.get_args(declared)
    if origin is typing.Union or isinstance(declared, types.UnionType):
        return _union(_members(arguments, scope), scope)
    if origin is None or not isinstance(origin, type):
        return None
    return _container(origin, arguments, scope)


def _unwrap(declared: Any, scope: _Scope) -> Any:
    """See through strings, Annotated, NewType, type variables and aliases."""
    for _ in range(50):
        if isinstance(declared, str | typing.ForwardRef):
            declared = resolve(declared, scope.module)
        elif typing.get_origin(declared) is typing.Annotated:
            declared = declared.__origin__
        elif typing.get_origin(declared) in (typing.Final, typing.ClassVar):
            declared = typing.get_args(declared)[0]
        elif isinstance(declared, typing.NewType):
            declared = declared.__supertype__
        elif isinstance(declared, typing.TypeVar):
            declared = _variable(declared, scope)
        elif _is_alias(declared):
            declared = declared.__value__
        else:
            return declared
    return Unknown


def _variable(variable: Any, scope: _Scope) -> Any:
    given = scope.variables.get(variable, variable)
    if given is not variable:
        return given
    if variable.__constraints__:
        return typing.Union[variable.__constraints__]  # noqa: UP007  # built from a tuple
    return variable.__bound__ if variable.__bound__ is not None else Unknown


def _to_float(value: Any) -> Any:
    cls = type(value)
    if cls is int:
        try:
            number = float(value)
        except OverflowError:
            return value
        return number if number == value else value  # a float that is another number is not it
    if cls is float:
        return value
    plain = _plain_number(value)
    if type(plain) is float:
        return plain
    return _to_float(plain) if type(plain) is int else value


def _to_complex(value: Any) -> Any:
    plain = _plain_number(value)
    if type(plain) is complex:
        return plain
    number = _to_float(plain)
    return complex(number) if type(number) is float else value


def _plain_number(value: Any) -> Any:
    """The Python value of a numpy scalar; everything else as it is."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.generic):
        return value
    plain = value.item()
    return plain if type(plain) in _EXACT else value


_EXACT = frozenset({bool, int, float, complex, str, bytes})


def _only(wanted: type) -> Normalise:
    def normalise(value: Any) -> Any:
        if type(value) is wanted:
            return value
        plain = _plain_number(value)
        return plain if type(plain) is wanted else value

    return normalise


NUMBERS: dict[Any, Normalise] = {
    float: _to_float,
    complex: _to_complex,
    int: _only(int),
    bool: _only(bool),
    str: _only(str),
    bytes: _only(bytes),
}


def _members(arguments: tuple[Any, ...], scope: _Scope, level: int = 0) -> list[Any]:
    found: list[Any] = []
    for argument in arguments:
        member = _unwrap(argument, scope)
        nested = typing.get_origin(member) is typing.Union or isinstance(member, types.UnionType)
        if nested and level < 10:
            found += _members(typing.get_args(member), scope, level + 1)
        else:
            found.append(member)
    return found


def _union(members: list[Any], scope: _Scope) -> Normalise | None:
    """For a value of a member's own type that member decides; a number that has none is raised."""
    numbers = [m for m in members if m in NUMBERS]
    containers: dict[Any, list[Any]] = {}
    for member in members:
        if member not in NUMBERS and isinstance(typing.get_origin(member), type):
            containers.setdefault(typing.get_origin(member), []).append(member)
    # Two members of one shape (`list[float] | list[int]`) do not say which is meant.
    inner = [
        (origin, compiled)
        for origin, same in containers.items()
        if len(same) == 1 and (compiled := _compile(same[0], scope)) is not None
    ]
    if not numbers and not inner:
        return None
    order = [m for m in (bool, int, float, complex, str, bytes) if m in numbers]

    def normalise(value: Any) -> Any:
        if type(value) in order:
            return value
        for origin, compiled in inner:
            if isinstance(value, origin):
                return compiled(value)
        for member in order:
            changed = NUMBERS[member](value)
            if type(changed) is member:
                return changed
        return value

    return normalise


def _container(origin: type, arguments: tuple[Any, ...], scope: _Scope) -> Normalise | None:
    if issubclass(origin, tuple):
        return _tuple(arguments, scope)
    if issubclass(origin, collections.abc.Mapping) and len(arguments) == 2:
        return _mapping(arguments, scope)
    if not issubclass(origin, collections.abc.Iterable) or len(arguments) != 1:
        return None
    element = _compile(arguments[0], scope)
    return None if element is None else _elements(origin, element)


def _elements(origin: type, element: Normalise) -> Normalise:
    def normalise(value: Any) -> Any:
        cls: Any = type(value)
        if cls in _COLLECTIONS and issubclass(cls, origin):
            return cls([element(item) for item in value])
        return value

    return normalise


_COLLECTIONS = frozenset({list, tuple, set, frozenset})


def _tuple(arguments: tuple[Any, ...], scope: _Scope) -> Normalise | None:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        element = _compile(arguments[0], scope)
        return None if element is None else _elements(tuple, element)
    members = [_compile(argument, scope) for argument in arguments]
    if not any(members):
        return None

    def normalise(value: Any) -> Any:
        if type(value) is not tuple or len(value) != len(members):
            return value
        pairs = zip(members, value, strict=True)
        return tuple(item if member is None else member(item) for member, item in pairs)

    return normalise


def _mapping(arguments: tuple[Any, ...], scope: _Scope) -> Normalise | None:
    key, item = (_compile(argument, scope) for argument in arguments)
    if key is None and item is None:
        return None

    def normalise(value: Any) -> Any:
        if type(value) is not dict:
            return value
        return {
            (k if key is None else key(k)): (v if item is None else item(v))
            for k, v in value.items()
        }

    return normalise
