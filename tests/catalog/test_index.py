"""What a catalog keeps for the next process is a cache: no answer depends on it."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import huldra
from huldra.catalog import Catalog, Row, Snapshot, folders, index
from huldra.errors import HuldraError
from huldra.store import files
from huldra.store.layout import ArtifactPaths
from tests.dashboard.store import StoreWriter

FAILING: set[int] = set()


class Step(huldra.Huldra[int]):
    """Fails while its number is in `FAILING`."""

    number: int

    def _create(self) -> int:
        if self.number in FAILING:
            raise ValueError(f"step {self.number}")
        return self.number

    def _load(self) -> int:
        return self.number


class Sum(huldra.Huldra[int]):
    """Needs steps."""

    steps: tuple[Step, ...]

    def _create(self) -> int:
        return sum(step.load_or_create() for step in self.steps)

    def _load(self) -> int:
        return 0


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder of the test's own, in which everything is kept at once."""
    monkeypatch.setattr(index, "ENOUGH", 1)
    monkeypatch.setattr(index, "SAVE_EVERY_S", 0.0)
    folder = tmp_path / "cache"
    before = huldra.HULDRA_CONFIG.cache_dir
    huldra.HULDRA_CONFIG.update(cache_dir=folder)
    FAILING.clear()
    yield folder
    huldra.HULDRA_CONFIG.update(cache_dir=before)


def settle() -> None:
    """Wait until the times of all files are over, so that they tell one version from the next."""
    over_at = time.time_ns() + folders._FINE_TICK_NS
    while time.time_ns() <= over_at:
        time.sleep(0.01)


def scan(root: Path) -> Snapshot:
    """What a new process finds, with what was kept by the ones before."""
    return Catalog([root], lease_s=100).snapshot()


def without(root: Path) -> tuple[Row, ...]:
    """What there is."""
    return Catalog([root], lease_s=100, use_index=False).snapshot().rows


def test_a_new_process_reads_no_artifact_again(writer: StoreWriter) -> None:
    """Of what is over and of what is open alike, nothing but the folders' times is asked."""
    data = writer.add("p/Data", {"name": "toy"})
    for n, status in enumerate(("success", "failed", "running", "queued", "stale", "crashed")):
        writer.add("p/Train", {"n": n, "data": {"$ref": data}}, status=status)
    writer.add("p/Train", {"n": 99}, status="absent")
    settle()
    first = scan(writer.root)
    second = scan(writer.root)

    assert first.read == len(first.rows) == 8
    assert second.read == 0
    assert second.rows == first.rows == without(writer.root)


