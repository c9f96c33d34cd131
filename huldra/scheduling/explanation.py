"""Why a call hits or misses, and what differs from the nearest artifact that exists."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from huldra.attempts.attempt import is_valid
from huldra.attempts.waiting import describe
from huldra.config import documents
from huldra.config.config_object import ConfigObject
from huldra.config.forms import RECORD_TAGS, record_of
from huldra.config.hashing import key_of
from huldra.config.import_paths import ImportPathError, find
from huldra.logs.console import for_terminal
from huldra.provenance.code_difference import CodeDifference
from huldra.scheduling.code_labels import difference_of
from huldra.settings import HULDRA_CONFIG
from huldra.store import claim, files, success
from huldra.store.layout import ArtifactPaths
from huldra.store.location import paths_of
from huldra.store.records import Attempt, AttemptStatus
from huldra.store.snapshot import has_outcome, outcome_before

_CANDIDATES_MAX = 2000
_ABSENT = "<no such field>"
_SHOWN_MAX = 50  # differences
_SHOWN_CHARACTERS = 200  # of one value


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why: `is_hit`, the `reason` in words, and on a miss the nearest artifact and its differences.

    `differences` holds `(field path, its value there, our value)`. `code` is not None for a
    complete artifact that other code computed; `code.diff()` shows how it differs.
    """

    key: str
    is_hit: bool
    reason: str
    directory: str
    nearest: str | None = None
    differences: tuple[tuple[str, Any, Any], ...] = ()
    code: CodeDifference | None = None

    def __str__(self) -> str:
        lines = [f"{'hit' if self.is_hit else 'miss'}: {self.key}", f"  {self.reason}"]
        lines += [f"  {self.code}"] if self.code is not None else []
        if self.nearest is not None:
            lines.append(f"  nearest existing artifact: {self.nearest}")
            shown = self.differences[:_SHOWN_MAX]
            lines += [f"    {path}: {_shown(old)} → {_shown(new)}" for path, old, new in shown]
            if left := len(self.differences) - len(shown):
                lines.append(f"    and {left} more")
            if not self.differences:
                lines.append(
                    "    no field differs: the class's cache_version, the type of a value or the"
                    " version of the hash rules does"
                )
        return for_terminal("\n".join(lines))

    __repr__ = __str__


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
    document = documents.to_document(obj)
    nearest, differences = _nearest(paths, _flat_document(document, hashed_only=True))
    reason = f"no attempt is recorded in {paths.directory}"
    return Explanation(key, False, reason, paths.directory, nearest, differences)


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


def _nearest(
    paths: ArtifactPaths, config: Mapping[str, Any]
) -> tuple[str | None, tuple[tuple[str, Any, Any], ...]]:
    """The made artifact of the same class that differs in the fewest fields."""
    best: tuple[str | None, tuple[tuple[str, Any, Any], ...]] = (None, ())
    for other in _siblings(paths):
        record = files.read_object(other.metadata)
        if record is None or not success.is_complete(other):
            continue
        other_config = _flat_document(record.get("huldra_obj"), hashed_only=True)
        differences = tuple(_differences(other_config, config))
        if best[0] is None or len(differences) < len(best[1]):
            best = (other.directory, differences)
    return best


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


def _flat_document(document: Any, *, hashed_only: bool = False) -> dict[str, Any]:
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
    yield from _differences(_flat_document(one), _flat_document(other))
