"""`Huldra`: the class that users subclass. Each method delegates to a module below."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Iterator
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
from huldra.config import identities
from huldra.config.fields import field, is_hashed, renamed_from
from huldra.config.forms import container_base
from huldra.config.hashing import are_same, children_of, digest_of, key_of
from huldra.config.import_paths import public_module
from huldra.engines.resources import Resources
from huldra.errors import (
    HuldraArtifactMissing,
    HuldraClassError,
    HuldraComputeError,
    HuldraDependencyError,
    HuldraIdentityError,
    HuldraSerializationError,
)
from huldra.logs.capture import configure_logging, get_logger, log_status
from huldra.settings import HULDRA_CONFIG
from huldra.store import success
from huldra.store.layout import ArtifactPaths
from huldra.store.location import paths_of, raw_directory

# A hit needs none of these, and defining their classes is most of what importing huldra would take:
# so they are imported by the call that needs them.
if TYPE_CHECKING:
    from pathlib import Path

    from huldra.provenance.metadata import Metadata
    from huldra.scheduling.explanation import Explanation
    from huldra.scheduling.job import Job
    from huldra.scheduling.planning import Plan

T = TypeVar("T")

# What a class may give a value to without it becoming a field of the config.
_OPTIONS = ("_resources", "_dependencies", "_max_wait_time_sec", "_begin_clean")
_REPR_DEPTH = 3


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field, chz.field))
class Huldra(Generic[T]):
    """A computation as a config: its fields specify it, its directory holds the result.

    Subclass it with annotated fields, write `_create` (compute, write into `huldra_dir`, return
    the result) and `_load` (read the result back). The subclass is a chz class: keyword-only and
    frozen. Class keywords:

    * `version_controlled=True` stores artifacts under `<root>/git/` instead of `<root>/data/`;
    * `cache_version="2"` is part of the hash: change it when the meaning of the code changes;
    * `identity="proj.train/Train"` stands for module and class in the hash and the directory, so
      that the class may move; `moved_from="old.module/Train"` says the same of a class that did;
    * `format="pickle"`, or another format's name, stores what `_create` returns as one file of it,
      in a class without `_load`;
    * `version=`, `typecheck=` are chz's own.

    `_resources` (a `Resources`, or a method that returns one) is what a node requests from an
    engine. `_max_wait_time_sec` is how many seconds a call in this process waits for another
    owner: 600 by default, None for no limit, 0 for no wait. `_begin_clean = True` removes what
    earlier attempts left in the directory before `_create` runs.
    """

    if TYPE_CHECKING:
        # For mypy and pyright an attribute and a method both fit `Any`.
        _resources: Any
        _max_wait_time_sec: ClassVar[float | None]
        _begin_clean: ClassVar[bool]

    _resources = Resources()
    _max_wait_time_sec = 600.0
    _begin_clean = False

    __huldra_class__: ClassVar[bool] = True
    __huldra_version_controlled__: ClassVar[bool] = False
    __huldra_cache_version__: ClassVar[str | None] = None
    __huldra_declares_dependencies__: ClassVar[bool] = False
    __huldra_validates__: ClassVar[bool] = False
    __huldra_format__: ClassVar[str | None] = None
    __huldra_identity__: ClassVar[str | None] = None

    def __init_subclass__(
        cls,
        *,
        version_controlled: bool | None = None,
        cache_version: str | None = None,
        format: str | None = None,  # noqa: A002  the word that users write
        version: str | None = None,
        typecheck: bool | None = None,
        identity: str | None = None,
        moved_from: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Turn the subclass into a chz class; raise `HuldraClassError` if it breaks a rule."""
        _refuse_unknown_keywords(cls, kwargs)
        super().__init_subclass__(**kwargs)
        if cache_version is not None and not isinstance(cache_version, str):
            raise HuldraClassError(
                f"{cls.__qualname__}: cache_version must be a string (cache_version='2'),"
                f" not {cache_version!r}"
            )
        if version_controlled is not None:
            cls.__huldra_version_controlled__ = bool(version_controlled)
        if format is not None:
            cls.__huldra_format__ = format
        # The version speaks of this class's code: a subclass has its own.
        cls.__huldra_cache_version__ = cache_version
        cls.__huldra_identity__ = _take_identity(cls, identity, moved_from)
        _take_options_out_of_fields(cls)
        _refuse_names_of_ours(cls)
        own = cls.__dict__
        for name, ours in (("__eq__", _equal), ("__hash__", _hash), ("__repr__", _repr)):
            if name not in own:
                setattr(cls, name, ours)
        _refuse_what_would_not_run(cls)
        _make_chz(cls, version, typecheck)
        _refuse_hidden_fields(cls)
        _refuse_shared_names(cls)
        cls.__huldra_declares_dependencies__ = cls._dependencies is not Huldra._dependencies
        cls.__huldra_validates__ = cls._validate is not Huldra._validate

    # ---- what a subclass writes ---------------------------------------------------------------

    def _create(self) -> T:
        """Compute the result, write it into `huldra_dir`, and return it.

        At most one process runs it at a time. It may start again in a directory that holds the
        files of an earlier attempt, if that attempt failed or its process died.
        """
        raise NotImplementedError(f"{type(self).__qualname__} has no _create")

    def _load(self) -> T:
        """Read the result from `huldra_dir` and return it. Called only on a complete artifact.

        A class without a `_load` of its own has what `_create` returned stored by its type.
        """
        from huldra.results import stored

        result: T = stored.read(paths_of(self).directory, name=type(self).__qualname__)
        return result

    def _huldra_keep(self, value: T) -> None:
        """Store what `_create` returned, where the class has no `_load` of its own."""
        cls = type(self)
        if cls._load is not Huldra._load:
            return
        from huldra.results import stored

        paths = paths_of(self)
        try:
            stored.write(
                value, paths.directory, name=cls.__qualname__, format_name=cls.__huldra_format__
            )
            stored.read(paths.directory, name=cls.__qualname__)  # before a caller relies on it
        except HuldraSerializationError as error:
            raise HuldraComputeError(
                f"{key_of(self)}: {error}; directory: {paths.directory}",
                original_error=error,
                state_path=paths.state,
                directory=paths.directory,
            ) from error

    def _validate(self) -> bool:
        """Return True if the files in `huldra_dir` are valid, False to compute them again.

        An exception reaches the caller and leaves the artifact as it is.
        """
        return True

    if TYPE_CHECKING:
        _dependencies: Any
    else:

        def _dependencies(self) -> list[Any]:
            """Return the configs that must be complete first: by default those in the fields."""
            return [child for _, child in children_of(self)]

    # ---- what users call ----------------------------------------------------------------------

    @overload
    def load_or_create(self, executor: None = None, *, force: bool = False) -> T: ...

    @overload
    def load_or_create(self, executor: object, *, force: bool = False) -> Job[T]: ...

    def load_or_create(self, executor: object | None = None, *, force: bool = False) -> T | Job[T]:
        """Return the result: load it if the artifact is complete, else compute it.

        Without an `executor`, this process computes the missing dependencies in order and then
        this artifact. When the call returns, the artifact is complete on the disk. The value is
        what `_create` returned if this call ran it, else what `_load` returned. If another process
        computes the artifact, the call waits up to `_max_wait_time_sec` seconds for its result.

        With an `executor` (an `Executor`, the engine's own object, or a name such as `"local:8"`,
        `"slurm"`, `"dask"`, `"ray"`), the call submits the graph of all missing artifacts to that
        engine and returns a `Job` without waiting for any node. On a worker it computes in place
        and returns a finished `Job`.

        With `force`, the call first discards an existing artifact (see `discard`) and then computes
        it again; it keeps the dependencies.

        A hit writes nothing. Concurrent calls, in any process and on any host, run `_create` once;
        it runs again only after a failure, or after its process died.

        Raises:
            HuldraComputeError: `_create` of this artifact or of a dependency failed, here or in
                the process that this call waited for. The next call runs it again.
            HuldraWaitTimeout: Another process did not finish in time. Transient.
            HuldraLockNotAcquired: Another process holds the artifact and `_max_wait_time_sec` is
                0, or (`HuldraClaimLost`) another process took over the claim. Transient.
            HuldraCancelled: The attempt was cancelled while this call ran it.
            HuldraCycleError: The artifact depends on itself.
            HuldraIdentityError: A field holds a value without a stable identity.
            HuldraStoreError: The file system refused. Transient if the disk was full.
            HuldraRefused: The engine cannot honour `_resources`; nothing was submitted.
            HuldraExecutorError: The engine is unknown or unreachable, or (`HuldraSubmitError`) it
                did not accept the graph.
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
        return success.is_complete(paths) and self._counts_as_made(paths)

    def _counts_as_made(self, paths: ArtifactPaths) -> bool:
        """Return True if what is complete is valid, and of code that `HULDRA_CODE` accepts."""
        if not self.__huldra_validates__ and HULDRA_CONFIG.code in ("label", "off"):
            return True
        from huldra.attempts.attempt import is_valid

        return is_valid(self, key_of(self), paths)

    def _loaded(self, paths: ArtifactPaths) -> T:
        try:
            return self._load()
        except Exception as error:
            error.add_note(success.unreadable(paths, type(self).__qualname__))
            raise

    def _check_plan(self, paths: ArtifactPaths) -> None:
        """On a worker, fail if a planned dependency is missing; warn about an undeclared one."""
        worker = context.worker.get()
        if worker is None:
            return
        key = key_of(self)
        if key in worker.needs:
            raise HuldraDependencyError(
                f"planned dependency {key} is missing; workers never recompute planned"
                f" dependencies; log: {paths.log}",
                failed_key=key,
                log_path=paths.log,
                state_path=paths.state,
                directory=paths.directory,
            )
        get_logger().warning(
            "%s is an undeclared dependency and is computed inline, on the worker of another"
            " artifact; add it to _dependencies() so that it is scheduled",
            key,
        )

    def load(self) -> T:
        """Return what `_load` returns for a complete artifact. Computes and writes nothing.

        Raises:
            HuldraArtifactMissing: The artifact is not complete. The error names the reason.
        """
        paths = paths_of(self)
        if self._is_there(paths):
            return self._loaded(paths)
        raise HuldraArtifactMissing(
            f"{key_of(self)} is not complete: {self.explain().reason}; load_or_create() computes it"
        )

    def discard(self) -> bool:
        """Remove the artifact with all its files. Return False if there is none.

        Raises:
            HuldraLockNotAcquired: An attempt is queued or running; nothing was removed. Transient.
            HuldraStoreError: The file system refused.
        """
        from huldra.scheduling.discard import discard

        return discard(self)

    def exists(self) -> bool:
        """Return True if the artifact is complete and `_validate` accepts it. Writes nothing.

        An exception in `_validate` reaches the caller.
        """
        return self._is_there(paths_of(self))

    def get_metadata(self) -> Metadata:
        """Return what the last attempt recorded: the config, git, the environment.

        Raises:
            HuldraArtifactMissing: No metadata is recorded for the artifact.
        """
        from huldra.scheduling import in_process

        return in_process.metadata_of(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the config as plain JSON, from which `from_dict` builds an equal config.

        The document is flat: it holds each nested config once.

        Raises:
            HuldraIdentityError: A value cannot be serialized. The error names the field.
        """
        from huldra.config import documents

        return documents.to_document(self, strict=True)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the config that `to_dict` serialized. Imports the modules that `data` names.

        Raises:
            HuldraSerializationError: The document is not valid, a class or a field in it no longer
                exists, or it holds a config of a class other than this one.
        """
        from huldra.config import documents

        return documents.checked_instance(cls, documents.from_document(data))

    def _repr_html_(self) -> str:
        from huldra.scheduling.html_table import html_table

        cells = list(_shown_fields(self, _REPR_DEPTH))
        said = f"{type(self).__qualname__}: {len(cells)} fields"
        return html_table(("field", "value"), cells, said)

    def to_python(self) -> str:
        """Return the config as Python source, such as `TrainModel(lr=0.0003, steps=5000)`.

        Raises:
            HuldraSerializationError: The source would be too deep or too long for Python's parser,
                or an unhashed field holds a value without a Python form; use `to_dict`.
        """
        from huldra.config import documents

        return documents.to_python(self)

    @property
    def huldra_dir(self) -> Path:
        """The artifact's directory. It exists from the start of the first `_create` on."""
        from pathlib import Path

        return Path(paths_of(self).directory)

    @property
    def huldra_attempt(self) -> int:
        """Which run of `_create` for this artifact this is: 1 for the first; 0 outside of one.

        Runs that failed, were preempted or crashed count, since their files are still there unless
        the class says `_begin_clean = True`. Attempts that were queued and never began do not.
        """
        return context.run_number(paths_of(self))

    @property
    def raw_dir(self) -> Path:
        """The folder for large files that all artifacts of the root share. Created if missing."""
        from pathlib import Path

        return Path(raw_directory())

    @property
    def huldra_hash(self) -> str:
        """The hash of the config: 32 hexadecimal digits, equal on every machine.

        Raises:
            HuldraIdentityError: A value has no stable identity, or a required field is missing.
                The error names the field.
        """
        return digest_of(self)

    @property
    def _huldra_hash(self) -> str:
        return digest_of(self)

    @property
    def log(self) -> logging.Logger:
        """The logger named after the class. Inside `_create` its records go to `huldra.log`."""
        configure_logging()
        cls = type(self)
        return logging.getLogger(f"{public_module(cls.__module__)}.{cls.__qualname__}")

    def plan(self) -> Plan:
        """Return what `load_or_create` would do for each node, and why. Print it for a table.

        Writes nothing. It is a snapshot: other processes may change the store afterwards.
        """
        return plan_of([self])

    def explain(self) -> Explanation:
        """Return why this is a hit or a miss, and on a miss how the nearest artifact differs.

        Writes nothing and runs no `_create`.
        """
        from huldra.scheduling.explanation import explain

        return explain(self)


