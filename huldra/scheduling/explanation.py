"""Why a call hits or misses, and what differs from the nearest artifact that exists."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from huldra.attempts.attempt import is_valid
from huldra.attempts.waiting import describe
from huldra.config import documents
from huldra.config.config_object import ConfigObject
from huldra.config.forms import RECORD_TAGS, default_of, record_of
from huldra.config.hashing import key_of, namespace_of
from huldra.config.import_paths import ImportPathError, find
from huldra.logs.console import for_terminal
from huldra.provenance.code_difference import CodeDifference
from huldra.scheduling.code_labels import difference_of
from huldra.scheduling.remedies import ABSENT as _ABSENT
from huldra.scheduling.remedies import Comparison, candidates
from huldra.settings import HULDRA_CONFIG
from huldra.store import claim, files, success
from huldra.store.layout import ArtifactPaths
from huldra.store.location import paths_of
from huldra.store.records import Attempt, AttemptStatus
from huldra.store.snapshot import has_outcome, outcome_before

_CANDIDATES_MAX = 2000
_SHOWN_MAX = 50  # differences
_SHOWN_CHARACTERS = 200  # of one value


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why: `is_hit`, the `reason` in words, and on a miss the nearest artifact and its differences.

    `differences` holds `(field path, its value there, our value)`. `code` is not None for a
    complete artifact that other code computed; `code.diff()` shows how it differs. `remedies` are
    lines of code that make the nearest artifact fit: declarations of what was moved, renamed or
    added, and values for changed defaults.
    """

    key: str
    is_hit: bool
    reason: str
    directory: str
    nearest: str | None = None
    differences: tuple[tuple[str, Any, Any], ...] = ()
    code: CodeDifference | None = None
    remedies: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{'hit' if self.is_hit else 'miss'}: {self.key}", f"  {self.reason}"]
        lines += [f"  {self.code}"] if self.code is not None else []
        if self.nearest is not None:
            lines.append(f"  nearest existing artifact: {self.nearest}")
            shown = self.differences[:_SHOWN_MAX]
            lines += [f"    {path}: {_shown(old)} → {_shown(new)}" for path, old, new in shown]
            if left := len(self.differences) - len(shown):
                lines.append(f"    and {left} more")
            if not self.differences and not self.remedies:
                lines.append(
                    "    no field differs: the class's cache_version, the type of a value or the"
                    " version of the hash rules does"
                )
            if self.remedies:
                lines.append(f"  {self._cure()}")
                lines += [f"    {line}" for line in self.remedies]
        return for_terminal("\n".join(lines))

    __repr__ = __str__

    def _cure(self) -> str:
        if self.differences:
            return "what was moved, renamed or has a new default fits with:"
        return "only names differ, or fields were added; this makes the artifact a hit:"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def explain(obj: ConfigObject) -> Explanation:
    """Look at the artifact of `obj` and, when it is not there, at those of its class that are."""
    key, paths = key_of(obj), paths_of(obj)
    if success.is_complete(paths):
        is_hit, code = is_valid(obj, key, paths), difference_of(obj, paths)
        reason = "complete, and _validate accepts it"
        if not is_hit:
            reason = "complete, but _validate returns False"
            if code is not None and HULDRA_CONFIG.code == "strict":
                reason = "complete, but HULDRA_CODE=strict, and other code computed it"
        return Explanation(key, is_hit, reason, paths.directory, code=code)
    attempt = claim.last_attempt(paths)
    if attempt is not None:
        return Explanation(key, False, _reason(paths, attempt), paths.directory)
    reason = f"no attempt is recorded in {paths.directory}"
    return _with_nearest(obj, Explanation(key, False, reason, paths.directory), paths)


def _reason(paths: ArtifactPaths, attempt: Attempt) -> str:
    if attempt.end is None:
        return describe(paths, attempt)
    # A retry that never began says nothing of the artifact: what stands is what was before it.
    attempt = outcome_before(paths, attempt) or attempt
    if not has_outcome(attempt):
        return "it was queued before but never started"
    if attempt.status is AttemptStatus.FAILED and attempt.end and attempt.end.error:
        error = attempt.end.error
        return f"the last attempt failed: {error.type}: {error.message}; log: {paths.log}"
    return f"the last attempt ended as {attempt.status.value}; log: {paths.log}"


def _with_nearest(obj: ConfigObject, miss: Explanation, paths: ArtifactPaths) -> Explanation:
    """Add the artifact that differs least: of the class, or of one that it may have been."""
    ours = documents.to_document(obj)
    best: tuple[ArtifactPaths, Comparison] | None = None
    for other in _siblings(paths):
        best = _nearer(best, other, obj, ours)
    if best is None or best[1].differences:
        fields = [spec.hashed_name for spec in record_of(type(obj), "huldra").fields]
        for other in candidates(HULDRA_CONFIG.root, namespace_of(type(obj)), fields):
            best = _nearer(best, other, obj, ours)
    if best is None:
        return miss
    nearest, compared = best
    return replace(
        miss,
        nearest=nearest.directory,
        differences=tuple(compared.differences),
        remedies=(*compared.remedies, *_of_defaults(obj, compared.differences)),
    )


def _nearer(
    best: tuple[ArtifactPaths, Comparison] | None,
    other: ArtifactPaths,
    obj: ConfigObject,
    ours: Mapping[str, Any],
) -> tuple[ArtifactPaths, Comparison] | None:
    record = files.read_object(other.metadata)
    if record is None or not success.is_complete(other):
        return best
    compared = _compare(record, obj, ours)
    return (other, compared) if best is None or compared.rank < best[1].rank else best


