"""What runs on a worker: one node of a run, and the warm processes that run many."""

from huldra.worker.node import main, run_node

__all__ = ["main", "run_node"]