def test_what_may_change_within_a_tick_is_read_again(
    writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder's time tells nothing while the file system's clock still shows it."""
    monkeypatch.setattr(folders, "_FINE_TICK_NS", 10**12)
    writer.add("p/Train", {"n": 1})
    scan(writer.root)

    assert scan(writer.root).read == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_answers_are_the_same_over_histories(seed: int, huldra_root: Path) -> None:
    """Whatever happens to a store, three catalogs agree: new, new with an index, and old."""
    draw = random.Random(seed)
    huldra_root.mkdir()
    writer = StoreWriter(huldra_root)
    old = Catalog([huldra_root], lease_s=100)
    for number in range(40):
        change(draw, writer, number)
        if draw.random() < 0.6:
            settle()
        expected = without(huldra_root)
        assert scan(huldra_root).rows == expected
        if draw.random() < 0.5:
            assert old.snapshot(max_age_s=0).rows == expected


def change(draw: random.Random, writer: StoreWriter, number: int) -> None:
    """Make one change to the store, as the library or a person would."""
    changes: list[Callable[[], object]] = [
        lambda: make(draw),
        lambda: make(draw),
        lambda: make(draw, fails=True),
        lambda: make(draw, force=True),
        lambda: step(draw).discard(),
        lambda: with_one(writer, draw, lambda path: files.remove_tree(str(path))),
        lambda: with_one(writer, draw, replace_by_copy),
        lambda: with_one(writer, draw, lambda path: success_of(path).unlink(missing_ok=True)),
        lambda: with_one(writer, draw, lambda path: shutil.rmtree(path / ".huldra")),
        lambda: with_one(writer, draw, lambda path: writer.queue_again(key_of(path), "cancelled")),
        lambda: writer.add("p/Open", {"n": number}, status=draw.choice(("running", "queued"))),
        lambda: writer.queue_again(writer.add("p/Again", {"n": number}, status="failed")),
        lambda: shutil.rmtree(writer.root / "data" / "p", ignore_errors=True),
    ]
    draw.choice(changes)()


def step(draw: random.Random) -> Step:
    return Step(number=draw.randrange(6))


def make(draw: random.Random, *, fails: bool = False, force: bool = False) -> None:
    made = step(draw) if draw.random() < 0.7 else Sum(steps=(step(draw), step(draw)))
    FAILING.update(range(6) if fails else ())
    with contextlib.suppress(HuldraError):
        made.load_or_create(force=force)
    FAILING.clear()


def with_one(writer: StoreWriter, draw: random.Random, do: Callable[[Path], object]) -> None:
    """Do it to one of the artifacts that are not open, if there is one."""
    found = sorted((writer.root / "data").glob("*/*/" + "[0-9a-f]" * 32))
    found = [path for path in found if (path / ".huldra").is_dir() and "/p/" not in str(path)]
    if found:
        do(draw.choice(found))


def key_of(path: Path) -> str:
    return "/".join(path.parts[-3:])


def success_of(path: Path) -> Path:
    return Path(ArtifactPaths(str(path)).success)


def replace_by_copy(path: Path) -> None:
    """Put a copy in its place, as a restored backup is."""
    copy = path.with_name(".copy")
    shutil.copytree(path, copy)
    shutil.rmtree(path)
    copy.rename(path)


def test_an_owner_that_died_since_is_seen(writer: StoreWriter) -> None:
    """What is open is judged at each look, never taken from the index."""
    running = writer.add("p/Train", {"n": 1}, status="running", host="elsewhere")
    settle()
    assert [row.status for row in scan(writer.root).rows] == ["running"]

    claim = ArtifactPaths(str(writer.directory(running))).claim(1)
    long_ago = time.time() - 10 * 86400
    os.utime(claim, (long_ago, long_ago))

    assert [row.status for row in scan(writer.root).rows] == ["stale"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"no database" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: set_about(path, "index", "0"),
        lambda path: set_about(path, "code", "0"),
        lambda path: set_about(path, "folder", "1:1"),
    ],
    ids=["other bytes", "cut", "empty", "removed", "other format", "other code", "other root"],
)
def test_one_in_doubt_is_thrown_away(
    writer: StoreWriter, cache: Path, damage: Callable[[Path], object]
) -> None:
    """The answers are the same, and the next index is sound."""
    for n in range(20):
        writer.add("p/Train", {"n": n})
    settle()
    scan(writer.root)
    (path,) = cache.iterdir()
    damage(path)

    assert scan(writer.root).rows == without(writer.root)
    scan(writer.root)
    assert scan(writer.root).read == 0


def set_about(path: Path, name: str, value: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE about SET value = ? WHERE name = ?", (value, name))


def test_a_cache_folder_that_cannot_be_used_costs_no_answer(
    writer: StoreWriter, tmp_path: Path
) -> None:
    """A file in the place of the folder, as where the home is read-only."""
    writer.add("p/Train", {"n": 1})
    (tmp_path / "file").write_text("")
    huldra.HULDRA_CONFIG.update(cache_dir=tmp_path / "file" / "below")

    assert scan(writer.root).rows == without(writer.root)


def test_a_locked_index_is_left_alone(
    writer: StoreWriter, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process writes the store is read, and the index stays."""
    monkeypatch.setattr(index, "_PATIENCE_S", 0.01)
    writer.add("p/Train", {"n": 1})
    settle()
    scan(writer.root)
    (path,) = cache.iterdir()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert scan(writer.root).rows == without(writer.root)
        other.execute("ROLLBACK")

    assert scan(writer.root).read == 0


def test_nothing_is_kept_within_a_store(writer: StoreWriter) -> None:
    """To look writes nothing there, also where the cache folder is said to be there."""
    writer.add("p/Train", {"n": 1})
    huldra.HULDRA_CONFIG.update(cache_dir=writer.root / "cache")
    scan(writer.root)

    assert not (writer.root / "cache").exists()


def test_several_keep_what_they_found_at_once(writer: StoreWriter) -> None:
    """What the last of them keeps is of use to the next."""
    for n in range(50):
        writer.add(f"p/Class{n % 5}", {"n": n})
    settle()
    threads = [threading.Thread(target=scan, args=(writer.root,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    last = scan(writer.root)
    assert (last.read, last.rows) == (0, without(writer.root))
