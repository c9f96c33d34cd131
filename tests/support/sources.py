"""Modules whose source stands in a test."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest


def import_source(monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> Any:
    """Run a module's source under a name, as an import would, until the test ends."""
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(source, f"<{name}>", "exec"), vars(module))
    return module
