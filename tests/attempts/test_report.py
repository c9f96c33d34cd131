"""What a running `_create` says of itself, and what others see of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

import huldra
from huldra.catalog import Catalog
from huldra.catalog.progress import REPORTS, read_progress
from huldra.errors import HuldraError

pytestmark = pytest.mark.usefixtures("huldra_root")


class Reporting(huldra.Huldra[int]):
    """Runs what the test gives it."""

    number: int = 1

    script: ClassVar[Callable[[], object]]

    def _create(self) -> int:
        type(self).script()
        return 1


def make(script: Callable[[], object]) -> Reporting:
    Reporting.script = staticmethod(script)  # type: ignore[assignment]  # called without self
    obj = Reporting()
    obj.load_or_create()
    return obj


def test_reports_are_curves_of_the_artifact() -> None:
    """By step; the number of steps is no curve."""

    def script() -> None:
        for step in range(3):
            huldra.report(step=step, of=3, loss=1.0 / (step + 1))

    obj = make(script)
    catalog = Catalog([huldra.get_huldra_root()])
    (row,) = catalog.snapshot().rows
    metrics = catalog.metrics(row)
    assert metrics.series == {"loss": ((0.0, 1.0), (1.0, 0.5), (2.0, 1.0 / 3))}
    assert not {"of", "step"} & set(metrics.values)
    assert (obj.huldra_dir / REPORTS).read_text().count("\n") == 3


def test_a_running_node_has_progress_and_a_remaining_time() -> None:
    """In rows, while it runs and not after."""
    seen = {}

    def script() -> None:
        for step in range(1, 3):
            huldra.report(step=step, of=4)
        seen.update(huldra.rows({"a": Reporting()})[0])

    make(script)
    assert seen["status"] == "running"
    assert seen["progress"] == 0.5
    assert seen["remaining_s"] >= 0
    assert "progress" not in huldra.rows({"a": Reporting()})[0]


def test_the_pace_is_that_of_the_attempt_that_runs() -> None:
    """An attempt that began again counts from its beginning; damaged lines count for nothing."""

    def script() -> None:
        lines = [(7, 10, "10:00:00"), (1, 10, "11:00:00"), (3, 10, "11:00:10")]
        texts = [
            json.dumps({"step": step, "of": of, "at": f"2026-01-01T{at}+00:00"})
            for step, of, at in lines
        ]
        (Reporting().huldra_dir / REPORTS).write_text("[1]\n{half\n" + "\n".join(texts))

    found = read_progress(str(make(script).huldra_dir))
    assert found is not None
    assert (found.step, found.of, found.fraction) == (3, 10, 0.3)
    assert found.remaining_s == 35.0


class Bar:
    """As `tqdm(range(1000))`: it can be gone through, and has a length."""

    def __len__(self) -> int:
        return 1000

    def __iter__(self) -> Iterator[int]:
        return iter(range(1000))


def test_track_goes_through_what_shows_a_bar() -> None:
    """It reports the count at the end, and not each time."""
    obj = make(lambda: list(huldra.track(Bar())))
    found = read_progress(str(obj.huldra_dir))
    assert found is not None
    assert found.fraction == 1.0
    assert (obj.huldra_dir / REPORTS).read_text().count("\n") < 500


def test_a_process_that_create_starts_reports_to_its_artifact() -> None:
    """A rank of a launcher, for example."""
    code = "import huldra; huldra.report(step=2, of=2)"
    obj = make(lambda: subprocess.run([sys.executable, "-c", code], check=True, timeout=60))
    found = read_progress(str(obj.huldra_dir))
    assert found is not None
    assert found.fraction == 1.0


def test_a_report_outside_of_create_is_an_error() -> None:
    """It says where to call it."""
    with pytest.raises(HuldraError, match="call it in _create"):
        huldra.report(step=1)


def test_what_is_no_number_is_refused() -> None:
    """By its name; numbers of other libraries are numbers."""
    numpy = pytest.importorskip("numpy")

    def script() -> None:
        huldra.report(step=1, loss=numpy.float32(0.5))
        with pytest.raises(TypeError, match="loss must be a number"):
            huldra.report(step=2, loss="low")  # type: ignore[arg-type]  # that is the test

    assert '"loss": 0.5' in (make(script).huldra_dir / REPORTS).read_text()
