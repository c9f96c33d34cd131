"""The truth of an artifact: when `SUCCESS.json` counts, and what its state is."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import huldra
from huldra.store import artifact, claim, success
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner
from huldra.store.records import AttemptStatus, Result
from tests.support.odd import Failing, Note, lines


@pytest.fixture
def made(huldra_root: Path, tmp_path: Path) -> Note:
    """An artifact that is made, with the ledger of its calls."""
    note = Note(name="a", ledger=str(tmp_path / "ledger"))
    assert note.load_or_create() == "a"
    return note


def paths(obj: huldra.Huldra[str]) -> ArtifactPaths:
    return ArtifactPaths(str(obj.huldra_dir))


def test_hit_writes_nothing(made: Note) -> None:
    """A hit changes no file and no time of the artifact."""
    before = {p: p.stat().st_mtime_ns for p in made.huldra_dir.rglob("*")}
    assert Note(name="a").load_or_create() == "a"
    assert {p: p.stat().st_mtime_ns for p in made.huldra_dir.rglob("*")} == before


@pytest.mark.parametrize(
    "content", ["", "{", "null", '{"huldra": 1}', '{"huldra": 1, "claim": "1", "hash": "x"}']
)
def test_broken_success_is_rewritten_from_the_claims(made: Note, content: str) -> None:
    """A truncated, empty or foreign SUCCESS.json is not believed; the attempt's end mends it."""
    Path(paths(made).success).write_text(content)
    assert not made.exists()
    assert made.load_or_create() == "a"
    assert made.exists()
    assert len(lines(made.ledger, "begin")) == 1


def test_lost_success_is_rewritten_without_a_recompute(made: Note) -> None:
    """A crash between the end of the attempt and SUCCESS.json costs nothing."""
    os.unlink(paths(made).success)
    assert made.load_or_create() == "a"
    assert len(lines(made.ledger, "begin")) == 1
    assert success.read_success(paths(made)) is not None


def test_success_of_a_newer_version_counts(made: Note) -> None:
    """Unknown keys and a higher format number are accepted."""
    path = Path(paths(made).success)
    record = {**json.loads(path.read_text()), "huldra": 99, "later": {"x": 1}}
    path.write_text(json.dumps(record))
    assert made.exists()


def test_success_without_claims_counts(made: Note) -> None:
    """An artifact that was copied or committed without its claims is a hit."""
    shutil.rmtree(paths(made).claims)
    assert made.load_or_create() == "a"
    assert len(lines(made.ledger, "begin")) == 1


def test_success_of_another_directory_does_not_count(made: Note) -> None:
    """A SUCCESS.json that speaks of another hash is not believed."""
    path = Path(paths(made).success)
    record = {**json.loads(path.read_text()), "hash": "0" * 32}
    path.write_text(json.dumps(record))
    assert not made.exists()


def test_next_attempt_voids_the_success(made: Note) -> None:
    """A late writer of an old SUCCESS.json cannot bring the old result back."""
    old = Path(paths(made).success).read_bytes()
    assert claim.claim_next(paths(made), 2, new_owner())
    Path(paths(made).success).write_bytes(old)
    assert not success.is_complete(paths(made))


@pytest.mark.parametrize("name", ["state.json", "metadata.json", "huldra.log"])
def test_labels_may_be_lost(made: Note, name: str) -> None:
    """Losing what is advisory loses no result."""
    path = Path(paths(made).private, name)
    path.unlink(missing_ok=True)
    assert made.load_or_create() == "a"
    path.write_bytes(b"\x00garbage")
    assert made.load_or_create() == "a"
    assert len(lines(made.ledger, "begin")) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_unreadable_end_counts_as_a_crash(huldra_root: Path, content: bytes) -> None:
    """An attempt whose end cannot be read has ended, for no known reason: the next call goes on."""
    note = Note(name="a")
    where = paths(note)
    assert claim.claim_next(where, 1, new_owner())
    Path(where.claim_end(1)).write_bytes(content)
    assert note.load_or_create() == "a"
    assert [attempt.status for attempt in huldra.StateManager.history(note.huldra_dir)] == [
        AttemptStatus.CRASHED,
        AttemptStatus.SUCCESS,
    ]


def test_state_of_what_was_never_tried_is_absent(huldra_root: Path) -> None:
    """Nothing on disk is the state `absent`, and its history is an error that says so."""
    note = Note(name="a")
    assert huldra.StateManager.read(note.huldra_dir).result is Result.ABSENT
    with pytest.raises(huldra.HuldraArtifactMissing, match="no attempt is recorded"):
        huldra.StateManager.history(note.huldra_dir)


def test_state_file_says_what_the_claims_say(made: Note) -> None:
    """After an attempt `state.json` holds its summary."""
    state = json.loads(Path(paths(made).state).read_text())
    assert state["result"] == "success"
    assert state["attempt"]["status"] == "success"
    assert state["attempt"]["number"] == 1
    assert state["attempt"]["backend"] == "local"


def test_state_of_a_failure_holds_the_error(huldra_root: Path) -> None:
    """A failed attempt's state names the type, the message and the traceback."""
    failing = Failing(name="f")
    with pytest.raises(huldra.HuldraComputeError):
        failing.load_or_create()
    state = json.loads(Path(paths(failing).state).read_text())
    assert state["result"] == "failed"
    assert state["attempt"]["error"]["type"] == "builtins.ValueError"
    assert "told to fail" in state["attempt"]["error"]["traceback"]


def test_stale_summary_is_mended_by_whoever_wrote_it(made: Note) -> None:
    """A summary written by an owner that lost its claim gives way to that of the newer attempt."""
    where = paths(made)
    old = claim.read_attempt(where, 1)
    assert claim.claim_next(where, 2, new_owner())
    claim.end_attempt(where, 2, AttemptStatus.FAILED, new_owner())
    artifact.write_state(where, old)
    assert json.loads(Path(where.state).read_text())["attempt"]["number"] == 2


def test_metadata_of_an_absent_artifact_is_a_clear_error(huldra_root: Path) -> None:
    """Asking for metadata before anything was made says what to do."""
    with pytest.raises(
        huldra.HuldraArtifactMissing, match=r"no attempt is recorded.*load_or_create"
    ):
        Note(name="a").get_metadata()


def test_metadata_names_config_and_dependencies(huldra_root: Path) -> None:
    """Metadata holds the config, its Python source and where its dependencies are."""
    inner = Note(name="in")
    outer = Note(name="out", needs=(inner,))
    outer.load_or_create()
    found = outer.get_metadata()
    assert found.huldra_hash == outer.huldra_hash
    assert found.config["name"] == "out"
    assert "Note(" in found.huldra_python_def
    assert [d["hash"] for d in found.dependencies] == [inner.huldra_hash]
    assert found.dependencies[0]["field"] == "needs[0]"


def test_a_long_config_has_no_python_source_in_its_metadata(huldra_root: Path) -> None:
    """Nobody reads thousands of characters; the document has the whole config."""
    note = Note(name="x" * 30_000)
    note.load_or_create()
    found = note.get_metadata()
    assert found.huldra_python_def == "Note(...)"
    assert Note.from_dict(found.huldra_obj) == note
