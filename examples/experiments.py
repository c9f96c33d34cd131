"""A HuldraList names experiments; its load_or_create sends all of them as one graph."""

from __future__ import annotations

import huldra
from examples.caching import TrainModel


class MyExperiments(huldra.HuldraList[TrainModel]):
    """The runs of one study, by name."""

    baseline = TrainModel(lr=1e-3, steps=1000)
    fast_lr = TrainModel(lr=1e-2, steps=1000)
    long_run = TrainModel(lr=1e-3, steps=10_000)

    configs = {  # noqa: RUF012  read once, when the class is made
        "tiny": TrainModel(lr=1e-3, steps=100),
        "huge": TrainModel(lr=1e-4, steps=100_000),
    }


def main() -> None:
    """Run all experiments on two local workers, then look at them by name."""
    sweep = MyExperiments.load_or_create(executor="local:2")
    sweep.wait()
    for name, checkpoint in sweep.results().items():
        print(f"{name:10} {checkpoint.parent.name}")
    print(f"{len(MyExperiments)} experiments, first: {MyExperiments.all()[0].to_python()}")
    print(f"baseline exists: {MyExperiments.by_name('baseline').exists()}")
