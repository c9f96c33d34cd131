"""A sweep over two datasets with a report on top, sent to Slurm as a few job arrays."""

from __future__ import annotations

import json

import huldra
from huldra_submitit import SubmititExecutor


class Dataset(huldra.Huldra[list[int]]):
    """Numbers that are made once, whoever needs them."""

    name: str
    _resources = huldra.Resources(cpus=1, memory_gb=1, time_min=10)

    def _create(self) -> list[int]:
        numbers = [len(self.name) * i for i in range(10)]
        (self.huldra_dir / "numbers.json").write_text(json.dumps(numbers))
        return numbers

    def _load(self) -> list[int]:
        numbers: list[int] = json.loads((self.huldra_dir / "numbers.json").read_text())
        return numbers


class Train(huldra.Huldra[float]):
    """One model; Slurm starts it when its dataset's job has ended."""

    data: Dataset
    lr: float
    _resources = huldra.Resources(cpus=1, memory_gb=1, time_min=60)

    def _create(self) -> float:
        loss = sum(self.data.load_or_create()) * self.lr
        (self.huldra_dir / "loss.txt").write_text(repr(loss))
        return loss

    def _load(self) -> float:
        return float((self.huldra_dir / "loss.txt").read_text())


class Report(huldra.Huldra[str]):
    """The best of all models."""

    models: tuple[Train, ...]

    def _create(self) -> str:
        best = min(self.models, key=lambda model: model.load_or_create())
        (self.huldra_dir / "best.txt").write_text(best.to_python())
        return self._load()

    def _load(self) -> str:
        return (self.huldra_dir / "best.txt").read_text()


def models() -> tuple[Train, ...]:
    """Three learning rates on each of two datasets."""
    data = [Dataset(name="small"), Dataset(name="larger")]
    return tuple(Train(data=each, lr=lr) for each in data for lr in (0.1, 0.2, 0.3))


def main() -> None:
    """Send everything in four `sbatch` calls; the driver could leave before the last line."""
    executor = SubmititExecutor(time_min=5, array_parallelism=4)
    job = Report(models=models()).load_or_create(executor=executor)
    print(f"job {job.job_id}: {job.status().value}")
    print(f"best: {job.result(timeout=600)}")
