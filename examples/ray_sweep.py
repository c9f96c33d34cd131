"""A sweep over two datasets on Ray: on a runtime of our own, as the runtime of this process."""

from __future__ import annotations

import json

import huldra


class Dataset(huldra.Huldra[list[int]]):
    """Numbers that are made once, whoever needs them."""

    name: str

    def _create(self) -> list[int]:
        numbers = [len(self.name) * i for i in range(10)]
        (self.huldra_dir / "numbers.json").write_text(json.dumps(numbers))
        return numbers

    def _load(self) -> list[int]:
        numbers: list[int] = json.loads((self.huldra_dir / "numbers.json").read_text())
        return numbers


class Train(huldra.Huldra[float]):
    """One model; Ray starts it once its dataset is there, on a cpu and with a quarter of a GiB."""

    data: Dataset
    lr: float
    _resources = huldra.Resources(cpus=1, memory_gb=0.25, time_min=10)

    def _create(self) -> float:
        loss = sum(self.data.load_or_create()) * self.lr
        (self.huldra_dir / "loss.txt").write_text(repr(loss))
        return loss

    def _load(self) -> float:
        return float((self.huldra_dir / "loss.txt").read_text())


def models() -> list[Train]:
    """Three learning rates on each of two datasets."""
    data = [Dataset(name="toy"), Dataset(name="large")]
    return [Train(data=d, lr=lr) for d in data for lr in (0.1, 0.01, 0.001)]


def main() -> None:
    """Make all models, on the runtime that this process has or on one that ends with it."""
    sweep = huldra.load_or_create(models(), executor="ray")
    print(f"{len(sweep.results(timeout=300))} models, none failed: {not sweep.failed()}")
