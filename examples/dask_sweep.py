"""A sweep over two datasets on Dask: a cluster inside this process, then a client of one's own."""

from __future__ import annotations

import json
from typing import Any

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
    """One model; Dask starts it once its dataset is there."""

    data: Dataset
    lr: float
    _resources = huldra.Resources(cpus=1, time_min=10)

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
    """Make all models on two slots of a cluster of our own; then find them made from a client."""
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