def plan_of(objects: list[Any]) -> Plan:
    """Return the plan of many configs as one graph."""
    from dataclasses import replace

    from huldra.scheduling import in_process
    from huldra.scheduling.code_labels import with_code_labels
    from huldra.scheduling.estimate import estimate
    from huldra.scheduling.planning import make_plan

    plan = make_plan(in_process.graph_of(objects))
    return replace(with_code_labels(plan), estimator=estimate)


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
                f"{cls.__module__}.{cls.__qualname__}: the field {bare!r} would hide"
                f" Huldra.{bare}; rename the field"
            )


def _take_identity(cls: type, identity: str | None, moved_from: str | None) -> str | None:
    """Claim the identity that the class line declares; refuse one that another class has."""
    if identity is not None and moved_from is not None:
        raise HuldraClassError(
            f"{identities.full_name(cls)}: identity= and moved_from= mean the same; keep the one"
            f" that its artifacts have, {identity!r} or {moved_from!r}"
        )
    name = identity if identity is not None else moved_from
    if name is None:
        identities.refuse_claimed(cls)
    else:
        identities.claim(cls, name)
    return name


_KEYWORDS = (
    "version_controlled",
    "cache_version",
    "identity",
    "moved_from",
    "format",
    "version",
    "typecheck",
)


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
    hint = f"did you mean {near[0]!r}?" if near else f"valid keywords: {', '.join(_KEYWORDS)}"
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
            f"{cls.__module__}.{cls.__qualname__}.{name} {found}, so calling it runs nothing;"
            f" {cure}"
        )
    container = container_base(cls)
    if container is not None:
        raise HuldraClassError(
            f"{cls.__module__}.{cls.__qualname__} is also a {container.__qualname__}, whose items"
            " would not be hashed; put them into a field"
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
            f" {name!r}: the object would show {found!r}, but the hash would use the field's value;"
            " rename one of them, or change the field's default"
        )


