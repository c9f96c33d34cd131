"""Why artifacts failed."""

from __future__ import annotations

from huldra.catalog import Catalog
from huldra_dashboard.causes import root_of, shared_fields, without_our_frames
from tests.dashboard.store import StoreWriter

TRACE = """\
Traceback (most recent call last):
  File "/x/site-packages/huldra/attempts/attempt.py", line 9, in run
    value = obj._create()
            ^^^^^^^^^^^^^
  File "/x/site-packages/huldra/base.py", line 9, in _go
    return go()
  File "/home/ada/huldra/train.py", line 3, in _create
    raise ValueError("nan")
ValueError: nan
"""


def test_our_frames_are_folded_into_a_line() -> None:
    """The user's frames and the error stay; a user's folder called huldra is the user's."""
    folded = without_our_frames(TRACE)
    assert folded.splitlines() == [
        "Traceback (most recent call last):",
        "  … 2 of huldra's own frames",
        '  File "/home/ada/huldra/train.py", line 3, in _create',
        '    raise ValueError("nan")',
        "ValueError: nan",
    ]


def test_fields_that_only_failures_have_are_shared(writer: StoreWriter) -> None:
    """What complete artifacts have, too, or not all failures have, is no cause."""
    for seed in range(2):
        writer.add("m/Train", {"width": 1024, "lr": 0.1, "seed": seed}, status="failed")
        writer.add("m/Train", {"width": 64, "lr": 0.1, "seed": seed})
    snapshot = Catalog([writer.root]).snapshot()
    failed = [row for row in snapshot.rows if row.result_status == "failed"]
    assert shared_fields(failed, snapshot) == [("width", 1024)]
    assert shared_fields(failed[:1], snapshot) == []


def test_what_failed_by_itself_has_no_other_cause(writer: StoreWriter) -> None:
    """The root of a failure is another artifact, or nothing."""
    key = writer.add("m/Train", {"seed": 1}, status="failed")
    snapshot = Catalog([writer.root]).snapshot()
    row = snapshot.get(key)
    assert row is not None
    assert root_of(row, snapshot) is None
