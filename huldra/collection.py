"""`HuldraList`: configs under names, and the calls that take many configs at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from huldra.attempts import context
from huldra.base import Huldra, plan_of
from huldra.config.import_paths import public_module
from huldra.errors import HuldraClassError
from huldra.logs.capture import configure_logging

if TYPE_CHECKING:
    from huldra.scheduling.planning import Plan
    from huldra.scheduling.sweep import Sweep

H = TypeVar("H", bound=Huldra[Any])
T = TypeVar("T")


class _ListMeta(type):
    """Makes the class itself the collection: iterable, sized, searchable."""

    __huldra_items__: dict[str, Any]

    def __iter__(cls: type[H]) -> Iterator[H]:  # type: ignore[misc]  # the element type is the subclass's argument
        return iter(cls.__huldra_items__.values())  # type: ignore[attr-defined]  # set by HuldraList

    def __len__(cls) -> int:
        return len(cls.__huldra_items__)

    def __bool__(cls) -> bool:
        return True  # a class is never "empty" where somebody asks `if Experiments:`

    def __contains__(cls, item: object) -> bool:
        if isinstance(item, str):
            return item in cls.__huldra_items__
        return any(item is known or item == known for known in cls.__huldra_items__.values())

    def __getitem__(cls, name: Any) -> Any:
        # A metaclass's `__getitem__` comes before `Generic`'s: types are passed on to it.
        if not isinstance(name, str):
            return cls.__class_getitem__(name)  # type: ignore[attr-defined]  # Generic's
        return cls.by_name(name)  # type: ignore[attr-defined]  # defined on HuldraList

    def __repr__(cls) -> str:
        return f"<{cls.__qualname__}: {len(cls)} experiments>"


class HuldraList(Generic[H], metaclass=_ListMeta):
    """Experiments under names; the class itself is the collection and is never instantiated.

    Attributes that are Huldra objects are members under their names, but for those that start with
    `_`. A dict gives members under its
    keys, a list or tuple under `attribute_0`, `attribute_1`, …. Bases come first; an attribute of
    the same name replaces theirs. Two members of one name, and a name that is one of
    this class's own methods, are refused.
    """

    __huldra_items__: dict[str, Any] = {}  # noqa: RUF012  one a class, made below

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the members of the class and of its bases."""
        super().__init_subclass__(**kwargs)
        items: dict[str, Any] = {}
        for base in reversed(cls.__mro__[1:]):
            items.update(base.__dict__.get("__huldra_items__", {}))
        own: dict[str, Any] = {}
        for attribute, value in list(cls.__dict__.items()):
            for name, member in _members(cls, attribute, value):
                if name in own:
                    raise HuldraClassError(
                        f"{cls.__qualname__}: two experiments are named {name!r}; rename one"
                    )
                own[name] = member
        cls.__huldra_items__ = {**items, **own}

    def __new__(cls) -> HuldraList[H]:
        """Refuse: the class is the collection."""
        raise TypeError(f"{cls.__qualname__} is used as it is, without calling it")

    @classmethod
    def all(cls) -> list[H]:
        """Every experiment, in order."""
        return list(cls.__huldra_items__.values())

    @classmethod
    def items(cls) -> list[tuple[str, H]]:
        """Every `(name, experiment)`, in order."""
        return list(cls.__huldra_items__.items())

    @classmethod
    def names(cls) -> list[str]:
        """Every name, in order."""
        return list(cls.__huldra_items__)

    @classmethod
    def by_name(cls, name: str) -> H:
        """The experiment of that name; a `KeyError` that lists the names otherwise."""
        try:
            return cast(H, cls.__huldra_items__[name])
        except KeyError:
            names = ", ".join(cls.__huldra_items__) or "none"
            raise KeyError(f"{cls.__qualname__} has no {name!r}; it has {names}") from None

    @overload
    @classmethod
    def load_or_create(cls, executor: None = None) -> dict[str, Any]: ...

    @overload
    @classmethod
    def load_or_create(cls, executor: object) -> Sweep[Any]: ...

    @classmethod
    def load_or_create(cls, executor: object | None = None) -> dict[str, Any] | Sweep[Any]:
        """All of them: `{name: result}`, or with an `executor` a `Sweep` of jobs, at once.

        Without an executor a failure does not stop the others; at the end an `ExceptionGroup`
        holds all of them.
        """
        return load_many(
            dict(cls.items()), executor, name=cls.__qualname__, module=public_module(cls.__module__)
        )

    @classmethod
    def plan(cls) -> Plan:
        """What `load_or_create` would do, and why; nothing is written."""
        return plan_of(cls.all())

    @classmethod
    def status(cls) -> dict[str, str]:
        """How far each experiment is, by name: `huldra.status` of all of them."""
        return status(dict(cls.items()))

    @classmethod
    def rows(cls) -> list[dict[str, Any]]:
        """One row per experiment: `huldra.rows` of all of them."""
        return rows(dict(cls.items()))

    @classmethod
    def frame(cls) -> Any:
        """The rows as a `pandas.DataFrame`: `huldra.frame` of all of them."""
        return frame(dict(cls.items()))


_OWN_NAMES = frozenset(
    {
        "all",
        "by_name",
        "frame",
        "items",
        "load_or_create",
        "mro",
        "names",
        "plan",
        "rows",
        "status",
    }
)


