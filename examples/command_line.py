"""A command line for any config: `python -m examples command_line lr=0.1 steps=10`."""

from __future__ import annotations

import huldra
from examples.caching import TrainModel


def main() -> None:
    """Build the object from the command line and make it (`--help` shows its fields)."""
    model = huldra.chz.entrypoint(TrainModel)
    print(model.to_python())
    print(model.load_or_create())
