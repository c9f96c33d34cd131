"""Claims: the first one, which appears with all of `.huldra` in one step."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from huldra.store import claim, files
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner
from huldra.store.records import Claim, Lease

_LEASE = Lease(120.0, 40.0)


@pytest.fixture
def paths(tmp_path: Path) -> ArtifactPaths:
    directory = tmp_path / "data" / "m" / "C" / "0"
    directory.mkdir(parents=True)
    return ArtifactPaths(str(directory))


def _write_label(hidden: ArtifactPaths, first: Claim) -> None:
    files.write_hidden(hidden.state, str(first.number).encode())


def test_first_claim_appears_with_its_labels_and_leaves_nothing_else(paths: ArtifactPaths) -> None:
    """The labels and the claim are there under their names; no temporary name is left."""
    owner = new_owner()
    won = claim.claim_first(paths, owner, _LEASE, _write_label)
    assert won is not None
    assert claim.read_claim(paths, 1) == won
    assert Path(paths.state).read_text() == "1"
    assert os.listdir(paths.directory) == [".huldra"]
    assert sorted(os.listdir(paths.private)) == ["claims", "state.json"]


def test_first_claim_is_lost_to_one_that_was_there_before(paths: ArtifactPaths) -> None:
    """A process that links `claims/1` before the rename has the attempt; nothing is left over."""
    other = new_owner()

    def too_late(hidden: ArtifactPaths, first: Claim) -> None:
        assert claim.claim_next(paths, 1, other)

    assert claim.claim_first(paths, new_owner(), _LEASE, too_late) is None
    assert claim.read_claim(paths, 1).owner == other
    assert os.listdir(paths.directory) == [".huldra"]


def test_first_claim_wins_over_a_process_that_has_only_made_the_folder(
    paths: ArtifactPaths,
) -> None:
    """An empty `.huldra` decides nothing: its maker goes on into ours, and finds the claim."""
    os.mkdir(paths.private)
    owner = new_owner()
    assert claim.claim_first(paths, owner, _LEASE, _write_label)
    assert claim.claim_next(paths, 1, new_owner()) is None
    assert claim.read_claim(paths, 1).owner == owner


def test_first_claim_whose_answer_the_server_lost_is_known_by_its_token(
    paths: ArtifactPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rename was done and reported as failed: the attempt is ours all the same."""
    rename = files.rename_new
    monkeypatch.setattr(files, "rename_new", lambda old, new: rename(old, new) and False)
    assert claim.claim_first(paths, new_owner(), _LEASE, _write_label)
    assert os.listdir(paths.directory) == [".huldra"]


@pytest.mark.parametrize("when", ["before", "while the labels are written"])
def test_first_claim_in_a_directory_that_is_removed_is_lost(
    paths: ArtifactPaths, when: str
) -> None:
    """Nothing is made again where the artifact was removed meanwhile."""

    def removing(hidden: ArtifactPaths, first: Claim) -> None:
        shutil.rmtree(paths.directory)

    if when == "before":
        shutil.rmtree(paths.directory)
    assert claim.claim_first(paths, new_owner(), _LEASE, removing) is None
    assert not os.path.exists(paths.directory)


def test_first_claim_that_the_disk_refuses_leaves_nothing(
    paths: ArtifactPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the disk reaches the caller, and no temporary folder stays."""

    def refuse(*_: object, **__: object) -> None:
        raise files.store_error(OSError(28, "No space left on device"), "write", paths.claim(1))

    monkeypatch.setattr(files, "write_hidden", refuse)
    with pytest.raises(files.HuldraStoreError, match="No space left"):
        claim.claim_first(paths, new_owner(), _LEASE, lambda hidden, first: None)
    assert os.listdir(paths.directory) == []
