"""Discarding, loading without computing, and computing again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import huldra
from huldra.errors import HuldraArtifactMissing, HuldraLockNotAcquired, HuldraStoreError
from huldra.store import claim, files
from huldra.store.location import paths_of, prepare_artifact
from huldra.store.process import new_owner
from tests.support import children


class Counted(huldra.Huldra[int]):
    name: str = "a"

    def _create(self) -> int:
        ledger = Path(os.environ["LEDGER"])
        count = len(ledger.read_text()) if ledger.exists() else 0
        ledger.write_text("x" * (count + 1))
        (self.huldra_dir / "count").write_text(str(count))
        return count

    def _load(self) -> int:
        return int((self.huldra_dir / "count").read_text())


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `_create` counts its runs."""
    monkeypatch.setenv("LEDGER", str(tmp_path / "ledger"))


def test_load_of_a_complete_artifact(huldra_root: Path) -> None:
    """`load` gives what `_load` gives."""
    assert Counted().load_or_create() == Counted().load() == 0


def test_load_never_computes(huldra_root: Path) -> None:
    """Where nothing is complete it says why, and writes nothing."""
    with pytest.raises(HuldraArtifactMissing, match="load_or_create"):
        Counted().load()
    assert not huldra_root.exists()


def test_what_is_discarded_is_gone(huldra_root: Path) -> None:
    """The directory goes with all that is in it; there is nothing to discard then."""
    Counted().load_or_create()
    assert Counted().discard()
    assert not Counted().huldra_dir.exists()
    assert not Counted().discard()
    assert list(Counted().huldra_dir.parent.iterdir()) == []


def test_force_computes_again(huldra_root: Path) -> None:
    """A good artifact is computed again, here and on an engine."""
    assert Counted().load_or_create() == 0
    assert Counted().load_or_create(force=True) == 1
    assert Counted().load_or_create("inline", force=True).result() == 2
    assert Counted().load_or_create() == 2


def test_an_artifact_that_is_being_computed_is_not_discarded(huldra_root: Path) -> None:
    """A claim of a living process is left alone, and the error names it."""
    paths = paths_of(Counted())
    prepare_artifact(Counted(), paths)
    owner = new_owner()
    claim.register(owner)
    try:
        assert claim.claim_next(paths, 1, owner)
        with pytest.raises(HuldraLockNotAcquired, match="nothing was removed"):
            Counted().discard()
    finally:
        claim.unregister(owner)
    assert Counted().huldra_dir.exists()


def test_an_attempt_of_a_dead_process_keeps_nothing(huldra_root: Path) -> None:
    """What a killed process left behind can be discarded at once."""
    code = """
        import os
        from huldra.store import claim
        from huldra.store.location import paths_of, prepare_artifact
        from huldra.store.process import new_owner
        from tests.scheduling.test_discard import Counted
        paths = paths_of(Counted())
        prepare_artifact(Counted(), paths)
        claim.claim_next(paths, 1, new_owner())
        os.kill(os.getpid(), 9)
    """
    assert children.run(code, huldra_root).returncode == -9
    assert Counted().discard()


def test_a_directory_that_cannot_be_removed_stays_complete(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk error while discarding loses no result."""
    Counted().load_or_create()

    def refuse(path: str) -> None:
        raise HuldraStoreError("no")

    with monkeypatch.context() as patch:
        patch.setattr(files, "remove_tree", refuse)
        with pytest.raises(HuldraStoreError, match="no"):
            Counted().discard()
    assert Counted().exists()
    assert Counted().load_or_create() == 0
