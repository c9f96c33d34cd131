"""`HuldraList`: named configs, and the functions that take many configs at once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

import chz

from huldra.attempts import context
from huldra.base import Huldra, plan_of
from huldra.config.import_paths import public_module
from huldra.errors import HuldraClassError
from huldra.logs.capture import configure_logging, log_status
from huldra.store import success
from huldra.store.layout import ArtifactPaths
from huldra.store.location import paths_of
from huldra.store.overlap import Overlap

if TYPE_CHECKING:
    from huldra.scheduling.planning import Plan
    from huldra.scheduling.sweep import Sweep

_ASKED_AT_ONCE = 256  # artifacts that are looked at before the first of them is loaded

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
        return True  # `if Experiments:` tests for the class, never for its size

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

    def _repr_html_(cls) -> str:
        from huldra.scheduling.html_table import html_table

        members = cls.__huldra_items__
        rows = [(name, repr(config)) for name, config in members.items()]
        counts = Counter(type(config).__name__ for config in members.values())
        said = ", ".join(f"{count} {name}" for name, count in counts.items()) or "no experiments"
        return html_table(("name", "config"), rows, f"{cls.__qualname__}: {said}")


class HuldraList(Generic[H], metaclass=_ListMeta):
    """Named experiments. The class itself is the collection and is never instantiated.

    Each attribute that is a config is a member under its name, unless the name starts with `_`. The
    values of a dict are members under their keys, those of a list or tuple under `attribute_0`,
    `attribute_1`, …. Members of base classes come first; an attribute of the same name replaces
    theirs. A class with two members of one name, or with a member that has the name of a method of
    `HuldraList`, is a `HuldraClassError`.
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
        """Raise `TypeError`: the class itself is the collection."""
        raise TypeError(f"{cls.__qualname__} cannot be instantiated; use the class itself")

    @classmethod
    def all(cls) -> list[H]:
        """Return all experiments, in order."""
        return list(cls.__huldra_items__.values())

    @classmethod
    def items(cls) -> list[tuple[str, H]]:
        """Return all `(name, experiment)` pairs, in order."""
        return list(cls.__huldra_items__.items())

    @classmethod
    def names(cls) -> list[str]:
        """Return all names, in order."""
        return list(cls.__huldra_items__)

    @classmethod
    def by_name(cls, name: str) -> H:
        """Return the experiment of that name.

        Raises:
            KeyError: There is none. The error lists the names.
        """
        try:
            return cast(H, cls.__huldra_items__[name])
        except KeyError:
            names = ", ".join(cls.__huldra_items__) or "none"
            raise KeyError(
                f"{cls.__qualname__} has no experiment {name!r}; available: {names}"
            ) from None

    @overload
    @classmethod
    def load_or_create(cls, executor: None = None) -> dict[str, Any]: ...

    @overload
    @classmethod
    def load_or_create(cls, executor: object) -> Sweep[Any]: ...

    @classmethod
    def load_or_create(cls, executor: object | None = None) -> dict[str, Any] | Sweep[Any]:
        """Load or compute all experiments as one graph; shared dependencies are computed once.

        Without an `executor`, return `{name: result}`. A failure does not stop the others. With an
        `executor`, submit what is missing and return a `Sweep` of jobs without waiting.

        Raises:
            ExceptionGroup: Some experiments failed in this process. It holds one error for each,
                with the experiment's name as a note, and is raised after all have ended.
            HuldraRefused: The engine cannot honour a request; nothing was submitted.
            HuldraExecutorError: As in `Huldra.load_or_create`.
        """
        return load_many(
            dict(cls.items()), executor, name=cls.__qualname__, module=public_module(cls.__module__)
        )

    @classmethod
    def plan(cls) -> Plan:
        """Return what `load_or_create` would do for each node, and why. Writes nothing."""
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
            f"{cls.__qualname__}: {attribute!r} would hide HuldraList.{attribute}; rename the"
            " experiment, or put it into a dict under that name"
        )
    yield from pairs


def _are_experiments(cls: type, attribute: str, values: Iterable[Any]) -> bool:
    """Return True if all values are experiments, False if none is; raise for a mixture."""
    others = [value for value in values if not isinstance(value, Huldra)]
    count = len(list(values))
    if others and len(others) < count:
        raise HuldraClassError(
            f"{cls.__qualname__}.{attribute} mixes Huldra configs with {others[0]!r}; only configs"
            " are allowed"
        )
    return count > 0 and not others


