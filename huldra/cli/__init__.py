"""The command `huldra`: a small command line over the catalog."""

from __future__ import annotations

from huldra.cli.parser import main

__all__ = ["main"]
