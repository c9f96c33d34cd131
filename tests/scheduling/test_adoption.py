"""An existing result stands for another config: copied whole, or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.store import carry, claim
from huldra.store.location import paths_of
from huldra.store.process import new_owner
from huldra.store.records import Lease


class Model(huldra.Huldra[str]):
    """Writes files, a folder and links."""

    lr: float = 0.1
    backend: str = "eager"
    is_good: bool = huldra.field(default=True, hashed=False)

    def _create(self) -> str:
        (self.huldra_dir / "a.txt").write_text(f"{self.lr} {self.backend}")
        (self.huldra_dir / "sub").mkdir()
        (self.huldra_dir / "sub" / "b.bin").write_bytes(b"x" * 100_000)
        (self.huldra_dir / "inside").symlink_to(self.huldra_dir / "a.txt")
        (self.huldra_dir / "beside").symlink_to("sub/b.bin")
        return self._load()

    def _load(self) -> str:
        return (self.huldra_dir / "a.txt").read_text()

    def _validate(self) -> bool:
        return self.is_good


class Renamed(huldra.Huldra[str]):
    """`Model` under another name, with a field less."""

    lr: float = 0.1

    def _create(self) -> str:
        raise AssertionError("computed")

    def _load(self) -> str:
        return (self.huldra_dir / "a.txt").read_text()


OLD, NEW = Model(), Model(backend="flash")


@pytest.fixture
def made(huldra_root: Path) -> Path:
    """The store, with `OLD` complete."""
    OLD.load_or_create()
    return huldra_root


def _tree(root: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in root.rglob("*")}


def test_a_dry_run_says_what_differs_and_writes_nothing(made: Path) -> None:
    """It is the default."""
    before = _tree(made)
    adoption = huldra.adopt(OLD, NEW)
    assert (adoption.status, adoption.file_count) == ("ready", 4)
    assert adoption.differences == (("backend", "eager", "flash"),)
    assert "would adopt" in str(adoption)
    assert _tree(made) == before


def test_an_adopted_result_is_a_hit_with_files_of_its_own(made: Path) -> None:
    """Files, folders and links are there; what is written into one changes not the other."""
    assert huldra.adopt(OLD, NEW, dry_run=False).status == "adopted"
    assert NEW.exists()
    assert NEW.load() == "0.1 eager"
    assert (NEW.huldra_dir / "sub" / "b.bin").read_bytes() == b"x" * 100_000
    assert os.readlink(NEW.huldra_dir / "inside") == str(NEW.huldra_dir / "a.txt")
    assert os.readlink(NEW.huldra_dir / "beside") == "sub/b.bin"
    with (NEW.huldra_dir / "a.txt").open("a") as file:
        file.write(" more")
    assert OLD.load() == "0.1 eager"
    assert OLD.exists()


def test_the_origin_is_recorded_and_who_computed_it_stays(made: Path) -> None:
    """`adopted_from` names the artifact; the times and the process are the computation's."""
    huldra.adopt(OLD, NEW, dry_run=False)
    old, new = OLD.get_metadata(), NEW.get_metadata()
    assert new.adopted_from is not None
    assert new.adopted_from["huldra_hash"] == OLD.huldra_hash
    assert new.adopted_from["directory"] == str(OLD.huldra_dir)
    assert new.huldra_hash == NEW.huldra_hash
    assert new.timestamp == old.timestamp
    assert huldra.open(NEW.huldra_hash) == NEW


def test_a_second_adoption_finds_nothing_to_do(made: Path) -> None:
    """A complete artifact is never replaced."""
    huldra.adopt(OLD, NEW, dry_run=False)
    assert huldra.adopt(OLD, NEW, dry_run=False).status == "complete"


def test_a_result_of_another_class_is_adopted_by_its_id(made: Path) -> None:
    """The class counts as a field that differs."""
    adoption = huldra.adopt(OLD.huldra_hash, Renamed(), dry_run=False)
    assert adoption.differences[0][0] == "class"
    assert Renamed().load() == "0.1 eager"


def test_an_id_means_the_artifact_of_that_id_whatever_its_class_is_now(made: Path) -> None:
    """A field that the class has got since would give the object another hash."""
    file = OLD.huldra_dir / ".huldra" / "metadata.json"
    record = json.loads(file.read_text())
    objects = record["huldra_obj"]["objects"]
    objects[record["huldra_obj"]["root"]]["fields"]["lr"] = 7.0
    file.write_text(json.dumps(record))
    assert huldra.adopt(OLD.huldra_hash, NEW).source_directory == str(OLD.huldra_dir)


