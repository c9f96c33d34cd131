"""The key that a selection belongs to."""

from __future__ import annotations

from huldra_dashboard.tables import table_key


def test_table_with_other_lines_is_another_table() -> None:
    """A selection by position cannot pass to other artifacts."""
    assert table_key("x", ["a", "b"]) == table_key("x", ["a", "b"])
    assert table_key("x", ["a", "b"]) != table_key("x", ["b", "a"])
