"""A sweep over two datasets on Ray: on a runtime of our own, as the runtime of this process."""

from __future__ import annotations

import huldra
from examples.learning_rates import models


def main() -> None:
    """Make all models, on the runtime that this process has or on one that ends with it."""
    sweep = huldra.load_or_create(models(), executor="ray")
    print(f"{len(sweep.results(timeout=300))} models, none failed: {not sweep.failed()}")
