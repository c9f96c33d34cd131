"""An executor of submitit's, as it is, in `load_or_create`."""

from __future__ import annotations

import submitit

from examples.caching import TrainModel


def main() -> None:
    """Send one artifact; parameters are submitit's own."""
    executor = submitit.AutoExecutor(folder="submitit_logs")
    executor.update_parameters(timeout_min=60, slurm_partition="debug", cpus_per_task=1)

    job = TrainModel(lr=3e-4, steps=5000).load_or_create(executor=executor)
    print(f"job {job.job_id} is {job.status().value}")
    print(f"made: {job.result(timeout=600).name}")
