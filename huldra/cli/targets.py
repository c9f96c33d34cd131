"""From what a person typed to the configs and artifacts that are meant, for all commands alike.

A TARGET is `pkg.mod:Class field=value …`, `pkg.mod:MyExperiments`, a run, or an artifact's ID. Only
the first two import user code at once; a run or an ID does when its configs are asked for.
"""

from __future__ import annotations

import difflib
import importlib
import itertools
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from huldra.catalog import Catalog, Row
from huldra.catalog.runs import RunRecord, read_run
from huldra.cli.output import CommandError, UsageError

if TYPE_CHECKING:
    from huldra import Huldra

_CODE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_MAX_LISTED = 8
_MAX_GRID = 10_000

Configs = Mapping[str, "Huldra[Any]"]


@dataclass(frozen=True)
class Target:
    """What a command is about: artifacts by name, and the way to their configs.

    `keys` maps each member's name to its key. `found` says what the words were taken for. `listed`
    is the `HuldraList` that the target is, if it is one; `run_id` the run. `parts` are the runs and
    artifacts of which several words make one target.
    """

    words: tuple[str, ...]
    found: str
    keys: Mapping[str, str]
    built: Configs | None = None
    listed: Any = None
    run_id: str = ""
    needs: tuple[str, ...] = ()
    parts: tuple[Target, ...] = ()

    @property
    def run_ids(self) -> frozenset[str]:
        """The runs that are in the target."""
        return frozenset(part.run_id for part in self.parts or (self,) if part.run_id)

    @property
    def named_keys(self) -> frozenset[str]:
        """The keys that the words name themselves, and not as members of a run."""
        parts = (part for part in self.parts or (self,) if not part.run_id)
        return frozenset(key for part in parts for key in part.keys.values())

    @property
    def text(self) -> str:
        """The words as they can be pasted into a shell."""
        import shlex

        return shlex.join(self.words)

    def configs(self) -> Configs:
        """Return the configs by name; imports the classes of a run or an ID.

        Raises `CommandError` where a class cannot be imported or has changed.
        """
        if self.built is not None:
            return self.built
        if self.parts:
            found = {
                part.keys[name]: config
                for part in self.parts
                for name, config in part.configs().items()
            }
            return {name: found[key] for name, key in self.keys.items()}
        import huldra

        if self.run_id:
            return {name: job.artifact for name, job in huldra.run(self.run_id).items()}
        return {name: _opened(key) for name, key in self.keys.items()}

    def rows(self, catalog: Catalog) -> list[Row]:
        """Return the members' artifacts as the store has them; those that it lacks are left out."""
        snapshot = catalog.snapshot()
        found = [snapshot.get(key) for key in dict.fromkeys(self.keys.values())]
        return [row for row in found if row is not None]


def is_code(word: str) -> bool:
    """Return True if `word` has the form `pkg.mod:Name`."""
    return _CODE.fullmatch(word) is not None


def resolve(catalog: Catalog, words: Sequence[str], grid: Sequence[str] = ()) -> Target:
    """Return what the words mean: code with its fields, or runs and IDs.

    `grid` holds `field=value,value` words: one config for each combination.

    Raises:
        UsageError: the words cannot be read, or a field or a value does not fit.
        CommandError: nothing matches; the message says what was found.
    """
    if is_code(words[0]):
        target = _code_target(words, grid)
        axes = [word for given in grid for word in ("-m", given)]
        return replace(target, words=(*words, *axes))
    if grid:
        raise UsageError(f"-m is for pkg.mod:Class; {words[0]!r} is a run or an ID")
    targets = [_stored(catalog, word) for word in words]
    if len(targets) == 1:
        return targets[0]
    return _joined(words, targets)


def _joined(words: Sequence[str], parts: Sequence[Target]) -> Target:
    """Several runs and artifacts as one; a name that two keys have gets its run before it."""
    pairs = list(dict.fromkeys(pair for part in parts for pair in part.keys.items()))
    count = Counter(name for name, _ in pairs)
    keys: dict[str, str] = {}
    for part in parts:
        for name, key in part.keys.items():
            keys[name if count[name] == 1 else f"{part.run_id or key}/{name}"] = key
    needs = tuple(dict.fromkeys(key for part in parts for key in part.needs))
    found = ", ".join(part.found for part in parts)
    return Target(tuple(words), found, keys, needs=needs, parts=tuple(parts))


# ---- runs and IDs -------------------------------------------------------------------------------


