"""What stands in `.huldra/` is damaged, foreign or of another kind: no hang, no wrong result."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import huldra
from huldra.store import claim
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner
from huldra.store.records import AttemptStatus
from tests.faults.samples import Loud
from tests.support import children
from tests.support.odd import Note, lines


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return str(tmp_path / "ledger")


@pytest.fixture
def paths(huldra_root: Path) -> ArtifactPaths:
    paths = ArtifactPaths(str(Note(name="a").huldra_dir))
    os.makedirs(paths.claims)
    return paths


FOREIGN = ["3.tmp", "abc", "007", "0", "٣", "-1", "1.5", ".end", "x.end", "1.job", "1.cancel"]


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_names_among_the_claims_are_no_attempts(paths: ArtifactPaths, name: str) -> None:
    """Only a plain number, or one with `.end`, is an attempt."""
    Path(paths.claims, name).touch()
    assert claim.last_attempt(paths) is None
    assert Note(name="a").load_or_create() == "a"
    assert [t.number for t in huldra.StateManager.history(paths.directory)] == [1]


def test_attempt_of_a_huge_number_is_a_attempt_like_any_other(paths: ArtifactPaths) -> None:
    """A claim far away does not make readers count up to it."""
    number = 10**18
    owner = new_owner()
    assert claim.claim_next(paths, number, owner) is not None
    assert claim.end_attempt(paths, number, AttemptStatus.CRASHED, owner) is not None
    assert Note(name="a").load_or_create() == "a"
    assert [t.number for t in huldra.StateManager.history(paths.directory)] == [number, number + 1]


def test_lost_claim_whose_end_is_there_is_not_claimed_again(
    paths: ArtifactPaths, ledger: str
) -> None:
    """With `1.end` and no `1` the attempt has been; the next one is made."""
    owner = new_owner()
    assert claim.end_attempt(paths, 1, AttemptStatus.CRASHED, owner) is not None
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert len(lines(ledger, "begin")) == 1
    assert Note(name="a").exists()


def test_lost_early_claims_change_nothing(paths: ArtifactPaths, ledger: str) -> None:
    """With attempt 3 alone the next one is attempt 4."""
    owner = new_owner()
    assert claim.claim_next(paths, 3, owner) is not None
    assert claim.end_attempt(paths, 3, AttemptStatus.CRASHED, owner) is not None
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert [t.number for t in huldra.StateManager.history(paths.directory)] == [3, 4]


def test_lost_claims_of_a_made_artifact_leave_it_made(paths: ArtifactPaths, ledger: str) -> None:
    """SUCCESS.json without any claims counts."""
    Note(name="a", ledger=ledger).load_or_create()
    for name in os.listdir(paths.claims):
        os.unlink(f"{paths.claims}/{name}")
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert len(lines(ledger, "begin")) == 1


def _put_pipe(path: str) -> None:
    os.unlink(path)
    os.mkfifo(path)


DAMAGES: dict[str, Callable[[str], object]] = {
    "gone": os.unlink,
    "empty": lambda path: Path(path).write_bytes(b""),
    "half": lambda path: Path(path).write_bytes(b'{"huldra": 1, "cla'),
    "binary": lambda path: Path(path).write_bytes(b"\xff\x00\xfe"),
    "a list": lambda path: Path(path).write_text("[1]"),
    "deep": lambda path: Path(path).write_text("[" * 100_000),
    "true": lambda path: Path(path).write_text('{"huldra": 1, "claim": true, "hash": "x"}'),
    "pipe": _put_pipe,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_success_is_written_again_from_the_end_of_its_attempt(
    paths: ArtifactPaths, ledger: str, damage: str
) -> None:
    """What the ledger says was made is not made again."""
    Note(name="a", ledger=ledger).load_or_create()
    DAMAGES[damage](paths.success)
    assert not Note(name="a").exists()
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert Note(name="a").exists()
    assert len(lines(ledger, "begin")) == 1


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "gone"])
@pytest.mark.parametrize("file", ["state", "metadata", "log"])
def test_damaged_labels_harm_no_one(huldra_root: Path, ledger: str, damage: str, file: str) -> None:
    """State, metadata and log are labels: a hit does not look, a miss writes them again."""
    loud = ArtifactPaths(str(Loud(name="a").huldra_dir))
    os.makedirs(loud.claims)
    path = getattr(loud, file)
    Path(path).touch()
    DAMAGES[damage](path)
    code = f"""
        from tests.faults.samples import Loud
        note = Loud(name="a", ledger={ledger!r})
        assert note.load_or_create() == "a"
        assert note.load_or_create() == "a"
        assert note.exists()
        assert note.plan()
    """
    done = children.run(code, huldra.get_huldra_root())
    assert done.returncode == 0, done.stderr
    assert len(lines(ledger, "begin")) == 1


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "gone"])
def test_damaged_end_is_the_end_all_the_same(
    paths: ArtifactPaths, ledger: str, damage: str
) -> None:
    """An attempt whose end cannot be read has ended, as a crash."""
    owner = new_owner()
    assert claim.claim_next(paths, 1, owner) is not None
    Path(paths.claim_end(1)).touch()
    DAMAGES[damage](paths.claim_end(1))
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert len(lines(ledger, "begin")) == 1


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "gone"])
def test_damaged_claim_is_nobodys_and_ends_with_its_lease(
    paths: ArtifactPaths, ledger: str, damage: str
) -> None:
    """A claim that cannot be read holds for a lease, not for ever."""
    Path(paths.claim(1)).touch()
    DAMAGES[damage](paths.claim(1))
    os.utime(paths.claim(1), (0, 0))
    code = f"from tests.support.odd import Note; Note(name='a', ledger={ledger!r}).load_or_create()"
    short = {"HULDRA_LEASE_SECS": "0.3", "HULDRA_HEARTBEAT_SECS": "0.1"}
    done = children.run(code, huldra.get_huldra_root(), HULDRA_POLL_INTERVAL_SECS="0.05", **short)
    assert done.returncode == 0, done.stderr
    assert len(lines(ledger, "begin")) == 1


def _put_file(path: str) -> None:
    Path(path).touch()


def _put_loop(path: str) -> None:
    os.symlink(path, path)


def _put_folder(path: str) -> None:
    os.makedirs(path)


IN_THE_WAY = [
    ("private", _put_file),
    ("claims", _put_file),
    ("private", _put_loop),
    ("claims", _put_loop),
    ("success", _put_folder),
    ("success", _put_loop),
]


@pytest.mark.parametrize(("file", "put"), IN_THE_WAY)
def test_what_stands_in_the_way_is_an_error_that_names_it(
    huldra_root: Path, file: str, put: Callable[[str], None]
) -> None:
    """A thing of another kind where huldra wants to write is named, or written over."""
    paths = ArtifactPaths(str(Note(name="a").huldra_dir))
    path = getattr(paths, file)
    os.makedirs(os.path.dirname(path))
    put(path)
    if file == "success" and put is _put_loop:  # a rename goes over it, but a look cannot go round
        with pytest.raises(huldra.HuldraStoreError, match="symbolic"):
            Note(name="a").load_or_create()
        return
    with pytest.raises(huldra.HuldraStoreError) as caught:
        Note(name="a").load_or_create()
    assert path in str(caught.value)


@pytest.mark.parametrize("name", ["4", "4.end"])
def test_folder_with_a_attempts_name_is_named(paths: ArtifactPaths, name: str) -> None:
    """A folder where a claim or an end should be is an error that names it."""
    os.mkdir(f"{paths.claims}/{name}")
    with pytest.raises(huldra.HuldraStoreError, match=f"claims/{name}"):
        Note(name="a").load_or_create()


def test_artifact_directory_may_be_a_link(huldra_root: Path, tmp_path: Path, ledger: str) -> None:
    """An artifact that was moved to another disk and linked is the artifact."""
    note = Note(name="a", ledger=ledger)
    note.load_or_create()
    note.huldra_dir.rename(tmp_path / "moved")
    note.huldra_dir.symlink_to(tmp_path / "moved")
    assert Note(name="a", ledger=ledger).load_or_create() == "a"
    assert len(lines(ledger, "begin")) == 1


def test_artifact_of_another_config_put_in_place_does_not_count(
    huldra_root: Path, ledger: str
) -> None:
    """A directory that was copied under another hash is not that artifact."""
    Note(name="b").load_or_create()
    target = Note(name="a").huldra_dir
    target.parent.mkdir(parents=True, exist_ok=True)
    Note(name="b").huldra_dir.rename(target)
    assert not Note(name="a").exists()


def test_root_deleted_under_a_running_process_is_made_again(
    huldra_root: Path, tmp_path: Path
) -> None:
    """A process whose store was deleted goes on with an empty one."""
    import shutil

    Note(name="a").load_or_create()
    shutil.rmtree(huldra_root)
    assert not Note(name="a").exists()
    assert Note(name="a").load_or_create() == "a"


def test_store_deleted_while_create_runs_is_a_clear_error_or_made(
    huldra_root: Path, tmp_path: Path, ledger: str
) -> None:
    """Whoever loses the directory under `_create` gets its error, and the next call makes it."""
    import shutil

    from tests.support.odd import Gated

    gate = tmp_path / "gate"
    code = f"""
        from tests.support.odd import Gated
        Gated(name="a", gate={str(gate)!r}, ledger={ledger!r}).load_or_create()
    """
    child = children.start(code, huldra_root)
    children.until(lambda: bool(lines(ledger, "begin")))
    shutil.rmtree(huldra_root)
    gate.touch()
    _, _, err = children.finish(child)
    assert "HuldraComputeError" in err
    assert "FileNotFoundError" in err
    assert Gated(name="a", gate=str(gate)).load_or_create() == "a"


def test_artifact_folders_full_of_files_cost_a_hit_nothing(huldra_root: Path) -> None:
    """A hit lists no folder, so ten thousand files are no slower than none."""
    import time

    note = Note(name="a")
    note.load_or_create()

    def best_s() -> float:
        times = []
        for _ in range(200):
            started = time.perf_counter()
            Note(name="a").exists()
            times.append(time.perf_counter() - started)
        return min(times)

    before = best_s()
    for number in range(10_000):
        (note.huldra_dir / str(number)).touch()
    assert best_s() < 5 * before
