"""What to declare so that an artifact of before stands for a config of a class that has changed.

The document of an artifact is compared with that of a config, object by object. What a declaration
makes equal (a class that moved, a field or an enum's member with another name, an added field) is
no difference: it becomes a line to paste. The rest are differences, by field path.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final

from huldra.config import identities
from huldra.config.forms import RECORD_TAGS, FieldSpec, RecordType, default_of, record_of
from huldra.config.import_paths import ImportPathError, find_loaded, is_in_source, is_known
from huldra.store import files, success
from huldra.store.layout import DATA, GIT, ArtifactPaths

ABSENT: Final = "<no such field>"
_SCALARS: Final = (type(None), bool, int, float, str)
_READ_MAX: Final = 1000  # artifacts of other classes
_OVERLAP: Final = 0.5  # of the fields: below it two classes are not the same one
_UNKNOWN: Final = object()

Difference = tuple[str, Any, Any]


@dataclass
class _Past:
    """What one class would declare."""

    tag: str
    cls: type
    name: str | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    absent: dict[str, Any] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """The lines to paste, each with the place that it belongs to."""
        where = f"  # in {self.cls.__module__}"
        if self.tag in ("chz", "huldra"):
            if self.name is not None and self.tag == "huldra":
                yield f'class {self.cls.__name__}(..., moved_from="{self.name}"):{where}'
            elif self.name is not None:
                yield f'@huldra.identity("{self.name}"){where}, above class {self.cls.__name__}'
            for name in {**self.renamed, **self.absent}:
                yield f"{self._field(name)}{where}.{self.cls.__qualname__}"
            return
        given = [f'"{self.name}"'] if self.name is not None else []
        given += [f"renamed_from={self.renamed!r}"] if self.renamed else []
        absent = ", ".join(f"{n!r}: {_source(value)}" for n, value in self.absent.items())
        given += [f"absent={{{absent}}}"] if absent else []
        yield f"@huldra.identity({', '.join(given)}){where}, above class {self.cls.__name__}"

    def _field(self, name: str) -> str:
        spec = next(s for s in record_of(self.cls, self.tag).fields if s.name == name)
        default = default_of(self.cls, name, _UNKNOWN)
        given = []
        if not spec.is_required or name in self.absent:
            value = self.absent.get(name) if default is _UNKNOWN else default
            given.append(f"default={_source(value) if type(value) in _SCALARS else '...'}")
        if name in self.renamed:
            given.append(f'renamed_from="{self.renamed[name]}"')
        if name in self.absent:
            given.append(f"absent={_source(self.absent[name])}")
        return f"{name}: {_annotation(self.cls, name)} = huldra.field({', '.join(given)})"


class Comparison:
    """How the config of an artifact differs from ours, and what a declaration would mend."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self.differences: list[Difference] = []
        self.names = names or {}  # digest → the namespace that an artifact's config has
        self._pasts: dict[type, _Past] = {}
        self._seen: set[tuple[Any, Any]] = set()
        self._old: Mapping[str, Any] = {}
        self._new: Mapping[str, Any] = {}

    @property
    def remedies(self) -> tuple[str, ...]:
        """The lines to paste."""
        return tuple(line for past in self._pasts.values() for line in past.lines())

    @property
    def rank(self) -> tuple[int, int]:
        """The smaller, the nearer."""
        return len(self.differences), len(self.remedies)

    def compare(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Comparison:
        """Compare two documents of configs; ours is `new`, and its classes are loaded."""
        self._old, self._new = old["objects"], new["objects"]
        waiting = [("", {"$huldra": old.get("root")}, {"$huldra": new["root"]})]
        while waiting:
            path, was, now = waiting.pop()
            waiting += reversed(list(self._inside(path, was, now)))
        return self

    def _inside(self, path: str, was: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
        """The pairs of values inside these two; none where they count as one value each."""
        was_tag, was_body = _form_of(was)
        now_tag, now_body = _form_of(now)
        if was_tag == now_tag == "huldra" or (was_tag == now_tag and now_tag in RECORD_TAGS):
            yield from self._records(path, now_tag, was_body, now_body)
        elif was_tag == now_tag and now_tag in ("enum", "type"):
            self._compare_names(path, now_tag, was, now)
        elif was_tag == now_tag == "tuple":
            yield path, was_body, now_body
        elif was_tag == now_tag == "dict":
            yield from _values_by_key(path, was_body, now_body)
        elif was_tag == now_tag == "" and _are_alike(was, now):
            yield from _parts(path, was, now)
        elif was != now or type(was) is not type(now):
            self.differences.append((path, was, now))

    def _records(self, path: str, tag: str, was: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
        namespace = None
        if tag == "huldra":
            if was == now or (was, now) in self._seen:
                return
            self._seen.add((was, now))
            namespace = self.names.get(was)
            was, now = self._old.get(was), self._new.get(now)
        if not _is_record(was):  # what is damaged has none of our fields
            lacking = now["fields"] if _is_record(now) else {}
            self.differences += [(_join(path, name), ABSENT, lacking[name]) for name in lacking]
            return
        record = _loaded_record(now["class"], tag)
        if not self._is_same_class(path, tag, was["class"], now["class"], record, namespace):
            return
        yield from self._fields(path, record, was["fields"], now["fields"])

    def _is_same_class(
        self,
        path: str,
        tag: str,
        was: str,
        now: str,
        record: RecordType | None,
        namespace: str | None,
    ) -> bool:
        """Return True if the class is the same, or would be by a declaration; else note that."""
        before = namespace or was.replace(":", "/")
        ours = (record and identities.declared(record.cls)) or now.replace(":", "/")
        if before == ours:
            return True
        if record is None or stands(before):
            self.differences.append((f"type({path})" if path else "type()", was, now))
            return False
        self._past(tag, record.cls).name = before
        return True

    def _past(self, tag: str, cls: type) -> _Past:
        return self._pasts.setdefault(cls, _Past(tag, cls))

    def _fields(
        self, path: str, record: RecordType | None, was: Mapping[str, Any], now: Mapping[str, Any]
    ) -> Iterator[tuple[str, Any, Any]]:
        """Pair the fields that count, by their names of now and before."""
        specs = {s.name: s for s in record.fields} if record else {}
        unhashed = {name for name, spec in specs.items() if not spec.is_hashed}
        left = {name: value for name, value in was.items() if name not in unhashed}
        added = {}
        for name, value in now.items():
            spec = specs.get(name, FieldSpec(name, name))
            if name in unhashed:
                continue
            if name in left:
                yield _join(path, name), left.pop(name), value
            elif spec.hashed_name in left:
                yield _join(path, name), left.pop(spec.hashed_name), value
            elif not _is_absent(spec, value):
                added[name] = value
        yield from self._changed_fields(path, record, left, added)

    def _changed_fields(
        self,
        path: str,
        record: RecordType | None,
        left: dict[str, Any],
        added: dict[str, Any],
    ) -> Iterator[tuple[str, Any, Any]]:
        """Take fields that are gone and fields that are new as renamed ones, where that fits."""
        for name, value in added.items():
            old = _renamed(value, left, only=len(left) == len(added) == 1)
            if record is not None and old is not None:
                self._past(record.tag, record.cls).renamed[name] = old
                yield _join(path, name), left.pop(old), value
            elif record is not None and _may_be_absent(record.cls, name, value):
                self._past(record.tag, record.cls).absent[name] = value
            else:
                self.differences.append((_join(path, name), ABSENT, value))
        self.differences += [(_join(path, name), value, ABSENT) for name, value in left.items()]

    def _compare_names(self, path: str, tag: str, was: Any, now: Any) -> None:
        """Compare a member of an enum, or a class as a value."""
        was_name, was_member = _name_in(was)
        now_name, now_member = _name_in(now)
        if was == now:
            return
        try:
            cls = find_loaded(now_name)
        except ImportPathError:
            cls = None
        before = was_name.replace(":", "/")
        if not isinstance(cls, type) or "[" in was_name + now_name:
            self.differences.append((path, was, now))
            return
        if before != (identities.declared(cls) or now_name.replace(":", "/")):
            if stands(before):
                self.differences.append((path, was, now))
                return
            self._past(_kind_of_class(cls, tag), cls).name = before
        if was_member == now_member:
            return
        members = getattr(cls, "__members__", {})
        declared = identities.renamed_parts(cls).get(str(now_member))
        if declared == was_member:
            return
        if isinstance(was_member, str) and was_member not in members and declared is None:
            self._past("enum", cls).renamed[str(now_member)] = was_member
        else:
            self.differences.append((path, was_member, now_member))


def _kind_of_class(cls: type, tag: str) -> str:
    if getattr(cls, "__huldra_class__", False):
        return "huldra"
    return "chz" if tag == "type" and hasattr(cls, "__chz_fields__") else tag


def _form_of(value: Any) -> tuple[str, Any]:
    """The tag and body of `{"$tag": body}`; no tag for another value."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((form, body),) = value.items()
        if isinstance(form, str) and form[:1] == "$":
            return form[1:], body
    return "", value


def _is_record(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("class"), str)
        and isinstance(value.get("fields"), Mapping)
    )


def _are_alike(was: Any, now: Any) -> bool:
    """Return True if both are lists, or plain dicts."""
    return any(isinstance(was, kind) and isinstance(now, kind) for kind in (list, Mapping))


def _parts(path: str, was: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(now, list):
        pairs = zip_longest(was, now, fillvalue=ABSENT)
        yield from ((f"{path}[{i}]", a, b) for i, (a, b) in enumerate(pairs))
        return
    for name in dict.fromkeys([*was, *now]):
        yield _join(path, str(name)), was.get(name, ABSENT), now.get(name, ABSENT)


def _values_by_key(path: str, was: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    """The values of two dicts whose keys are no names, which are written as lists of pairs."""
    old, new = ({repr(key): value for key, value in _pairs_in(body)} for body in (was, now))
    for key in dict.fromkeys([*old, *new]):
        yield f"{path}[{key}]", old.get(key, ABSENT), new.get(key, ABSENT)


def _pairs_in(body: Any) -> list[Any]:
    pairs = body if isinstance(body, list) else []
    return [pair for pair in pairs if isinstance(pair, list) and len(pair) == 2]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _loaded_record(name: Any, tag: str) -> RecordType | None:
    try:
        return record_of(find_loaded(name), tag)
    except ImportPathError:
        return None


def stands(name: str) -> bool:
    """Return True if the class `module/Class` is still there: loaded, or in a file on the path.

    Nothing is imported for that.
    """
    module, _, qualname = name.partition("/")
    try:
        found = find_loaded(f"{module}:{qualname}")
    except ImportPathError:
        return is_known(module) and is_in_source(module, qualname)
    is_it = isinstance(found, type) and found.__qualname__ == qualname
    return is_it and found.__module__ == module and is_in_source(module, qualname)


def _is_absent(spec: FieldSpec, value: Any) -> bool:
    return bool(spec.absent) and type(spec.absent[0]) in _SCALARS and spec.absent[0] == value


def _renamed(value: Any, left: Mapping[str, Any], *, only: bool) -> str | None:
    """The one field that is gone and had this value, or is the `only` one."""
    equal = [name for name, old in left.items() if type(old) is type(value) and old == value]
    if len(equal) == 1:
        return equal[0]
    alike = [name for name, old in left.items() if _form_of(old)[0] == _form_of(value)[0]]
    same_type = bool(alike) and type(left[alike[0]]) is type(value)
    return alike[0] if only and same_type and not equal else None


def _may_be_absent(cls: type, name: str, value: Any) -> bool:
    """Return True if a new field has the value that it has where nobody gives one."""
    if type(value) not in _SCALARS:
        return False
    default = default_of(cls, name, value)
    return bool(default == value)


def _name_in(value: Any) -> tuple[str, Any]:
    _, body = _form_of(value)
    if isinstance(body, list) and len(body) == 2:
        return str(body[0]), body[1]
    return str(body), None


def _annotation(cls: type, name: str) -> str:
    for klass in cls.__mro__:
        annotation = vars(klass).get("__annotations__", {}).get(name)
        if annotation is not None:
            return annotation if isinstance(annotation, str) else _type_text(annotation)
    return "..."


def _type_text(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)


def _source(value: Any) -> str:
    return repr(value) if type(value) in _SCALARS else "..."


# --- artifacts of other classes --------------------------------------------------------------


def candidates(root: str, own: str, fields: Iterable[str]) -> Iterator[ArtifactPaths]:
    """Complete artifacts of classes that are gone and may be ours of before, in their order.

    `own` is our namespace, and `fields` are the names of our fields.
    """
    wanted, count = frozenset(fields), 0
    for folder in _folders(root, own):
        for number, paths in enumerate(complete_in(folder)):
            count += 1
            if count > _READ_MAX:
                return
            if number == 0 and not _is_similar(paths, own, wanted):
                break
            yield paths


def _folders(root: str, own: str) -> list[str]:
    """The folders of other classes: first those of our name, then those of our module."""
    module, _, qualname = own.partition("/")
    found = [
        (name != qualname, other != module, f"{root}/{base}/{other}/{name}")
        for base in (DATA, GIT)
        for other in _names_in(f"{root}/{base}")
        for name in _names_in(f"{root}/{base}/{other}")
        if f"{other}/{name}" != own and not stands(f"{other}/{name}")
    ]
    return [folder for _, _, folder in sorted(found)]


def _names_in(folder: str) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError:  # gone meanwhile, or not ours to read
        return []


def complete_in(folder: str) -> Iterator[ArtifactPaths]:
    """The complete artifacts of one class, whose folder this is."""
    for name in _names_in(folder):
        paths = ArtifactPaths(os.path.join(folder, name))
        if success.is_complete(paths):
            yield paths


def _is_similar(paths: ArtifactPaths, own: str, wanted: frozenset[str]) -> bool:
    """Return True if the artifact's class has our class's name, or fields of our names."""
    record = files.read_object(paths.metadata) or {}
    config = record.get("config")
    names = frozenset(config) if isinstance(config, Mapping) else frozenset[str]()
    if str(record.get("namespace")).rpartition("/")[2] == own.rpartition("/")[2]:
        return True
    shared = len(names & wanted)
    return shared > 0 and shared >= _OVERLAP * max(len(names), len(wanted))
