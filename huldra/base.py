"""`Huldra`: the class that users subclass. Thin: each method hands over to a module below."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Self,
    TypeVar,
    dataclass_transform,
    overload,
)

import chz
from chz.data_model import init_property

from huldra.attempts import context
from huldra.config.fields import field, is_hashed
from huldra.config.forms import container_base
from huldra.config.hashing import are_same, children_of, digest_of, key_of
from huldra.config.import_paths import public_module
from huldra.engines.protocol import Resources
from huldra.errors import (
    HuldraArtifactMissing,
    HuldraClassError,
    HuldraDependencyError,
    HuldraIdentityError,
)
from huldra.logs.capture import configure_logging, get_logger, log_status
from huldra.store import artifact
from huldra.store.layout import ArtifactPaths
from huldra.store.location import paths_of, raw_directory

# A hit needs none of these, and defining their classes is most of what importing huldra would take:
# so they are imported by the call that needs them.
if TYPE_CHECKING:
    from huldra.provenance.metadata import Metadata
    from huldra.scheduling.explanation import Explanation
    from huldra.scheduling.job import Job
    from huldra.scheduling.planning import Plan

T = TypeVar("T")

# What a class may give a value to without it becoming a field of the config.
_OPTIONS = ("_resources", "_dependencies", "_max_wait_time_sec")
_REPR_DEPTH = 3


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field, chz.field))
class Huldra(Generic[T]):
    """A computation as a config: its fields say what, its directory holds the result.

    Subclass it with annotated fields, write `_create` (compute, write into `huldra_dir`, return
    the result) and `_load` (read the result back). The subclass is a chz class: keyword-only,
    frozen. Class keywords:

    * `version_controlled=True` keeps artifacts under `<root>/git/` instead of `<root>/data/`;
    * `cache_version="2"` enters the hash: change it when the code's meaning changes;
    * `version=`, `typecheck=` are chz's own.
    """

    if TYPE_CHECKING:
        # For mypy and pyright an attribute and a method both fit `Any`.
        _resources: Any
        _max_wait_time_sec: ClassVar[float | None]

    _resources = Resources()
    _max_wait_time_sec = 600.0

    __huldra_class__: ClassVar[bool] = True
    __huldra_version_controlled__: ClassVar[bool] = False
    __huldra_cache_version__: ClassVar[str | None] = None
    __huldra_declares_dependencies__: ClassVar[bool] = False
    __huldra_validates__: ClassVar[bool] = False

    def __init_subclass__(
        cls,
        *,
        version_controlled: bool | None = None,
        cache_version: str | None = None,
        version: str | None = None,
        typecheck: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Make the subclass a chz class; refuse what could not work."""
        _refuse_unknown_keywords(cls, kwargs)
        super().__init_subclass__(**kwargs)
        if cache_version is not None and not isinstance(cache_version, str):
            raise HuldraClassError(
                f"{cls.__qualname__}: cache_version is a text (cache_version='2'),"
                f" not {cache_version!r}"
            )
        if version_controlled is not None:
            cls.__huldra_version_controlled__ = bool(version_controlled)
        # The version speaks of this class's code: a subclass has its own.
        cls.__huldra_cache_version__ = cache_version
        _take_options_out_of_fields(cls)
        _refuse_names_of_ours(cls)
        own = cls.__dict__
        for name, ours in (("__eq__", _equal), ("__hash__", _hash), ("__repr__", _repr)):
            if name not in own:
                setattr(cls, name, ours)
        _refuse_what_would_not_run(cls)
        _make_chz(cls, version, typecheck)
        _refuse_hidden_fields(cls)
        cls.__huldra_declares_dependencies__ = cls._dependencies is not Huldra._dependencies
        cls.__huldra_validates__ = cls._validate is not Huldra._validate

    # ---- what a subclass writes ---------------------------------------------------------------

    def _create(self) -> T:
        """Compute the result, write it into `huldra_dir`, return it."""
        raise NotImplementedError(f"{type(self).__qualname__} has no _create")

    def _load(self) -> T:
        """Read the result back from `huldra_dir`."""
        raise NotImplementedError(f"{type(self).__qualname__} has no _load")

    def _validate(self) -> bool:
        """Whether what is in `huldra_dir` is good; False has it made again.

        What it raises reaches the caller and leaves the artifact as it is.
        """
        return True

    if TYPE_CHECKING:
        _dependencies: Any
    else:

        def _dependencies(self) -> list[Any]:
            """What must be made first: by default every Huldra object in the fields."""
            return [child for _, child in children_of(self)]

    # ---- what users call ----------------------------------------------------------------------

    @overload
    def load_or_create(self, executor: None = None, *, force: bool = False) -> T: ...

    @overload
    def load_or_create(self, executor: object, *, force: bool = False) -> Job[T]: ...

    def load_or_create(self, executor: object | None = None, *, force: bool = False) -> T | Job[T]:
        """The result: loaded if it is there, made in this process if not, dependencies first.

        With an `executor` (an `Executor`, the engine's own object, or a name such as `"local:8"`,
        `"slurm"`, `"dask"`, `"ray"`) the whole graph of what is missing goes to that engine, and
        a `Job` comes back at once.

        With `force` an artifact that exists is discarded first, and computed again; its
        dependencies are not.

        Without one, an artifact that somebody else is making is waited for, at most
        `_max_wait_time_sec` seconds.

        Raises:
            HuldraComputeError: `_create` failed, of this artifact or of one it needs.
            HuldraWaitTimeout: Somebody else took too long.
            HuldraLockNotAcquired: Somebody else has it, and `_max_wait_time_sec` is 0.
            HuldraCycleError: The artifact asks for itself.
            HuldraStoreError: The disk refused.
            HuldraRefused: The engine cannot honour `_resources`; nothing was sent.
        """
        if force:
            self.discard()
        if executor is not None:
            return self._submit(executor)
        paths = paths_of(self)
        if self._is_there(paths):
            log_status(type(self).__name__, self.huldra_hash, "success->load")
            return self._loaded(paths)
        self._check_plan(paths)
        from huldra.scheduling import in_process

        made = in_process.make(self)
        if made is not None:
            value: T = made.value
            return value
        log_status(type(self).__name__, self.huldra_hash, "success->load")
        return self._loaded(paths)

    def _submit(self, executor: object) -> Job[T]:
        configure_logging()
        if context.worker.get() is not None:
            # On a worker everything is made where it is: a worker that waits for a job of its own
            # engine may wait for itself.
            self.load_or_create()
            from huldra.scheduling.job import Job

            return Job(self, None, None)
        from huldra.scheduling.dispatch import dispatch

        return dispatch({"": self}, executor)[""]

    def _is_there(self, paths: ArtifactPaths) -> bool:
        if not self.__huldra_validates__:
            return artifact.is_complete(paths)
        from huldra.scheduling import in_process

        return in_process.is_valid_artifact(self, key_of(self))

    def _loaded(self, paths: ArtifactPaths) -> T:
        try:
            return self._load()
        except Exception as error:
            error.add_note(artifact.unreadable(paths, type(self).__qualname__))
            raise

    def _check_plan(self, paths: ArtifactPaths) -> None:
        """On a worker, what was planned is loaded or the node fails; what was not is made here."""
        worker = context.worker.get()
        if worker is None:
            return
        key = key_of(self)
        if key in worker.needs:
            raise HuldraDependencyError(
                f"{key} was planned as a dependency and is not there any more: it is not made again"
                f" on a worker; log: {paths.log}",
                failed_key=key,
                log_path=paths.log,
                state_path=paths.state,
                directory=paths.directory,
            )
        get_logger().warning(
            "%s was not planned and is made here, on the worker of another artifact; name it in"
            " _dependencies() to have it planned, and made once for all",
            key,
        )

    def load(self) -> T:
        """Return what `_load` returns of a complete artifact; compute and write nothing.

        Raises `HuldraArtifactMissing`, with the reason, where there is no complete artifact.
        """
        paths = paths_of(self)
        if self._is_there(paths):
            return self._loaded(paths)
        raise HuldraArtifactMissing(
            f"{key_of(self)} is not complete: {self.explain().reason}; load_or_create() computes it"
        )

    def discard(self) -> bool:
        """Remove the artifact with all its files; return False if there is none.

        Raises:
            HuldraLockNotAcquired: an attempt is queued or running; nothing was removed.
            HuldraStoreError: the file system refused.
        """
        from huldra.scheduling.discard import discard

        return discard(self)

    def exists(self) -> bool:
        """Whether the artifact is made, by `SUCCESS.json` and `_validate`. Writes nothing.

        What `_validate` raises reaches the caller: it says neither yes nor no.
        """
        return self._is_there(paths_of(self))

    def get_metadata(self) -> Metadata:
        """What was recorded when the artifact was made.

        Raises `HuldraArtifactMissing` when nobody has tried to make it.
        """
        from huldra.scheduling import in_process

        return in_process.metadata_of(self)

    def to_dict(self) -> dict[str, Any]:
        """The config as plain JSON, lossless and flat: see `from_dict`.

        Raises `HuldraIdentityError`, naming the field, for a value that cannot be written down.
        """
        from huldra.config import documents

        return documents.to_document(self, strict=True)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The object that `to_dict` wrote down.

        Raises `HuldraSerializationError` when the document, or a class it names, cannot be used,
        or when it holds an object of a class that is not this one.
        """
        from huldra.config import documents

        return documents.checked_instance(cls, documents.from_document(data))

    def to_python(self) -> str:
        """The config as Python source, as in `TrainModel(lr=0.0003, steps=5000)`."""
        from huldra.config import documents

        return documents.to_python(self)

    @property
    def huldra_dir(self) -> Path:
        """The artifact's directory; it exists while `_create` runs and ever after."""
        return Path(paths_of(self).directory)

    @property
    def raw_dir(self) -> Path:
        """The folder that all artifacts of the root share for large files; it exists."""
        return Path(raw_directory())

    @property
    def huldra_hash(self) -> str:
        """The 32 hexadecimal digits that name the artifact.

        Raises `HuldraIdentityError`, naming the field, when a value has no stable identity.
        """
        return digest_of(self)

    @property
    def _huldra_hash(self) -> str:
        return digest_of(self)

    @property
    def log(self) -> logging.Logger:
        """A logger named after the class; inside `_create` its lines reach `huldra.log`."""
        configure_logging()
        cls = type(self)
        return logging.getLogger(f"{public_module(cls.__module__)}.{cls.__qualname__}")

    def plan(self) -> Plan:
        """What `load_or_create` would do, and why; nothing is written. Print it to see a table."""
        return plan_of([self])

    def explain(self) -> Explanation:
        """Why this is a hit or a miss, and on a miss what differs from the nearest artifact."""
        from huldra.scheduling.explanation import explain

        return explain(self)


