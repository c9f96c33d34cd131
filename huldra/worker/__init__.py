"""What runs on a worker: one node of a run, and the warm processes that run many.

Knows a run's record on disk. Must not know the driver's memory: all that it has is in the record.
"""

from huldra.worker.node import main, run_node

__all__ = ["main", "run_node"]
