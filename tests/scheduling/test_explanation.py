"""Why a call misses: what is said of the nearest artifact, whatever lies there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import huldra


class Sized(huldra.Huldra[str]):
    """A config with a large value that the hash leaves out, and one that it counts."""

    name: str
    cache: Any = huldra.field(default=None, hashed=False)
    table: tuple[int, ...] = ()

    def _create(self) -> str:
        (self.huldra_dir / "x").touch()
        return "x"

    def _load(self) -> str:
        return "x"


def test_what_the_hash_leaves_out_is_no_reason_for_a_miss(huldra_root: Path) -> None:
    """However much of it there is, it is neither compared nor shown."""
    Sized(name="a", cache=list(range(1000))).load_or_create()
    explanation = Sized(name="b", cache="x" * 1000).explain()
    assert explanation.differences == (("name", "a", "b"),)


def test_long_differences_are_shown_short(huldra_root: Path) -> None:
    """A value by its first two hundred characters, and fifty fields."""
    Sized(name="a").load_or_create()
    explanation = Sized(name="b" * 10_000, table=tuple(range(200))).explain()
    assert len(explanation.differences) > 200
    assert len(str(explanation)) < 10_000
    assert "more" in str(explanation)


@pytest.mark.parametrize("entry", [7, [], {"class": "x:Y", "fields": 7}, {"fields": [1]}, {}])
def test_odd_documents_of_others_are_no_error(huldra_root: Path, entry: object) -> None:
    """Metadata that somebody damaged: the fields that it lacks differ."""
    made = Sized(name="a")
    made.load_or_create()
    file = made.huldra_dir / ".huldra" / "metadata.json"
    record = json.loads(file.read_text())
    record["huldra_obj"]["objects"] = {record["huldra_obj"]["root"]: entry}
    file.write_text(json.dumps(record))
    assert any(path == "name" for path, _, _ in Sized(name="b").explain().differences)


def test_metadata_nested_without_end_cannot_be_read(huldra_root: Path) -> None:
    """It is an error that names the file."""
    made = Sized(name="a")
    made.load_or_create()
    file = made.huldra_dir / ".huldra" / "metadata.json"
    file.write_text("[" * 100_000)
    with pytest.raises(huldra.HuldraArtifactMissing, match=r"metadata\.json"):
        made.get_metadata()
    assert not Sized(name="b").explain().differences
