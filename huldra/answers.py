"""Questions to a store: one artifact, those of a class, what differs, and a run once more.

To look changes nothing: nothing is computed, queued or written. What imports a class says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huldra.base import Huldra
from huldra.catalog import Catalog, Query, Row, presentation
from huldra.catalog.runs import status_of
from huldra.config import documents
from huldra.config.hashing import namespace_of
from huldra.errors import (
    HuldraArtifactMissing,
    HuldraError,
    HuldraSerializationError,
)
from huldra.provenance import code_difference
from huldra.scheduling import run_record
from huldra.scheduling.explanation import document_differences
from huldra.scheduling.planning import text_table
from huldra.settings import HULDRA_CONFIG
from huldra.store import claim
from huldra.store.layout import RUNS, ArtifactPaths, StorePaths
from huldra.store.location import paths_of

if TYPE_CHECKING:
    from huldra.scheduling.adoption import Adoption
    from huldra.scheduling.sweep import Sweep


@dataclass(frozen=True)
class Found:
    """One artifact as the store describes it; its class is not imported for that."""

    row: Row
    catalog: Catalog

    @property
    def key(self) -> str:
        """`<namespace>/<hash>`."""
        return self.row.key

    @property
    def status(self) -> str:
        """`success`, `failed`, `running`, `queued`, `stale`, … as the command line shows it."""
        return status_of(self.row)

    @property
    def directory(self) -> Path:
        """The artifact's directory."""
        return Path(self.row.directory)

    @property
    def config(self) -> Mapping[str, Any]:
        """The fields for reading: a nested config is `{"$ref": key}`; empty where none is known."""
        return self.row.config or {}

    @property
    def error(self) -> str | None:
        """Type and message of what it failed with, None without an error."""
        return presentation.error_text(self.row) or None

    @property
    def metrics(self) -> Mapping[str, float]:
        """The last value of each number in its top-level `.json`, `.jsonl` and `.csv` files."""
        return self.catalog.metrics(self.row).values

    @property
    def metadata(self) -> Mapping[str, Any]:
        """`metadata.json` as it was recorded; empty where it cannot be read."""
        return self.catalog.detail(self.row).metadata or {}

    @property
    def document(self) -> Mapping[str, Any]:
        """The config as `to_dict` wrote it.

        Raises `HuldraArtifactMissing` where none was recorded: no attempt began.
        """
        document = self.metadata.get("huldra_obj")
        if not isinstance(document, Mapping):
            raise HuldraArtifactMissing(
                f"{self.key}: no config is recorded in {self.row.directory}: no attempt started"
            )
        return document

    def object(self) -> Huldra[Any]:
        """The config object; imports its class.

        Raises `HuldraSerializationError` where the class or a field of it is gone, or where the
        object has another hash today: it would name another artifact.
        """
        obj: Huldra[Any] = documents.from_document(self.document)
        if obj.huldra_hash != self.row.digest:
            raise HuldraSerializationError(
                f"{self.key} was written by another definition of its class: the same config now"
                f" has the hash {obj.huldra_hash}, so the object would name another artifact; the"
                f" files are in {self.row.directory}"
            )
        return obj

    def __repr__(self) -> str:
        return f"<Found {self.key} {self.status}>"


def open_artifact(name: str) -> Huldra[Any] | Found:
    """Return the config object of an artifact, found by its ID.

    `name` is a hash or its first digits (four or more), `Class/<hash>`, `<namespace>/<hash>`, or
    the artifact's directory. Where its class cannot be imported or has changed, a `Found` comes
    back instead, for reading.

    Raises:
        HuldraArtifactMissing: no artifact of the current root has this ID.
        HuldraQueryError: more than one has; the message lists them.
    """
    found = _the_artifact(name)
    try:
        return found.object()
    except HuldraError:
        return found


def _the_artifact(name: str) -> Found:
    catalog = Catalog([HULDRA_CONFIG.root])
    return Found(catalog.one(name), catalog)


