"""Lines of a comparison: which fields differ between artifacts."""

from __future__ import annotations

from huldra_dashboard.comparison import differences


def test_field_that_one_lacks_differs() -> None:
    """A missing field is a difference, also to null."""
    (line,) = differences.lines([{"a": None}, {}])
    assert line.differs
    assert line.present == (True, False)
