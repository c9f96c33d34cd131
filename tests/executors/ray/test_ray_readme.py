"""The README's section on Ray runs as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import children
from tests.support.pages import python_blocks

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray"), pytest.mark.timeout(300)]


def test_the_readmes_section_runs(tmp_path: Path) -> None:
    """In a project with the README's own first module."""
    package = tmp_path / "my_project"
    package.mkdir()
    [first, *_] = python_blocks("README.md", "## Quickstart")
    assert first.startswith("# my_project/pipelines.py")
    (package / "pipelines.py").write_text(first)
    [block] = python_blocks("README.md", "### Ray")
    (tmp_path / "script.py").write_text(block)
    env = children.environment(tmp_path / "store")
    printed = children.run_script(tmp_path / "script.py", env, timeout_s=240)
    assert printed.strip().endswith("checkpoint.bin")
