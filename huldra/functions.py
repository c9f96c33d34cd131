"""`@huldra.task`: a typed function as a class of configs; and what a function's body may ask."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar, overload

from huldra.base import Huldra
from huldra.engines.resources import Resources
from huldra.errors import HuldraClassError, HuldraError

P = ParamSpec("P")
R = TypeVar("R")

_running: ContextVar[Huldra[Any] | None] = ContextVar("huldra_current", default=None)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@overload
def task(function: Callable[P, R], /) -> Callable[P, Huldra[R]]: ...


@overload
def task(
    *,
    resources: Resources | Callable[[Any], Resources] | None = None,
    **class_keywords: Any,
) -> Callable[[Callable[P, R]], Callable[P, Huldra[R]]]: ...


def task(
    function: Callable[P, R] | None = None,
    /,
    *,
    resources: Resources | Callable[[Any], Resources] | None = None,
    **class_keywords: Any,
) -> Any:
    """Make a `Huldra` class of a function: its parameters are the fields, its body is `_create`.

    The class has the function's name and takes its place in the module. A call gives a config and
    runs nothing: `train(data=data, lr=1e-3).load_or_create()`. What the function returns is stored
    by its type, as in any class without `_load`. Inside, `huldra.current()` is the config.

    `resources` is as `_resources` of a class; a callable gets the config. `class_keywords` are
    those of `Huldra` classes: `cache_version="2"`, `format="pickle"`, `version_controlled=True`.

    Raises `HuldraClassError` for a function that cannot be one: it is asynchronous or a generator,
    takes `*args` or `**kwargs`, or has a parameter without an annotation.
    """
    if function is None:
        return lambda found: _class_of(found, resources, class_keywords)
    return _class_of(function, resources, class_keywords)


def _class_of(
    function: Callable[..., Any],
    resources: Resources | Callable[[Any], Resources] | None,
    keywords: dict[str, Any],
) -> type[Huldra[Any]]:
    signature = _checked_signature(function)
    body: dict[str, Any] = {
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
        "__doc__": function.__doc__,
        "__annotations__": {p.name: p.annotation for p in signature.parameters.values()},
        "_create": _create_of(function, tuple(signature.parameters)),
        "__wrapped__": staticmethod(function),
    }
    for parameter in signature.parameters.values():
        if parameter.default is not parameter.empty:
            body[parameter.name] = parameter.default
    if resources is not None:
        body["_resources"] = resources
    cls: type[Huldra[Any]] = types.new_class(
        function.__name__, (Huldra,), keywords, lambda namespace: namespace.update(body)
    )
    _take_positions(cls, signature)
    return cls


def _checked_signature(function: Callable[..., Any]) -> inspect.Signature:
    name = f"{function.__module__}.{function.__qualname__}"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise HuldraClassError(f"{name} is an `async def`: write a plain `def`, with asyncio.run()")
    if inspect.isgeneratorfunction(function):
        raise HuldraClassError(f"{name} has `yield` in its body: return the value instead")
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        if parameter.kind not in _BY_NAME:
            raise HuldraClassError(
                f"{name} takes {parameter}: the fields of a config have names, so write each"
                " parameter out"
            )
        if parameter.annotation is parameter.empty:
            raise HuldraClassError(
                f"{name}: the parameter {parameter.name!r} has no annotation; its type is part of"
                f" the config, so write {parameter.name}: float, say"
            )
    return signature


def _create_of(function: Callable[..., Any], names: tuple[str, ...]) -> Callable[[Any], Any]:
    @wraps(function)
    def _create(self: Any) -> Any:
        token = _running.set(self)
        try:
            return function(**{name: getattr(self, name) for name in names})
        finally:
            _running.reset(token)

    del _create.__wrapped__  # its own signature is what counts: (self)
    return _create


def _take_positions(cls: type, signature: inspect.Signature) -> None:
    """Let the class take its fields by position, as the function does."""
    by_name = cls.__init__  # type: ignore[misc]  # the class's own, as chz made it

    @wraps(by_name)
    def by_position(self: Any, *args: Any, **kwargs: Any) -> None:
        if args:
            kwargs = signature.bind_partial(*args, **kwargs).arguments
        by_name(self, **kwargs)

    cls.__init__ = by_position  # type: ignore[misc]  # on purpose, see above


def current() -> Huldra[Any]:
    """Return the config whose function runs in this thread: its directory, log and attempt number.

    For the bodies of `@huldra.task` functions, and what they call; a class has `self`. Raises
    `HuldraError` outside of one.
    """
    running = _running.get()
    if running is None:
        caller = sys._getframe(1).f_code.co_name
        raise HuldraError(f"huldra.current() in {caller}: no function of a @huldra.task runs here")
    return running