def find(
    kind: type[Huldra[Any]] | str | None = None, where: str = "", *, status: str | None = None
) -> list[Found]:
    """Return the artifacts of a class, the last changed first.

    `kind` is a class, or a namespace or the beginning of one (`my_project.pipelines`); None means
    all. `where` is in the language of `huldra ls --where`: `"lr<1e-3 and data.name=toy"`. `status`
    is the result: `success`, `failed`, `incomplete` or `absent`.

    Raises `HuldraQueryError` for a condition that cannot be read.
    """
    catalog = Catalog([HULDRA_CONFIG.root])
    query = Query(
        namespace=_namespaces(kind),
        config=where,
        result_status=() if status is None else (status,),
    )
    return [Found(row, catalog) for row in catalog.snapshot().matching(query)]


def _namespaces(kind: type[Huldra[Any]] | str | None) -> tuple[str, ...]:
    if kind is None:
        return ()
    return (kind,) if isinstance(kind, str) else (namespace_of(kind),)


@dataclass(frozen=True)
class Differences(Sequence[tuple[str, Any, Any]]):
    """What differs between two configs: `(field path, value of the first, value of the second)`."""

    names: tuple[str, str]
    lines: tuple[tuple[str, Any, Any], ...]

    def __getitem__(self, index: Any) -> Any:
        return self.lines[index]

    def __len__(self) -> int:
        return len(self.lines)

    def __str__(self) -> str:
        if not self.lines:
            return f"{self.names[0]} and {self.names[1]} have equal configs"
        header = ("field", *self.names)
        return text_table(header, [(path, repr(a), repr(b)) for path, a, b in self.lines])

    __repr__ = __str__


def diff(one: Huldra[Any] | Found | str, other: Huldra[Any] | Found | str) -> Differences:
    """Return the config fields in which two configs differ, nested configs taken apart.

    Each is a config object, a `Found`, or an ID as `huldra.open` takes it. A field that only one
    of them has is `<no such field>` in the other.

    Raises `HuldraArtifactMissing` and `HuldraQueryError` for IDs, as `huldra.open` does.
    """
    (name_one, first), (name_other, second) = _document_of(one), _document_of(other)
    return Differences((name_one, name_other), tuple(document_differences(first, second)))


def _document_of(target: Huldra[Any] | Found | str) -> tuple[str, Mapping[str, Any]]:
    if isinstance(target, Huldra):
        cls = type(target)
        return f"{cls.__name__} {target.huldra_hash[:8]}", documents.to_document(target)
    found = _the_artifact(target) if isinstance(target, str) else target
    return found.row.label, found.document


def accept(target: Huldra[Any] | Found | str) -> bool:
    """Record that the code which computed an artifact is as good as the code here.

    The artifact is then no longer shown as computed by other code, and with `HULDRA_CODE=strict`
    it is complete again, until the code is edited once more or the artifact is computed again.
    `target` is a config object, a `Found`, or an ID as `huldra.open` takes it: exactly the artifact
    that has this ID, also where its class has changed since. Returns False where nothing differs.

    Raises:
        HuldraArtifactMissing: the artifact is not complete.
        HuldraStoreError: the record cannot be written.
    """
    if isinstance(target, Huldra):
        paths: ArtifactPaths = paths_of(target)
        return code_difference.accept(paths, code_difference.of_class(type(target), paths))
    found = _the_artifact(target) if isinstance(target, str) else target
    # Not where its object lies: a class that has changed may name another artifact than the ID.
    paths = ArtifactPaths(found.row.directory)
    cls = _class_of(found) if isinstance(target, str) else None
    difference = (
        code_difference.of_class(cls, paths)
        if cls is not None
        else code_difference.of_disk(paths, found.metadata)
    )
    return code_difference.accept(paths, difference)


def _class_of(found: Found) -> type[Huldra[Any]] | None:
    """Return the class of an artifact, None where it is gone or gives another hash today."""
    try:
        return type(found.object())
    except HuldraError:
        return None


