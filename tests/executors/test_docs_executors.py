"""The worked adapter of `docs/executors.md` passes the suite, as the page says."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from huldra.testing import ExecutorSuite

PAGE = Path(__file__).parents[2] / "docs" / "executors.md"
NAME = "huldra_docs_my_engine"


@pytest.fixture(scope="module")
def my_engine() -> Iterator[types.ModuleType]:
    """The page's module, imported."""
    source = re.findall(r"```python\n(# my_engine/.*?)```", PAGE.read_text(), re.DOTALL)[0]
    module = types.ModuleType(NAME)
    sys.modules[NAME] = module
    exec(compile(source, str(PAGE), "exec"), module.__dict__)
    yield module
    del sys.modules[NAME]


class TestThePagesAdapter(ExecutorSuite):
    """Each node in a process of its own."""

    sweep_size = 6

    @pytest.fixture
    def executor(self, my_engine: Any) -> Iterator[Any]:
        executor = my_engine.ProcessPerNode()
        yield executor
        executor.close()
