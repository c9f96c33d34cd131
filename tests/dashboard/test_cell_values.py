"""Values as the cells of tables."""

from __future__ import annotations

import math

from huldra_dashboard.cell_values import cell, column


def test_columns_of_numbers_stay_numbers() -> None:
    """Numbers with gaps can be sorted; a mixture becomes text."""
    assert column([1, 2.5]) == [1, 2.5]
    assert math.isnan(column([1, None])[1])
    assert column([1, "a"]) == ["1", "a"]
    assert column([True, None]) == [True, None]
    assert column([10**30, 1]) == [str(10**30), "1"]


def test_nested_artifacts_are_named() -> None:
    """A reference is shown as class and hash, in lists too."""
    ref = {"$ref": "my.data/Dataset/1a2b3c4d5e6f"}
    assert cell(ref) == "Dataset 1a2b3c4d"
    assert cell([ref, 1]) == '["Dataset 1a2b3c4d", 1]'
