"""A small study for any engine: two datasets, three learning rates on each, and a report on top."""

from __future__ import annotations

import json

import huldra


class Dataset(huldra.Huldra[list[int]]):
    """Numbers that are made once, whoever needs them."""

    name: str
    _resources = huldra.Resources(cpus=1, memory_gb=0.25, time_min=10)

    def _create(self) -> list[int]:
        numbers = [len(self.name) * i for i in range(10)]
        (self.huldra_dir / "numbers.json").write_text(json.dumps(numbers))
        return numbers

    def _load(self) -> list[int]:
        numbers: list[int] = json.loads((self.huldra_dir / "numbers.json").read_text())
        return numbers


class Train(huldra.Huldra[float]):
    """One model; the engine starts it once its dataset is there."""

    data: Dataset
    lr: float
    _resources = huldra.Resources(cpus=1, memory_gb=0.25, time_min=60)

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
    data = [Dataset(name="toy"), Dataset(name="large")]
    return tuple(Train(data=each, lr=lr) for each in data for lr in (0.1, 0.01, 0.001))
