"""Jobs: what they answer where the artifact itself does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import huldra
from tests.support.odd import Note


def test_job_of_a_removed_artifact_is_lost(huldra_root: Path) -> None:
    """A job that found its artifact made, and has no engine to ask, does not wait for it."""
    note = Note(name="a")
    note.load_or_create()
    job = note.load_or_create(executor="inline")
    shutil.rmtree(note.huldra_dir)
    with pytest.raises(huldra.HuldraJobLost, match="was removed"):
        job.result(timeout=10)
    assert note.load_or_create() == "a"