def plan_of(objects: list[Any]) -> Plan:
    """The plan of many objects as one graph."""
    from huldra.scheduling import in_process
    from huldra.scheduling.planning import make_plan

    return make_plan(in_process.graph_of(objects), lambda node: paths_of(node.obj))


_NAMES_OF_OURS = frozenset(
    name for name in vars(Huldra) if not name.startswith("__") and name not in _OPTIONS
)


def _take_options_out_of_fields(cls: type) -> None:
    """Let `_max_wait_time_sec: float = 60.0` mean the option, not a field of that name."""
    annotations = cls.__dict__.get("__annotations__", {})
    for name in _OPTIONS:
        annotations.pop(name, None)


def _refuse_names_of_ours(cls: type) -> None:
    for name in inspect.get_annotations(cls):
        bare = name.removeprefix("X_")
        if bare in _NAMES_OF_OURS:
            raise HuldraClassError(
                f"{cls.__module__}.{cls.__qualname__}: the field {bare!r} has the name of"
                f" Huldra.{bare}; call the field something else"
            )


_KEYWORDS = ("version_controlled", "cache_version", "version", "typecheck")


def _refuse_unknown_keywords(cls: type, keywords: dict[str, Any]) -> None:
    """Refuse a class keyword that neither Huldra nor another base takes, with the nearest one."""
    if not keywords:
        return
    others = (base for base in cls.__mro__[1:] if base not in (object, Huldra, Generic))
    if any("__init_subclass__" in vars(base) for base in others):
        return  # a mixin of the user's may take it
    import difflib  # only for an error

    name = next(iter(keywords))
    near = difflib.get_close_matches(name, _KEYWORDS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_KEYWORDS)}"
    raise HuldraClassError(
        f"{cls.__module__}.{cls.__qualname__}: unknown class keyword {name!r}; {hint}"
    )