def _compare(record: Mapping[str, Any], obj: ConfigObject, ours: Mapping[str, Any]) -> Comparison:
    compared = Comparison(_namespaces_in(record))
    theirs = record.get("huldra_obj")
    if isinstance(theirs, Mapping) and isinstance(theirs.get("objects"), Mapping):
        compared.compare(theirs, ours)
    else:
        compared.differences.append(("", "<no config is recorded>", ours["root"]))
    version = type(obj).__huldra_cache_version__
    if record.get("cache_version") != version:
        compared.differences.append(("cache_version", record.get("cache_version"), version))
    return compared


def _namespaces_in(record: Mapping[str, Any]) -> dict[str, str]:
    """The namespaces of an artifact and of its dependencies, by their hashes."""
    found = {str(record.get("huldra_hash")): str(record.get("namespace"))}
    dependencies = record.get("dependencies")
    for dependency in dependencies if isinstance(dependencies, list) else ():
        if isinstance(dependency, Mapping):
            found[str(dependency.get("hash"))] = str(dependency.get("namespace"))
    return found


def _of_defaults(obj: ConfigObject, differences: list[tuple[str, Any, Any]]) -> Iterator[str]:
    """Values to give for fields that differ because nobody gave one, and the default is new."""
    for path, was, now in differences:
        default = default_of(type(obj), path, _ABSENT)
        is_scalar = isinstance(was, str | int | float) and was != _ABSENT
        if is_scalar and default is not _ABSENT and type(default) is type(now) and default == now:
            yield f"{type(obj).__qualname__}({path}={was!r})  # the default is {now!r} now"


def _siblings(paths: ArtifactPaths) -> Iterator[ArtifactPaths]:
    folder = os.path.dirname(paths.directory)
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= _CANDIDATES_MAX:
                    return
                yield ArtifactPaths(entry.path)
    except FileNotFoundError:
        return


def flat_document(document: Any, *, hashed_only: bool = False) -> dict[str, Any]:
    """A config document as one level of `path → value`, nested artifacts taken apart, too.

    An artifact that stands in several places is taken apart in the first one only, so that a
    diamond stays as small as it is; in the others it counts as one value. With `hashed_only` fields
    that do not count for the hash are left out: they are no reason for a miss.
    """
    flat: dict[str, Any] = {}
    if not isinstance(document, Mapping) or not isinstance(document.get("objects"), Mapping):
        return flat
    objects, seen = document["objects"], set()
    rest: list[tuple[str, Any]] = [("", {"$huldra": document.get("root")})]
    while rest:
        path, value = rest.pop()
        ref = value.get("$huldra") if isinstance(value, Mapping) else None
        record = _record_in(value)
        if isinstance(ref, str) and isinstance(objects.get(ref), Mapping) and ref not in seen:
            seen.add(ref)
            record = objects[ref]
        if record is not None:
            if path:
                flat[f"type({path})"] = record.get("class")
            value = _fields_of(record, hashed_only)
        inner = _inside(path, value)
        rest += reversed(inner)
        if not inner:
            flat[path] = value
    return flat


def _fields_of(record: Mapping[str, Any], hashed_only: bool) -> Any:
    fields = record.get("fields")
    if not hashed_only or not isinstance(fields, Mapping):
        return fields
    unhashed = _unhashed_fields(str(record.get("class")))
    return {name: value for name, value in fields.items() if name not in unhashed}


def _unhashed_fields(name: str) -> frozenset[str]:
    """The fields that the hash leaves out, of a class that this process has loaded."""
    if name.partition(":")[0] not in sys.modules:
        return frozenset()  # to look at an artifact imports nothing
    for tag in ("huldra", *RECORD_TAGS):
        with contextlib.suppress(ImportPathError):
            specs = record_of(find(name), tag).fields
            return frozenset(spec.name for spec in specs if not spec.is_hashed)
    return frozenset()


def _record_in(value: Any) -> Mapping[str, Any] | None:
    """What is written of a dataclass, a plain chz object or their like; None for another value."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    ((form, body),) = value.items()
    if form.removeprefix("$") not in RECORD_TAGS or form[:1] != "$":
        return None
    is_record = isinstance(body, Mapping) and isinstance(body.get("fields"), Mapping)
    return body if is_record else None


def _inside(path: str, value: Any) -> list[tuple[str, Any]]:
    """What stands in a field's value, with paths; nothing when the value counts as one."""
    if isinstance(value, Mapping) and set(value) == {"$tuple"}:
        value = value["$tuple"]
    if isinstance(value, Mapping) and set(value) == {"$dict"}:
        pairs = [pair for pair in value["$dict"] if isinstance(pair, list) and len(pair) == 2]
        return [(f"{path}[{key!r}]", item) for key, item in pairs]
    if isinstance(value, list):
        return [(f"{path}[{i}]", item) for i, item in enumerate(value)]
    if isinstance(value, Mapping) and not any(str(name).startswith("$") for name in value):
        return [(f"{path}.{name}" if path else str(name), item) for name, item in value.items()]
    return []


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for path in dict.fromkeys([*old, *new]):
        was, now = old.get(path, _ABSENT), new.get(path, _ABSENT)
        if type(was) is not type(now) or was != now:
            yield path, was, now


def document_differences(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Give `(field path, one's value, the other's)` where two documents of configs differ."""
    yield from _differences(flat_document(one), flat_document(other))
