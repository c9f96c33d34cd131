"""A sweep over two datasets with a report on top, sent to Slurm as a few job arrays."""

from __future__ import annotations

from examples.learning_rates import Report, models
from huldra_submitit import SubmititExecutor


def main() -> None:
    """Send everything in four `sbatch` calls; the driver could leave before the last line."""
    executor = SubmititExecutor(time_min=5, array_parallelism=4)
    job = Report(models=models()).load_or_create(executor=executor)
    print(f"job {job.job_id}: {job.status().value}")
    print(f"best: {job.result(timeout=600)}")
