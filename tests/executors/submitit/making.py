"""Executors for drivers in other processes."""

from __future__ import annotations

import os
from typing import Any


def local_executor() -> Any:
    """Make submitit's local cluster, with its logs where the test says."""
    import submitit

    executor = submitit.AutoExecutor(folder=os.environ["TEST_SUBMITIT_FOLDER"], cluster="local")
    executor.update_parameters(timeout_min=10)
    return executor
