"""The example of the documentation runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from examples import dask_sweep


@pytest.mark.dask
def test_the_example_runs(huldra_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sweep by name, and one more model through a client of the user's."""
    dask_sweep.main()
    told = capsys.readouterr().out
    assert "6 models, none failed: True" in told
    assert re.search(
        r"on the client: 135\.0, as examples\.learning_rates/Train-[0-9a-f]{32}-1", told
    )
