"""Making artifacts in this process: a graph's missing nodes, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from logging import INFO
from typing import Any

from huldra.attempts import context
from huldra.attempts.attempt import Made, Request, is_valid, obtain
from huldra.config import documents
from huldra.config.config_object import ConfigObject
from huldra.config.hashing import children_of, digest_of, key_of, namespace_of
from huldra.engines.resources import Resources
from huldra.errors import HuldraArtifactMissing, HuldraSerializationError
from huldra.logs.capture import configure_logging, get_logger, log_status
from huldra.provenance import metadata
from huldra.scheduling.graph import Asked, Graph, compile_graph, dependencies_of
from huldra.store import artifact
from huldra.store.layout import ArtifactPaths
from huldra.store.location import paths_of, prepare_directory
from huldra.store.records import Claim, Result
from huldra.store.survey import Seen, Survey

_NO_RESOURCES = Resources()
_NO_PYTHON = "__huldra_no_python__"
_MAX_PYTHON_DEF = 20_000  # characters of it in the metadata, for people; the document has it all
_WAIT_S = 600.0  # that an in-process call waits for others, unless its class says otherwise


def request_for(
    obj: ConfigObject,
    *,
    key: str,
    wait_limit_s: float | None,
    queued: Claim | None = None,
    is_new: bool = False,
) -> Request:
    """The wish to have `obj` made."""
    paths = paths_of(obj)
    return Request(
        obj,
        key,
        paths,
        wait_limit_s,
        lambda: metadata_record(obj, paths),
        queued,
        is_new,
        begins_clean=bool(getattr(obj, "_begin_clean", False)),
    )


def graph_of(roots: list[Any]) -> Graph:
    """Compile the graph of what is missing for `roots`."""
    survey = Survey()
    return compile_graph(roots, lambda wave: look(wave, survey))


def look(wave: Sequence[Asked], survey: Survey) -> list[Seen]:
    """Return what the store says of these configs; COMPLETE ones are valid, too. Writes nothing.

    What `_validate` raises reaches the caller.
    """
    answers = survey.look([asked.paths for asked in wave])
    for number, asked in enumerate(wave):
        if answers[number] is Seen.COMPLETE and not is_valid(asked.obj, asked.key, asked.paths):
            answers[number] = Seen.INCOMPLETE
    return answers


def make(obj: ConfigObject) -> Made | None:
    """Make `obj`, which was not there a moment ago, dependencies first; None when others made it.

    Raises the error of the first artifact that could not be made.
    """
    root_key = key_of(obj)
    made: Made | None = None
    survey = Survey()

    def look_below(wave: Sequence[Asked]) -> list[Seen]:
        if wave[0].key == root_key:  # alone in its wave, as the root
            return [Seen.INCOMPLETE]
        return look(wave, survey)

    graph = compile_graph([obj], look_below)
    for node in graph.missing():
        result = make_node(node.obj, node.key)
        if node.key == root_key:
            made = result
    return made


def make_node(obj: ConfigObject, key: str) -> Made | None:
    """Make one artifact whose dependencies are there."""
    paths = paths_of(obj)
    configure_logging()
    is_new = prepare_directory(obj, paths)
    if get_logger().isEnabledFor(INFO):  # else the reason is not shown
        found = "missing" if is_new else _transition(paths)
        log_status(type(obj).__name__, digest_of(obj), f"{found}->create")
    if obj._resources != _NO_RESOURCES:  # noqa: SLF001  part of the protocol of a Huldra class
        get_logger().debug("%s: _resources have no effect on in-process computation", key)
    return obtain(request_for(obj, wait_limit_s=wait_limit_of(obj), key=key, is_new=is_new))


def _transition(paths: ArtifactPaths) -> str:
    state = artifact.read_state(paths)
    if state.result is Result.ABSENT or state.attempt is None:
        return "missing"
    return "invalid" if state.result is Result.SUCCESS else state.attempt.status.value


def wait_limit_of(obj: ConfigObject) -> float | None:
    """For how many seconds an in-process call waits for another owner of `obj`."""
    limit = getattr(obj, "_max_wait_time_sec", _WAIT_S)
    return None if limit is None else float(limit)


def metadata_record(obj: ConfigObject, paths: ArtifactPaths) -> tuple[dict[str, Any], bytes | None]:
    """What `obj` is, where it comes from and where it is being made; and the git patch, if any."""
    worker, children = context.worker.get(), children_of(obj)
    record, patch = metadata.collect(
        namespace=namespace_of(type(obj)),
        huldra_hash=digest_of(obj),
        directory=paths.directory,
        python_def=_python_def(obj, children),
        document=documents.to_document(obj, shared=True),
        config=documents.plain_config(obj),
        dependencies=_dependency_records(obj, children),
        cache_version=type(obj).__huldra_cache_version__,
        version_controlled=type(obj).__huldra_version_controlled__,
        command=worker.command if worker is not None else "",
        module=type(obj).__module__,
        code=_code_of(type(obj), worker),
        code_edited=worker.edited if worker is not None else (),
        code_frozen=worker.frozen if worker is not None else None,
    )
    return record.to_json(), patch


def _code_of(cls: type, worker: context.WorkerContext | None) -> str | None:
    """What the driver has recorded of `cls`, if this worker has the driver's code; else its own.

    To find what a class reaches, each of its project's files is parsed: once a driver is enough.
    """
    if worker is not None and not worker.edited:
        recorded = worker.class_code.get(namespace_of(cls))
        if recorded is not None:
            return recorded
    from huldra.provenance import code_store  # where no code is kept, it need not be imported

    try:
        return code_store.keep(cls)
    except Exception:  # noqa: BLE001  of whatever modules the user's process holds
        get_logger().debug("the code of %s could not be recorded", cls.__qualname__, exc_info=True)
        return None


def _python_def(obj: ConfigObject, children: list[tuple[str, Any]]) -> str:
    """The config as Python; too deep or too large for one expression, `huldra_obj` has it all."""
    if not any(_NO_PYTHON in child.__dict__ for _, child in children):
        try:
            return documents.to_python(obj, max_characters=_MAX_PYTHON_DEF)
        except HuldraSerializationError:
            pass
    obj.__dict__[_NO_PYTHON] = True  # then what holds it cannot be written either
    return f"{type(obj).__qualname__}(...)"


def _dependency_records(obj: ConfigObject, children: list[tuple[str, Any]]) -> list[dict[str, str]]:
    found = list(children)
    keys = {key_of(child) for _, child in found}
    if type(obj).__huldra_declares_dependencies__:
        added = [child for child in dependencies_of(obj) if key_of(child) not in keys]
        found += [(f"_dependencies()[{i}]", child) for i, child in enumerate(added)]
    return [
        {"field": field, "namespace": namespace_of(type(child)), "hash": digest_of(child)}
        for field, child in found
    ]


def metadata_of(obj: ConfigObject) -> metadata.Metadata:
    """The metadata that was recorded for the artifact of `obj`.

    Raises `HuldraArtifactMissing` when nothing was.
    """
    paths = paths_of(obj)
    try:
        return metadata.MetadataManager.read(paths.directory)
    except HuldraArtifactMissing as missing:
        raise HuldraArtifactMissing(
            f"{key_of(obj)} has no metadata: no attempt is recorded (looked in {paths.metadata});"
            " call load_or_create() first",
            directory=paths.directory,
        ) from missing
