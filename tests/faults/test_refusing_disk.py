"""A disk that refuses once, at a bad moment: no claim stays open, and no result is lost for it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.attempts import attempt
from huldra.engines.protocol import OnSubmitted, TaskGraph
from huldra.errors import HuldraSubmitError
from huldra.store import claim, files, retries
from huldra.store.layout import ArtifactPaths
from huldra.worker.node import NodeFailed, run_node
from tests.faults.samples import HeldEngine, Loud, payload_of
from tests.support import children
from tests.support.odd import Failing, Note

Refuse = Callable[[str, str, int], None]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Have the first calls of a function of `os` fail, on names that end like this."""

    def refuse(function: str, suffix: str, times: int) -> None:
        original = getattr(os, function)
        left = [times]

        def refusing(*arguments: Any, **keywords: Any) -> Any:
            if str(arguments[-1]).endswith(suffix) and left[0]:
                left[0] -= 1
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return original(*arguments, **keywords)

        monkeypatch.setattr(os, function, refusing)

    return refuse


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "_END_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(retries, "_FIRST_PAUSE_S", 0.05)


def paths_of(obj: huldra.Huldra[str]) -> ArtifactPaths:
    return ArtifactPaths(str(obj.huldra_dir))


def statuses(obj: huldra.Huldra[str]) -> list[str]:
    return [found.status.value for found in huldra.StateManager.history(obj.huldra_dir)]


def test_start_that_gets_only_its_first_name_is_ended_at_once(
    huldra_root: Path, refuse: Refuse
) -> None:
    """A job whose second link the disk refused blocks no other process while its worker lives."""
    note = Note(name="a")
    payload = payload_of(note)
    refuse("link", "2", 1)
    with pytest.raises(NodeFailed, match="Input/output error"):
        run_node(payload)
    assert claim.has_ended(paths_of(note), 2)
    assert note.load_or_create() == "a"


def test_end_that_the_disk_refuses_for_a_while_is_made_up_for(
    huldra_root: Path, refuse: Refuse
) -> None:
    """Neither the end nor the one without a word can be written: both are tried again."""
    note = Note(name="a")
    refuse("link", "1.end", 6)
    with pytest.raises(huldra.HuldraStoreError, match="Input/output error"):
        note.load_or_create()
    children.until(lambda: claim.has_ended(paths_of(note), 1), "the end of the attempt")
    assert note.load_or_create() == "a"
    assert statuses(note) == ["crashed", "success"]


@pytest.mark.parametrize("times", [1, 2])
def test_result_is_not_lost_for_an_end_that_was_refused(
    huldra_root: Path, refuse: Refuse, times: int
) -> None:
    """A passing fault costs a good result a moment, and not a second `_create`."""
    note = Note(name="a")
    refuse("link", "1.end", times)
    assert note.load_or_create() == "a"
    assert statuses(note) == ["success"]


def test_error_is_not_lost_for_an_end_that_was_refused(huldra_root: Path, refuse: Refuse) -> None:
    """What `_create` raised is recorded as such, and not as a crash that engines retry."""
    failing = Failing(name="f")
    refuse("link", "1.end", 1)
    with pytest.raises(huldra.HuldraComputeError, match="told to fail"):
        failing.load_or_create()
    assert statuses(failing) == ["failed"]


def test_link_that_was_made_and_denied_as_failed_is_ours(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second try that finds the end there knows its own words."""
    original = files._link
    reported: list[str] = []

    def made_and_denied(temporary: str, path: str, folder: files.Folder | None = None) -> bool:
        won = original(temporary, path, folder)
        if path == "1.end" and not reported:
            reported.append(path)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return won

    monkeypatch.setattr(files, "_link", made_and_denied)
    assert Note(name="a").load_or_create() == "a"
    assert statuses(Note(name="a")) == ["success"]


def test_success_record_that_is_refused_follows_by_itself(
    huldra_root: Path, refuse: Refuse
) -> None:
    """The end has decided: the call returns its result, and `SUCCESS.json` comes a moment later."""
    note = Note(name="a")
    refuse("replace", "SUCCESS.json", 2)
    assert note.load_or_create() == "a"
    children.until(note.exists, "SUCCESS.json")
    assert statuses(note) == ["success"]


def test_queued_attempt_that_cannot_be_freed_at_once_is_freed_later(
    huldra_root: Path, refuse: Refuse
) -> None:
    """A driver whose engine took nothing holds its nodes no longer than the disk is out."""
    note = Note(name="a")
    refuse("link", "1.end", 3)
    with pytest.raises(HuldraSubmitError):
        note.load_or_create(executor=Refusing())
    children.until(lambda: claim.has_ended(paths_of(note), 1), "the end of the queued attempt")
    assert note.load_or_create() == "a"


class Refusing(HeldEngine):
    """An engine that takes no graph."""

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Refuse."""
        raise HuldraSubmitError("the engine is out")


@pytest.mark.parametrize("label", ["state.json", "metadata.json"])
def test_result_is_not_lost_for_its_labels(huldra_root: Path, refuse: Refuse, label: str) -> None:
    """State and metadata that cannot be written cost a warning."""
    note = Note(name="a")
    refuse("replace", label, 9)
    assert note.load_or_create() == "a"
    assert note.exists()
    assert statuses(note) == ["success"]


def test_result_is_not_lost_for_its_log(huldra_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log cannot even be opened the artifact is made all the same."""
    note = Loud(name="a")
    original = os.open

    def refusing(path: Any, *arguments: Any, **keywords: Any) -> int:
        if str(path).endswith("huldra.log"):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return original(path, *arguments, **keywords)

    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.setattr("logging.raiseExceptions", False)
    assert note.load_or_create() == "a"
    assert statuses(note) == ["success"]
