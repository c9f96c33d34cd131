"""For those who write an executor: the conformance suite, its pipelines, and a fake engine.

`ExecutorSuite` needs pytest, and is imported when it is asked for; `FakeExecutor` needs nothing.
`docs/executors.md` shows how both are used.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from huldra.testing.fake import FakeExecutor
    from huldra.testing.suite import Driver, ExecutorSuite

__all__ = ["Driver", "ExecutorSuite", "FakeExecutor"]


def __getattr__(name: str) -> Any:
    if name == "FakeExecutor":
        from huldra.testing.fake import FakeExecutor

        return FakeExecutor
    if name in {"ExecutorSuite", "Driver"}:
        import pytest

        if "huldra.testing.suite" not in sys.modules:
            pytest.register_assert_rewrite("huldra.testing.suite")
        import huldra.testing.suite

        return getattr(huldra.testing.suite, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
