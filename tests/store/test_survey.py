"""Surveys: one listing tells of what was never tried, and a hit is asked of the artifact itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from huldra.store.layout import ArtifactPaths
from huldra.store.location import paths_of
from huldra.store.survey import Seen, Survey
from tests.support.odd import Note
from tests.support.slow_disk import SlowDisk


def artifacts(root: Path, count: int) -> list[ArtifactPaths]:
    return [ArtifactPaths(f"{root}/data/module/Class/{i:032x}") for i in range(count)]


def test_one_listing_tells_of_all_that_was_never_tried(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thousand artifacts without directories a few are asked, and not one of the others."""
    asked = artifacts(huldra_root, 1000)
    disk = SlowDisk(monkeypatch, huldra_root)
    answers = Survey().look(asked)
    assert Seen.COMPLETE not in answers
    assert answers.count(Seen.ABSENT) > 900
    assert disk.count <= 100


def test_what_a_listing_cannot_tell_is_asked(huldra_root: Path) -> None:
    """A made artifact and one that only has a directory are found among many that are absent."""
    made = Note(name="made")
    made.load_or_create()
    folder = Path(paths_of(made).directory).parent
    others = [ArtifactPaths(f"{folder}/{i:032x}") for i in range(200)]
    Path(others[150].directory).mkdir()
    answers = Survey().look([*others, paths_of(made)])
    assert answers[200] is Seen.COMPLETE
    assert answers[150] is Seen.INCOMPLETE
    assert answers[149] is Seen.ABSENT


def test_a_folder_that_is_much_larger_than_what_is_asked_is_not_listed_to_its_end(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan of few artifacts among very many asks each of them."""
    asked = artifacts(huldra_root, 20)
    folder = Path(asked[0].directory).parent
    for number in range(1000):
        (folder / f"other{number}").mkdir(parents=True)
    disk = SlowDisk(monkeypatch, huldra_root)
    assert set(Survey().look(asked)) == {Seen.INCOMPLETE}
    assert disk.calls["open"] == 20


def test_a_slow_file_system_is_asked_many_things_at_once(
    huldra_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each call takes a millisecond, several are on their way together."""
    made = [Note(name=str(number)) for number in range(60)]
    for note in made:
        note.load_or_create()
    disk = SlowDisk(monkeypatch, huldra_root, delay_s=0.002)
    assert Survey().look([paths_of(note) for note in made]) == [Seen.COMPLETE] * 60
    assert disk.count == 2 * 60
    assert disk.at_once > 4
