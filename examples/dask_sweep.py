"""A sweep over two datasets on Dask: a cluster inside this process, then a client of one's own."""

from __future__ import annotations

from typing import Any

import huldra
from examples.learning_rates import Dataset, Train, models


def main() -> None:
    """Make all models on two slots of a cluster of our own; then one more through a client."""
    sweep = huldra.load_or_create(models(), executor="dask:2")
    print(f"{len(sweep.results(timeout=120))} models, none failed: {not sweep.failed()}")

    import distributed

    dask: Any = distributed  # ships no types for these
    with (
        dask.LocalCluster(1, threads_per_worker=2, processes=False, dashboard_address=":0") as own,
        dask.Client(own, set_as_default=False) as client,
    ):
        job = Train(data=Dataset(name="toy"), lr=1.0).load_or_create(executor=client)
        print(f"on the client: {job.result(timeout=120)}, as {job.job_id}")