# A generator of dependencies is read to its end, so `_dependencies` may be one.
_PLAIN_METHODS = ("_create", "_load", "_validate", "_resources", "_dependencies")


def _refuse_what_would_not_run(cls: type) -> None:
    """Refuse methods of which a call runs nothing: `async def`, and `yield` in the body."""
    for name in _PLAIN_METHODS:
        method = inspect.getattr_static(cls, name)
        if isinstance(method, staticmethod | classmethod):
            method = method.__func__
        elif isinstance(method, property):
            method = method.fget
        if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
            found, cure = "is an `async def`", "write a plain `def`, with asyncio.run(...) in it"
        elif inspect.isgeneratorfunction(method) and name != "_dependencies":
            found, cure = "has `yield` in its body", "return the value instead"
        else:
            continue
        raise HuldraClassError(
            f"{cls.__module__}.{cls.__qualname__}.{name} {found}, so that a call of it runs"
            f" nothing; {cure}"
        )
    container = container_base(cls)
    if container is not None:
        raise HuldraClassError(
            f"{cls.__module__}.{cls.__qualname__} is also a {container.__qualname__}: what it holds"
            " beside its fields is not hashed; put it into a field"
        )


def _refuse_hidden_fields(cls: type) -> None:
    """Refuse an attribute of another base that stands before a field and hides its value."""
    fields: dict[str, Any] = chz.chz_fields(cls)
    for name in fields:
        found = inspect.getattr_static(cls, name, None)
        if isinstance(found, property | init_property | functools.cached_property):
            continue
        owner = next((base for base in cls.__mro__ if name in vars(base)), cls)
        raise HuldraClassError(
            f"{cls.__module__}.{cls.__qualname__}: {owner.__qualname__}.{name} hides the field"
            f" {name!r}: the object would show {found!r}, and the hash the field's value; rename"
            " one of them, or give the field another default"
        )


