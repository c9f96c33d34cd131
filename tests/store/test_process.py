"""Processes: the one name of the user, also where the system has none."""

from __future__ import annotations

import getpass
import os

import pytest

from huldra.provenance import metadata
from huldra.store import process


def test_a_user_without_a_name_has_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A uid that no name belongs to, as in containers, is called alike in claims and metadata."""

    def no_name() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", no_name)
    assert process.user_name() == f"uid{os.getuid()}"
    assert metadata.user_name is process.user_name