def _stored(catalog: Catalog, word: str) -> Target:
    """A run (an id, its beginning, or a sweep's name), or an artifact's ID."""
    runs, rows = catalog.find_runs(word), catalog.find(word)
    if len(runs) == 1 and not rows:
        return _of_run(word, read_run(*runs[0]))
    if len(rows) == 1 and not runs:
        return Target((word,), f"artifact {rows[0].key}", {rows[0].label: rows[0].key})
    if not runs and not rows:
        raise CommandError(_nothing(catalog, word))
    named = [f"run {run_id}" for _, run_id in runs] + [row.key for row in rows]
    shown = "\n  ".join(named[:_MAX_LISTED])
    more = f"\n  and {len(named) - _MAX_LISTED} more" if len(named) > _MAX_LISTED else ""
    raise CommandError(f"{word!r} may mean, so give more of it:\n  {shown}{more}")


def _of_run(word: str, record: RunRecord) -> Target:
    """The members of a run by name, and what they need."""
    members = {name: key for name, key in record.members.items() if name}
    named = set(members.values())
    keys = dict.fromkeys([*record.members.values(), *record.needed])
    needs = tuple(key for key in keys if key not in named)
    return Target((word,), f"run {record.run_id}", members, run_id=record.run_id, needs=needs)


def _nothing(catalog: Catalog, word: str) -> str:
    names = [run.name for run in catalog.sweeps() if run.name]
    names += sorted({row.class_name for row in catalog.snapshot().rows})
    near = difflib.get_close_matches(word, names, n=3)
    return (
        f"{word!r} is no run and no artifact of {', '.join(catalog.roots)}"
        + (f" (near it: {', '.join(near)})" if near else "")
        + "\nwanted: pkg.mod:Class field=value …, pkg.mod:MyExperiments, a run (`huldra sweeps`"
        " lists them), or an artifact's hash (4 digits or more), Class/<hash> or directory"
    )


def _opened(key: str) -> Huldra[Any]:
    import huldra
    from huldra.errors import HuldraError

    found = huldra.open(key)
    if isinstance(found, huldra.Huldra):
        return found
    try:
        return found.object()
    except HuldraError as error:
        raise CommandError(f"{key} cannot be had as a config: {error}") from error


# ---- code ---------------------------------------------------------------------------------------


def _code_target(words: Sequence[str], grid: Sequence[str]) -> Target:
    import huldra

    thing = load(words[0])
    if isinstance(thing, type) and issubclass(thing, huldra.Huldra):
        configs = _of_class(thing, words[1:], grid)
        kind = "grid of " if grid else ""
        return _built(words, f"{kind}the class {words[0]}", configs)
    if len(words) > 1 or grid:
        raise UsageError(
            f"{words[0]} is {_described(thing)}, which takes no fields; found {words[1:] or grid}"
        )
    if isinstance(thing, huldra.Huldra):
        return _built(words, f"the config {words[0]}", {words[0].rpartition(":")[2]: thing})
    if isinstance(thing, type) and issubclass(thing, huldra.HuldraList):
        return _built(words, f"the list {words[0]}", dict(thing.items()), listed=thing)
    collection = _of_collection(thing)
    if collection is None:
        raise CommandError(
            f"{words[0]} is {_described(thing)}; wanted a Huldra class or config, a HuldraList, a"
            f" @huldra.task, or a list or dict of configs; {_offers(_module_of(words[0]))}"
        )
    return _built(words, f"the configs {words[0]}", collection)


def _built(words: Sequence[str], found: str, configs: Configs, listed: Any = None) -> Target:
    from huldra.config.hashing import key_of

    keys = {name: key_of(config) for name, config in configs.items()}
    return Target(tuple(words), found, keys, configs, listed)


def _of_collection(thing: Any) -> Configs | None:
    """The members of a list or a dict of configs; None for anything else."""
    import huldra

    values = (
        list(thing.values() if isinstance(thing, Mapping) else thing) if _is_many(thing) else []
    )
    if not values or not all(isinstance(value, huldra.Huldra) for value in values):
        return None
    if isinstance(thing, Mapping):
        return {str(name): config for name, config in thing.items()}
    return {f"{type(one).__name__}_{one.huldra_hash[:9]}": one for one in values}


def _is_many(thing: Any) -> bool:
    return isinstance(thing, Mapping | list | tuple)


def _described(thing: Any) -> str:
    kind = type(thing)
    return f"a {kind.__module__}.{kind.__qualname__}" if not isinstance(thing, type) else "a class"


def load(word: str) -> Any:
    """Import what `pkg.mod:Name` names; the working directory is looked through first.

    Raises `CommandError`: where it was looked for, what went wrong there, and near names.
    """
    module, qualname = _module_of(word), word.partition(":")[2]
    thing: Any = module
    for part in qualname.split("."):
        try:
            thing = getattr(thing, part)
        except AttributeError:
            near = difflib.get_close_matches(part, dir(thing), n=3)
            raise CommandError(
                f"{module.__name__} ({module.__file__}) has no {qualname!r}"
                + (f"; near it: {', '.join(near)}" if near else "")
                + f"; {_offers(module)}"
            ) from None
    return thing