def _refuse_shared_names(cls: type) -> None:
    """Refuse two fields that would have one name in the hash."""
    fields: dict[str, Any] = chz.chz_fields(cls)
    for name, spec in fields.items():
        past = renamed_from(spec)
        if past is not None and past != name and past in fields:
            raise HuldraClassError(
                f"{cls.__module__}.{cls.__qualname__}: the field {name!r} is renamed from {past!r},"
                f" but there is a field {past!r}; remove renamed_from, or rename that field"
            )


def _make_chz(cls: type, version: str | None, typecheck: bool | None) -> None:
    try:
        chz.chz(cls, version=version, typecheck=typecheck)  # type: ignore[call-overload]  # its overloads hide the keywords
    except KeyError:
        if cls.__module__ in sys.modules:
            raise
        raise HuldraClassError(
            f"{cls.__qualname__} belongs to the module {cls.__module__!r}, which is not loaded, so"
            " no other process can import it; move the class into a file that can be imported, or"
            " set sys.modules before the module's code runs"
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
    """Return True if both are the same class: `__main__.T` and `proj.train.T` may be one."""
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
    parts = [f"{name}={text}" for name, text in _shown_fields(value, depth)]
    return f"{cls.__qualname__}({', '.join(parts)})"


def _shown_fields(value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Give the fields of a config and what is shown of each, by the field's own `repr`."""
    for name, spec in type(value).__chz_fields__.items():
        shown = spec._repr  # noqa: SLF001  chz offers no other way to read it
        raw = getattr(value, spec.x_name)
        if callable(shown):
            yield name, str(shown(raw))
        else:
            yield name, _repr_to(raw, depth - 1) if shown else "..."