def _members(cls: type, attribute: str, value: Any) -> Iterator[tuple[str, Any]]:
    if attribute.startswith("_"):
        return  # a helper for the other members, as by Python's convention
    if isinstance(value, Huldra):
        pairs = [(attribute, value)]
    elif isinstance(value, Mapping) and _are_experiments(cls, attribute, value.values()):
        pairs = [(str(name), member) for name, member in value.items()]
    elif isinstance(value, list | tuple) and _are_experiments(cls, attribute, value):
        pairs = [(f"{attribute}_{i}", member) for i, member in enumerate(value)]
    else:
        return
    if attribute in _OWN_NAMES:
        raise HuldraClassError(
            f"{cls.__qualname__}: {attribute!r} is the name of HuldraList.{attribute};"
            " call the experiment something else, or put it into a dict under that name"
        )
    yield from pairs


def _are_experiments(cls: type, attribute: str, values: Iterable[Any]) -> bool:
    """Whether a container holds experiments: all of its values, or none."""
    others = [value for value in values if not isinstance(value, Huldra)]
    count = len(list(values))
    if others and len(others) < count:
        raise HuldraClassError(
            f"{cls.__qualname__}.{attribute} holds {count - len(others)} experiments and"
            f" {others[0]!r}, which is none; keep other things out of it"
        )
    return count > 0 and not others


def load_many(
    members: Mapping[str, Huldra[Any]],
    executor: object | None,
    *,
    name: str = "",
    module: str = "",
) -> dict[str, Any] | Sweep[Any]:
    """Load or make all members: results by name, or a sweep where an engine does it."""
    configure_logging()
    if executor is None:
        return _make_all(members)
    from huldra.scheduling.dispatch import dispatch
    from huldra.scheduling.job import Job
    from huldra.scheduling.sweep import Sweep

    if context.worker.get() is not None:
        _make_all(members)
        return Sweep({key: Job(obj, None, None) for key, obj in members.items()}, name)
    return Sweep(dispatch(members, executor, name=name, module=module), name)


def _make_all(members: Mapping[str, Huldra[Any]]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    errors: list[Exception] = []
    for name, obj in members.items():
        try:
            results[name] = obj.load_or_create()
        except Exception as error:  # noqa: BLE001  told at the end, all together
            error.add_note(f"experiment: {name}")
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(members)} experiments failed", errors)
    return results


def _named(objects: Iterable[Huldra[Any]] | Mapping[str, Huldra[Any]]) -> dict[str, Huldra[Any]]:
    """Each object under its name: `str(key)` of a mapping, else `Class_<first digits of hash>`."""
    if isinstance(objects, _ListMeta):
        return dict(cast(Any, objects).items())
    if isinstance(objects, Mapping):
        pairs: list[tuple[Any, Any]] = list(objects.items())
    else:
        pairs = [(_UNNAMED, obj) for obj in objects]
    named: dict[str, Huldra[Any]] = {}
    keys: dict[str, Any] = {}
    for key, obj in pairs:
        if not isinstance(obj, Huldra):
            raise HuldraClassError(
                f"wanted Huldra objects, got {obj!r} of {type(obj).__qualname__}"
            )
        name = f"{type(obj).__name__}_{obj.huldra_hash[:9]}" if key is _UNNAMED else str(key)
        if key is not _UNNAMED and name in named:
            raise HuldraClassError(
                f"the keys {keys[name]!r} and {key!r} are one name, {name!r}: experiments go by"
                " str(key); rename one"
            )
        keys[name], named[name] = key, obj
    return named


_UNNAMED = object()  # stands for the name of what came without one


@overload
def load_or_create(
    objects: Iterable[Huldra[T]] | Mapping[str, Huldra[T]], executor: None = None
) -> dict[str, T]: ...


@overload
def load_or_create(
    objects: Iterable[Huldra[T]] | Mapping[str, Huldra[T]], executor: object
) -> Sweep[T]: ...


def load_or_create(
    objects: Iterable[Huldra[T]] | Mapping[str, Huldra[T]], executor: object | None = None
) -> dict[str, T] | Sweep[T]:
    """Load or make many configs as one graph, as `HuldraList.load_or_create` does.

    Results go by name: `str(key)` of a mapping's keys, else `Class_<first digits of the hash>`.
    """
    return load_many(_named(objects), executor)


def plan(objects: Iterable[Huldra[Any]] | Mapping[str, Huldra[Any]]) -> Plan:
    """What `load_or_create(objects)` would do, and why; nothing is written."""
    return plan_of(list(_named(objects).values()))


def status(objects: Iterable[Huldra[Any]] | Mapping[str, Huldra[Any]]) -> dict[str, str]:
    """Return how far each config is, by name: `success`, `failed`, `running`, `absent`, ….

    Asks the store alone: nothing is computed, submitted, retried or written.
    """
    from huldra.catalog.runs import status_of
    from huldra.scheduling import rows as looking

    members = _named(objects)
    found = looking.looked_up(members.values())
    return {name: status_of(row) for name, row in zip(members, found, strict=True)}


def rows(objects: Iterable[Huldra[Any]] | Mapping[str, Huldra[Any]]) -> list[dict[str, Any]]:
    """Return one row per config, by what the store says; nothing is computed or written.

    The columns: `name`, `class`, `hash`, `status`, `duration_s` (of the last attempt, seconds),
    `error` (None without one), the config fields that differ among the configs (`data.name` for a
    nested one), and `metrics.<name>`, the last value of each number in the artifact's files.
    """
    from huldra.scheduling import rows as looking

    return looking.rows(_named(objects))


def frame(objects: Iterable[Huldra[Any]] | Mapping[str, Huldra[Any]]) -> Any:
    """Return `rows(objects)` as a `pandas.DataFrame`; raise `ImportError` without pandas."""
    from huldra.scheduling import rows as looking

    return looking.frame(rows(objects))
