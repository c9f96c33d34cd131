"""A config is a directory: the first call makes it, the second one loads it."""

from __future__ import annotations

import json
from pathlib import Path

import huldra


class TrainModel(huldra.Huldra[Path]):
    """A stand-in for a training run: writes its metrics and a checkpoint."""

    lr: float = huldra.chz.field(default=1e-3)
    steps: int = huldra.chz.field(default=1000)

    def _create(self) -> Path:
        metrics = {"lr": self.lr, "steps": self.steps, "loss": 1 / (self.lr * self.steps)}
        (self.huldra_dir / "metrics.json").write_text(json.dumps(metrics))
        (self.huldra_dir / "checkpoint.bin").write_bytes(b"weights")
        return self._load()

    def _load(self) -> Path:
        return self.huldra_dir / "checkpoint.bin"


def main() -> None:
    """Make one artifact, load it again, and look at what is known about it."""
    model = TrainModel(lr=3e-4, steps=5000)
    print(f"exists: {model.exists()}")
    model.load_or_create()  # runs _create
    checkpoint = TrainModel(lr=3e-4, steps=5000).load_or_create()  # an equal config: runs _load
    print(f"exists: {model.exists()}, checkpoint: {checkpoint.name}")
    print(f"python: {model.to_python()}")
    print(f"again:  {TrainModel.from_dict(model.to_dict()) == model}")
    print(f"made on {model.get_metadata().hostname} in {model.huldra_dir}")