def load_many(
    members: Mapping[str, Huldra[Any]],
    executor: object | None,
    *,
    name: str = "",
    module: str = "",
) -> dict[str, Any] | Sweep[Any]:
    """Load or compute all members. Return results by name, or a sweep if there is an executor."""
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
    pairs = list(members.items())
    overlap = Overlap()
    for start in range(0, len(pairs), _ASKED_AT_ONCE):
        some = pairs[start : start + _ASKED_AT_ONCE]
        paths = [paths_of(obj) for _, obj in some]
        found = overlap.map(success.is_complete, paths)
        for (name, obj), path, is_complete in zip(some, paths, found, strict=True):
            try:
                results[name] = _load_or_make(obj, path, is_complete)
            except Exception as error:  # noqa: BLE001  raised at the end, all together
                error.add_note(f"experiment: {name}")
                errors.append(error)
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(members)} experiments failed", errors)
    return results


def _load_or_make(obj: Huldra[Any], paths: ArtifactPaths, is_complete: bool) -> Any:
    """What `obj.load_or_create()` returns, of an artifact that was looked at a moment ago."""
    if is_complete and obj._counts_as_made(paths):  # noqa: SLF001  what a hit asks
        log_status(type(obj).__name__, obj.huldra_hash, "success->load")
        try:
            return obj._loaded(paths)  # noqa: SLF001  what a hit gives
        except Exception:
            if success.is_complete(paths):
                raise
            # Discarded since it was looked at: a miss.
    return obj.load_or_create()


def _named(objects: Iterable[Huldra[Any]] | Mapping[str, Huldra[Any]]) -> dict[str, Huldra[Any]]:
    """Name each object: `str(key)` of a mapping, else `Class_<first digits of the hash>`."""
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
                f"expected Huldra configs, found {obj!r} of type {type(obj).__qualname__}"
            )
        name = f"{type(obj).__name__}_{obj.huldra_hash[:9]}" if key is _UNNAMED else str(key)
        if key is not _UNNAMED and name in named:
            raise HuldraClassError(
                f"the keys {keys[name]!r} and {key!r} give the same name, {name!r}: experiments"
                " are named str(key); rename one"
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
    """Load or compute many configs as one graph, as `HuldraList.load_or_create` does.

    The names of the results are `str(key)` for the keys of a mapping, else
    `Class_<first digits of the hash>`. Raises what `HuldraList.load_or_create` raises, and
    `HuldraClassError` for an object that is no config and for two keys with one name.
    """
    return load_many(_named(objects), executor)


def plan(objects: Iterable[Huldra[Any]] | Mapping[str, Huldra[Any]]) -> Plan:
    """Return what `load_or_create(objects)` would do for each node, and why. Writes nothing."""
    return plan_of(list(_named(objects).values()))


def status(objects: Iterable[Huldra[Any]] | Mapping[str, Huldra[Any]]) -> dict[str, str]:
    """Return how far each config is, by name: `success`, `failed`, `running`, `absent`, ….

    Asks the store alone: nothing is computed, submitted, retried or written.
    """
    from huldra.scheduling import rows as looking

    return looking.statuses(_named(objects))


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


def grid(template: H, /, **values: Iterable[Any]) -> dict[str, H]:
    """Return a config per combination of the values, each a copy of `template`, by what varies.

    `grid(Train(), lr=[0.1, 0.01], seed=range(3))` has six members, `lr=0.1,seed=0` and so on, for
    a `HuldraList` or `huldra.load_or_create`. A field with one value has no part in the names. A
    path goes into nested configs: `**{"data.name": ["a", "b"]}`.

    Raises `TypeError` for a field that the template does not have.
    """
    given = {path: list(options) for path, options in values.items()}
    varying = [path for path, options in given.items() if len(options) > 1]
    members: dict[str, H] = {}
    for chosen in itertools.product(*given.values()):
        config = template
        for path, value in zip(given, chosen, strict=True):
            config = _with_value(config, path.split("."), value)
        named = dict(zip(given, chosen, strict=True))
        name = (
            ",".join(f"{path}={_short(named[path])}" for path in varying) or type(template).__name__
        )
        if name in members:
            name = f"{name} {config.huldra_hash[:9]}"
        members[name] = config
    return members


def _with_value(config: Any, path: list[str], value: Any) -> Any:
    """A copy of a config with another value at a path of fields."""
    field, *below = path
    if field not in chz.chz_fields(config):
        known = ", ".join(chz.chz_fields(config)) or "none"
        raise TypeError(f"{type(config).__qualname__} has no field {field!r}; it has {known}")
    inner = _with_value(getattr(config, field), below, value) if below else value
    return chz.replace(config, **{field: inner})


def _short(value: Any) -> str:
    """A value as part of a name."""
    if isinstance(value, Huldra):
        return f"{type(value).__name__} {value.huldra_hash[:6]}"
    return value if isinstance(value, str) else repr(value)[:40]
