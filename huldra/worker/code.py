"""Whether this process has the driver's code, asked before it takes a node.

    take the driver's import order → import → compare what was imported with the run record

A warm process keeps what it has imported: another clone's modules, perhaps, or modules as they were
before an edit. One that can be replaced serves a single import order, and no module that was edited
since it was loaded: it raises `NeedsNewProcess` instead. What was imported is then compared with
what the driver recorded, and there are three cases:

* the same digest is the same code, wherever its file is on this machine;
* the driver's own file, written to after the graph was sent: the user has edited it meanwhile. The
  node is made, with a warning in its log;
* all else is another's code, and fails the node.

The driver's own process has the driver's code, and is not asked.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from huldra.errors import NodeFailed
from huldra.provenance import code_store, sources
from huldra.provenance.sources import Source
from huldra.worker import frozen_code

# By less than this the clocks of the driver and of the file server with its sources differ.
_CLOCK_SKEW_S = 300.0
_Order = tuple[Sequence[str], Sequence[str] | None]


class NeedsNewProcess(Exception):
    """This process has other code in memory than the node wants; the text says which.

    Raised before the node is touched: a new process that runs the same payload makes it.
    """


@dataclass
class _State:
    """What this process has of drivers: an import order, and the run that it was compared with."""

    own_path: tuple[str, ...] | None = None
    order: _Order | None = None
    run: str = ""
    compared: tuple[str, int] | None = None
    edited: tuple[str, ...] = ()
    recorded: tuple[str, Mapping[str, str]] = ("", {})


_state = _State()


def enter(run_path: str, record: Mapping[str, Any], *, can_renew: bool) -> None:
    """Take the import order of a run's driver, before anything is imported for it.

    Raises `NeedsNewProcess`, where `can_renew` says that this process can be replaced, if it has
    loaded modules by another driver's order, or modules that were edited since.
    """
    if run_path == _state.run:
        return
    copies = frozen_code.copies_of(record)
    order = tuple(frozen_code.import_path(record, copies)), record.get("interpreter_path")
    sources.notice()
    if can_renew:
        _refuse_old_memory(order)
    if order != _state.order:
        _take(order)
        _state.order = order
    sources.use_copies(copies)
    importlib.invalidate_caches()  # a file of an edit may be as old as the last look at its folder
    _state.run = run_path


def _refuse_old_memory(order: _Order) -> None:
    if _state.order is not None and order != _state.order and sources.loaded():
        raise NeedsNewProcess("it has loaded modules of a driver with a different import path")
    if changed := sources.outdated():
        raise NeedsNewProcess(f"the file of its module {changed[0]} was edited meanwhile")


def _take(order: _Order) -> None:
    if _state.own_path is None:
        _state.own_path = tuple(sys.path)
    drivers, interpreters = order
    if interpreters is None:  # a version before this one sent the run
        sys.path[:] = dict.fromkeys([*_state.own_path, *drivers])
    else:
        sys.path[:] = merged(drivers, interpreters, _state.own_path)


def merged(
    drivers: Iterable[str], drivers_interpreter: Iterable[str], own: Iterable[str]
) -> list[str]:
    """The import path of a worker: the driver's in its order, then what only the worker has.

    Another interpreter's folders (`drivers_interpreter`) would break this one: in their place stand
    this interpreter's own, and they come last, for pure modules that are nowhere else.
    """
    theirs = set(drivers_interpreter)
    ours = [entry for entry in own if sources.is_interpreters(entry)]
    if theirs == set(ours):
        return list(dict.fromkeys([*drivers, *own]))
    path: list[str] = []
    for entry in drivers:
        path += ours if entry in theirs else [entry]
    last = [entry for entry in drivers if entry in theirs]
    return list(dict.fromkeys([*path, *own, *last]))


def compare(run_path: str, record: Mapping[str, Any], *, can_renew: bool) -> tuple[str, ...]:
    """Compare what this process has imported with what the run's driver recorded.

    Returns the modules that were edited after the graph was sent, which are the driver's still.
    Raises `NodeFailed` for another's code, naming the file that was wanted and the one that is
    here; `NeedsNewProcess` for a module that was written to while it was imported.
    """
    if _state.compared != (run_path, len(sys.modules)):
        wanted = record.get("sources") or {}
        sources.notice(wanted, doubts=can_renew)
        here = sources.loaded()
        sent_at_s = datetime.fromisoformat(record["created_at"]).timestamp()
        _state.edited = tuple(
            name
            for name, words in wanted.items()
            if name in here
            and _is_edited(name, Source.from_json(words), here[name], sent_at_s, can_renew)
        )
        _state.compared = run_path, len(sys.modules)
    return _state.edited


def recorded(run_path: str, record: Mapping[str, Any]) -> Mapping[str, str]:
    """Return what the driver kept of the code of its run's classes, by namespace.

    Empty where a file that a class can reach is another one here, imported or not: then a class is
    looked at in this process. The files are read once for a run, and not parsed.
    """
    if _state.recorded[0] != run_path:
        found = record.get("class_code") or {}
        is_same = code_store.is_as_recorded(found.get("files") or {})
        _state.recorded = run_path, found.get("digests") or {} if is_same else {}
    return _state.recorded[1]


def edited_since(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the modules in memory that come from a frozen copy, and are other ones by now."""
    here = sources.loaded()
    return tuple(
        name
        for name, words in (record.get("sources") or {}).items()
        if name in here
        and (wanted := Source.from_json(words)).file == sources.original(here[name].file)
        and wanted.file != here[name].file
        and (found := sources.read(wanted.file)) is not None
        and found.digest != wanted.digest
    )


def _is_edited(name: str, wanted: Source, found: Source, sent_at_s: float, can_renew: bool) -> bool:
    """Return False for the driver's code, True for the driver's file with a later edit."""
    if wanted.digest == found.digest:
        return False
    if not found.digest and can_renew:
        raise NeedsNewProcess(f"{found.file} was written to while it was imported")
    if (
        found.digest
        and _is_same_file(wanted.file, found.file)
        and found.mtime_ns > max(wanted.mtime_ns, (sent_at_s - _CLOCK_SKEW_S) * 1e9)
    ):
        return True
    raise NodeFailed(_other_code(name, wanted, found))


def _is_same_file(one: str, other: str) -> bool:
    return one == other or os.path.realpath(one) == os.path.realpath(other)


def _other_code(name: str, wanted: Source, found: Source) -> str:
    here = sources.read(wanted.file)
    if here is None:
        fate = "which is not on this machine"
        cure = "copy the driver's code to this machine"
    elif here.digest != wanted.digest:
        fate = "which has different content on this machine"
        cure = "update it there, or use a folder that driver and workers share"
    else:
        fate = "which this process has not loaded since the last edit"
        cure = "start new workers (a new pool, if it is your own), and call again"
    return (
        f"this worker has other code than the driver: the module {name} was wanted from"
        f" {wanted.file} (digest {wanted.digest}), {fate}; found {found.file} (digest"
        f" {found.digest or 'unknown'}). Nothing was run; {cure}"
    )