def _module_of(word: str) -> ModuleType:
    name = word.partition(":")[0]
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)  # as `python -m` has it; workers get the path from here
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise CommandError(
                f"no module {error.name!r}; looked in {here} and the rest of sys.path; start in the"
                " folder that holds it, or set PYTHONPATH"
            ) from None
        raise CommandError(_broken(name, error)) from error
    except (Exception, SystemExit) as error:
        raise CommandError(_broken(name, error)) from error


def _broken(name: str, error: BaseException) -> str:
    what = f"{type(error).__name__}: {error}{_place_of(error)}"
    return f"the module {name!r} cannot be imported: {what}"


def _place_of(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1:]
    return f"\n  at {last[0].filename}:{last[0].lineno}: {last[0].line}" if last else ""


def _offers(module: ModuleType) -> str:
    """What of a module can be a target, for messages."""
    import huldra

    kinds = (huldra.Huldra, huldra.HuldraList)
    names = [
        name
        for name, value in vars(module).items()
        if isinstance(value, huldra.Huldra)
        or (isinstance(value, type) and issubclass(value, kinds) and value not in kinds)
    ]
    shown = ", ".join(names[:_MAX_LISTED])
    return f"targets in it: {shown}" if names else "no target is in it"


# ---- fields -------------------------------------------------------------------------------------


def _of_class(cls: Any, words: Sequence[str], grid: Sequence[str]) -> Configs:
    """One config of the class, or one for each combination of the grid's values."""
    if not grid:
        config = build(cls, words)
        return {f"{cls.__name__}_{config.huldra_hash[:9]}": config}
    axes = [_axis(word) for word in grid]
    _refuse_twice([word.partition("=")[0] for word in words] + [field for field, _ in axes])
    count = 1
    for _, values in axes:
        count *= len(values)
    if count > _MAX_GRID:
        raise UsageError(f"-m: {count} combinations; at most {_MAX_GRID} are taken at once")
    named = {}
    for chosen in itertools.product(*(values for _, values in axes)):
        pairs = [f"{field}={value}" for (field, _), value in zip(axes, chosen, strict=True)]
        named[",".join(pairs)] = build(cls, [*words, *pairs])
    return named


def _refuse_twice(fields: Sequence[str]) -> None:
    for field, count in Counter(fields).items():
        if count > 1:
            raise UsageError(f"-m: the field {field!r} is given {count} times; give it once")


def _axis(word: str) -> tuple[str, list[str]]:
    field, equals, values = word.partition("=")
    if not equals or not field or not values:
        raise UsageError(f"-m wants field=value,value; found {word!r}")
    return field, list(dict.fromkeys(values.split(",")))


def build(cls: Any, words: Iterable[str]) -> Huldra[Any]:
    """Build a config as chz's command line does, from `field=value` words.

    Raises `UsageError` with chz's words for a field that is unknown or missing, or a bad value; so
    for anything that a check of the class raises.
    """
    from chz import blueprint

    from huldra.errors import HuldraError

    words = list(words)

    try:
        arguments = blueprint.argv_to_blueprint_args(words)
        config: Huldra[Any] = (
            blueprint.Blueprint(cls).apply(arguments, layer_name="command line").make()
        )
        config.huldra_hash  # noqa: B018  a value without a stable identity is refused here
    except blueprint.EntrypointHelpException:
        raise
    except (
        blueprint.ConstructionException,
        blueprint.ExtraneousBlueprintArg,
        blueprint.InvalidBlueprintArg,
        blueprint.MissingBlueprintArg,
        TypeError,
        ValueError,
    ) as error:
        raise UsageError(
            f"{cls.__name__}: {error}\nto see the fields: huldra run"
            f" {cls.__module__}:{cls.__qualname__} --help"
        ) from error
    except HuldraError:
        raise
    except Exception as error:
        raise UsageError(
            f"{cls.__name__} cannot be built of {' '.join(words)}: {type(error).__name__}: {error}"
            f"{_place_of(error)}"
        ) from error
    return config


def fields_help(cls: Any, words: Iterable[str]) -> str:
    """Return chz's help on the fields of a class: names, types, values and defaults."""
    from chz import blueprint

    given = [word for word in words if "=" in word]
    made = blueprint.Blueprint(cls).apply(
        blueprint.argv_to_blueprint_args(given), layer_name="command line"
    )
    return made.get_help()
