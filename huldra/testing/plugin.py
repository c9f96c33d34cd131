"""What huldra gives to pytest: a store for each test that asks for one.

pytest loads this wherever huldra is installed, so nothing of huldra is imported before it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def huldra_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store for this test alone, for its workers and child processes, too; returns its root.

    It lies in `tmp_path`, so pytest keeps it or removes it as its own options say
    (`tmp_path_retention_policy`), and no two processes of pytest-xdist share one. Afterwards the
    root of before is the root again.
    """
    import huldra

    root = tmp_path / "huldra"
    monkeypatch.setenv("HULDRA_PATH", str(root))
    with huldra.huldra_root(root):
        yield root