def _make_chz(cls: type, version: str | None, typecheck: bool | None) -> None:
    try:
        chz.chz(cls, version=version, typecheck=typecheck)  # type: ignore[call-overload]  # its overloads hide the keywords
    except KeyError:
        if cls.__module__ in sys.modules:
            raise
        raise HuldraClassError(
            f"{cls.__qualname__} says that it is of the module {cls.__module__!r}, which is not"
            " loaded, so no other process can import it; put the class into a file that can be"
            " imported, or set sys.modules before the module's code runs"
        ) from None
    except (ValueError, TypeError) as error:
        raise HuldraClassError(f"{cls.__module__}.{cls.__qualname__}: {error}") from error


def _equal(self: Any, other: object) -> bool:
    """Equal as the hash sees it, and in the fields that it does not see.

    Not chz's comparison, which takes time exponential in the depth of a diamond.
    """
    if self is other:
        return True
    if not _is_same_class(type(self), type(other)):
        return False
    fields: dict[str, Any] = chz.chz_fields(self)
    try:
        if digest_of(self) != digest_of(other):
            return False
        fields = {name: spec for name, spec in fields.items() if not is_hashed(spec)}
    except HuldraIdentityError:
        pass  # no hash to compare by, so all fields count
    return all(are_same(getattr(self, name), getattr(other, name)) for name in fields)


def _is_same_class(ours: type, theirs: type) -> bool:
    """Whether two classes are one: `python -m proj.train` has `__main__.T` and `proj.train.T`."""
    if ours is theirs:
        return True
    if not getattr(theirs, "__huldra_class__", False) or ours.__qualname__ != theirs.__qualname__:
        return False
    return public_module(ours.__module__) == public_module(theirs.__module__) and (
        ours.__module__ != theirs.__module__
    )


def _hash(self: Any) -> int:
    return hash(digest_of(self))


def _repr(self: Any) -> str:
    return _repr_to(self, _REPR_DEPTH)


def _repr_to(value: Any, depth: int) -> str:
    """Show an object; nested ones below a depth as `Class(…)`, since diamonds grow without end."""
    cls = type(value)
    if not getattr(cls, "__huldra_class__", False):
        if type(value) in (list, tuple) and any(
            getattr(type(item), "__huldra_class__", False) for item in value
        ):
            inner = ", ".join(_repr_to(item, depth) for item in value)
            return f"[{inner}]" if type(value) is list else f"({inner},)"
        return repr(value)
    if depth == 0:
        return f"{cls.__qualname__}(…)"
    parts = []
    for name, spec in cls.__chz_fields__.items():
        shown = spec._repr  # noqa: SLF001  chz offers no other way to read it
        raw = getattr(value, spec.x_name)
        if callable(shown):
            parts.append(f"{name}={shown(raw)}")
        else:
            parts.append(f"{name}={_repr_to(raw, depth - 1) if shown else '...'}")
    return f"{cls.__qualname__}({', '.join(parts)})"