def test_what_is_not_complete_is_not_adopted(huldra_root: Path) -> None:
    """There is nothing to stand for the config."""
    with pytest.raises(huldra.HuldraArtifactMissing, match="cannot be adopted"):
        huldra.adopt(OLD, NEW, dry_run=False)


@pytest.mark.parametrize("running", [OLD, NEW])
def test_what_is_running_is_not_adopted(made: Path, running: Model) -> None:
    """Neither from it nor into it, also in a dry run."""
    paths = paths_of(running)
    os.makedirs(paths.claims, exist_ok=True)
    last = claim.last_attempt(paths)
    number = last.number if last else 0
    owner = new_owner()
    claim.register(owner)
    claim.claim_next(paths, number + 1, owner, lease=Lease(60, 20), after=number)
    try:
        for dry_run in (True, False):
            with pytest.raises(huldra.HuldraLockNotAcquired, match="nothing was adopted"):
                huldra.adopt(OLD, NEW, dry_run=dry_run)
    finally:
        claim.unregister(owner)


def test_files_that_validate_refuses_are_not_published(made: Path) -> None:
    """The new class decides."""
    with pytest.raises(huldra.HuldraValidationError):
        huldra.adopt(OLD, Model(backend="flash", is_good=False), dry_run=False)
    assert not NEW.exists()


def test_a_source_that_changes_meanwhile_is_not_adopted(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy would be half of one and half of the other."""
    copy = carry._copy_file

    def discard_after(source: str, target: str) -> None:
        copy(source, target)
        (OLD.huldra_dir / ".huldra" / "SUCCESS.json").unlink(missing_ok=True)

    monkeypatch.setattr(carry, "_copy_file", discard_after)
    with pytest.raises(huldra.HuldraStoreError, match="not complete"):
        huldra.adopt(OLD, NEW, dry_run=False)
    assert not NEW.exists()


_KILLED = """
import os, signal, sys
sys.path[:0] = {path!r}
import huldra
from huldra.store import carry
from tests.scheduling import test_adoption as t
copy = carry._copy_file
def copy_and_die(source, target):
    copy(source, target)
    (t.NEW.huldra_dir / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
carry._copy_file = copy_and_die
huldra.adopt(t.Model(), t.NEW, dry_run=False)
"""


def test_a_death_in_the_middle_publishes_nothing_and_the_next_one_begins_clean(made: Path) -> None:
    """Half of the files are no result, and nothing of them stays."""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", _KILLED.format(path=[root])],
        env={**os.environ, "HULDRA_PATH": str(made)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    assert (NEW.huldra_dir / "half").exists()
    assert not NEW.exists()
    assert huldra.adopt(OLD, NEW, dry_run=False).status == "adopted"
    assert not (NEW.huldra_dir / "half").exists()
    assert NEW.load() == "0.1 eager"


def test_a_sweep_adopts_what_differs_in_exactly_these_fields(huldra_root: Path) -> None:
    """Each config takes its one artifact; one without is refused with the reason."""
    for lr in (0.1, 0.2):
        Model(lr=lr).load_or_create()
    wanted = [Model(lr=lr, backend="flash") for lr in (0.1, 0.2, 0.3)]
    found = huldra.adopt_all(wanted, differing=["backend"], dry_run=False)
    assert [adoption.status for adoption in found] == ["adopted", "adopted", "refused"]
    assert [Model(lr=lr, backend="flash").load() for lr in (0.1, 0.2)] == ["0.1 eager", "0.2 eager"]
    assert "no complete artifact" in found[2].reason


def test_a_sweep_refuses_what_may_be_two(huldra_root: Path) -> None:
    """Which of them is meant, the user says."""
    for backend in ("eager", "slow"):
        Model(backend=backend).load_or_create()
    (found,) = huldra.adopt_all([NEW], differing=["backend"], dry_run=False)
    assert found.status == "refused"
    assert "2 artifacts" in found.reason
    assert not NEW.exists()


def test_a_sweep_adopts_from_another_class(huldra_root: Path) -> None:
    """`of` names it; a field that it has more is one that differs."""
    OLD.load_or_create()
    (found,) = huldra.adopt_all([Renamed()], differing=["backend"], of=Model, dry_run=False)
    assert found.status == "adopted"


def test_the_recorded_origin_survives_json(made: Path) -> None:
    """It is in the file that other versions and the dashboard read."""
    huldra.adopt(OLD, NEW, dry_run=False)
    record: Any = json.loads((NEW.huldra_dir / ".huldra" / "metadata.json").read_text())
    assert record["adopted_from"]["namespace"] == record["namespace"]
