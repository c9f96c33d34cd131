"""Curves in files of lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from huldra.catalog import curves
from huldra.catalog.curves import Lines, read_lines


def look(path: Path, before: Lines | None = None) -> tuple[Lines, Lines]:
    with path.open("rb") as file:
        return read_lines(file, path.suffix[1:], before)


def line(step: int, loss: float) -> str:
    return f'{{"step": {step}, "loss": {loss}}}\n'


def test_a_file_that_grew_is_read_on(tmp_path: Path) -> None:
    """Only what was added is read; what was shown before does not change."""
    path = tmp_path / "history.jsonl"
    path.write_text(line(1, 5) + line(2, 4))
    kept, shown = look(path)
    with path.open("a") as file:
        file.write(line(3, 3))
    later, _ = look(path, kept)
    assert later.records == 3
    assert later.curves["loss"].points == [(1, 5), (2, 4), (3, 3)]
    assert shown.curves["loss"].points == [(1, 5), (2, 4)]


def test_a_half_written_line_counts_when_it_is_whole(tmp_path: Path) -> None:
    """The number of a half written line of a CSV file is not kept: more of it may come."""
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n1,5\n2,0.1")
    kept, shown = look(path)
    assert shown.curves["loss"].last == (2, 0.1)
    with path.open("a") as file:
        file.write("25\n")
    assert look(path, kept)[0].curves["loss"].last == (2, 0.125)
    assert look(path, kept)[0].curves["loss"].count == 2


def test_a_file_that_was_written_anew_is_read_again(tmp_path: Path) -> None:
    """In place and longer, but with other lines."""
    path = tmp_path / "history.jsonl"
    path.write_text(line(1, 5) + line(2, 4))
    kept, _ = look(path)
    path.write_text(line(1, 9) + line(2, 8) + line(3, 7))
    assert look(path, kept)[1].curves["loss"].points == [(1, 9), (2, 8), (3, 7)]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_very_long_file_is_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Its beginning, its end and parts between: the last number is right, and it says so."""
    monkeypatch.setattr(curves, "MAX_WHOLE_BYTES", 100_000)
    monkeypatch.setattr(curves, "_PART_BYTES", 10_000)
    monkeypatch.setattr(curves, "_WINDOW_BYTES", 500)
    path = tmp_path / f"history.{kind}"
    if kind == "jsonl":
        path.write_text("".join(line(n, 20_000 - n) for n in range(20_000)))
    else:
        path.write_text("step,loss\n" + "".join(f"{n},{20_000 - n}\n" for n in range(20_000)))
    kept, shown = look(path)
    curve = shown.curves["loss"]
    assert kept.is_partial
    assert curve.last == (19_999, 1)
    assert curve.points[0] == (0, 20_000)
    steps = [step for step, _ in curve.points]
    assert steps == sorted(steps)
    assert any(8_000 < step < 12_000 for step in steps)
    assert curve.count < 5_000


def test_a_long_curve_keeps_its_extent(tmp_path: Path) -> None:
    """Thinning loses points, and neither the smallest nor the last one."""
    path = tmp_path / "history.jsonl"
    path.write_text("".join(line(n, -7 if n == 4321 else n % 10) for n in range(9001)))
    curve = look(path)[1].curves["loss"]
    assert len(curve.series()) <= curves.MAX_POINTS
    assert curve.series()[-1] == (9000, 0)
    assert curve.extent()[:3] == (9000, -7, 4321)