def adopt(old: Huldra[Any] | Found | str, new: Huldra[Any], *, dry_run: bool = True) -> Adoption:
    """Let an existing result stand for another config, without computing it.

    With `dry_run` nothing is written; print what is returned: the differences, and what would be
    copied. Without, the files of `old` are copied into the artifact of `new`, which is claimed as
    for a computation, and complete when the call returns. `old` stays as it is. Its origin is in
    `adopted_from` of the metadata. `old` is a config object, a `Found`, or an ID as `huldra.open`
    takes it.

    Not promised: that the class of `new` can read the files. `_validate` is asked, `_load` is not.
    A text in a file that names the old directory still does.

    Raises:
        HuldraArtifactMissing: `old` is not complete.
        HuldraLockNotAcquired: one of the two is queued or running. Transient.
        HuldraValidationError: `_validate` of `new` returns False for the files.
        HuldraStoreError: the files could not be copied, or changed meanwhile.
    """
    from huldra.scheduling import adoption

    # Not its object: a class that has changed would give another artifact than the ID names.
    found = _the_artifact(old) if isinstance(old, str) else old
    return adoption.adopt(_paths(found), new, dry_run=dry_run)


def _paths(target: Huldra[Any] | Found) -> ArtifactPaths:
    if isinstance(target, Huldra):
        return paths_of(target)
    return ArtifactPaths(target.row.directory)


def adopt_all(
    new: Iterable[Huldra[Any]] | Mapping[str, Huldra[Any]],
    differing: Sequence[str],
    *,
    of: type[Huldra[Any]] | str | None = None,
    dry_run: bool = True,
) -> list[Adoption]:
    """Adopt for each of many configs the artifact that differs in exactly these fields.

    `differing` are field paths as `huldra.diff` shows them; what stands below them differs, too.
    `of` is the class of the existing artifacts, or its namespace; by default that of each config. A
    config that is complete stays as it is. One for which there is no such artifact, or more than
    one, is refused in its `Adoption`, with the reason, and the others are adopted. See `adopt`.
    """
    from huldra.scheduling import adoption

    configs = new.values() if isinstance(new, Mapping) else new
    namespace = of if of is None or isinstance(of, str) else namespace_of(of)
    return adoption.adopt_all(configs, differing, of=namespace, dry_run=dry_run)


def run(run_id: str) -> Sweep[Any]:
    """Return the sweep of an earlier submission, from its run in the store; submits nothing.

    `run_id` is as `huldra sweeps` lists it, or its beginning, or the name of a sweep (its newest
    run). The jobs are found again at their engine. Imports the
    classes of the members.

    Raises:
        HuldraArtifactMissing: the current root has no such run, or it cannot be read.
        HuldraQueryError: more than one run begins so; the message lists them.
        HuldraSerializationError: a class or a field of a member is gone.
    """
    from huldra.scheduling.job import Job
    from huldra.scheduling.sweep import Sweep

    root = HULDRA_CONFIG.root
    described = Catalog([root]).run_record(run_id)
    record = run_record.read(StorePaths(root).run_record(described.run_id))
    if described.problem or record is None:
        raise HuldraArtifactMissing(
            f"run {described.run_id} in {root}/{RUNS} cannot be read: {described.problem}; `huldra"
            " sweeps` lists the runs"
        )
    built: dict[str, Any] = {}
    jobs = {}
    for name, key in described.members.items():
        obj = _member(key, record, built)
        attempt = claim.last_attempt(paths_of(obj))
        jobs[name] = Job[Any](obj, None, attempt.ref if attempt else None)
    return Sweep(jobs, described.name)


def _member(key: str, record: run_record.RunRecord, built: dict[str, Any]) -> Any:
    """A member's config: from the run, or, complete when the run was sent, from its artifact."""
    objects, digest = record.objects(), key.rpartition("/")[2]
    if digest in objects:
        return documents.build(digest, objects, built)
    return _the_artifact(key).object()
