"""One declaration of resources serves every engine, and is never part of the hash."""

from __future__ import annotations

import huldra


class Preprocess(huldra.Huldra[int]):
    """Always needs the same."""

    rows: int = 10
    _resources = huldra.Resources(cpus=1, memory_gb=0.5, time_min=5)

    def _create(self) -> int:
        (self.huldra_dir / "rows.txt").write_text(str(self.rows))
        return self.rows

    def _load(self) -> int:
        return int((self.huldra_dir / "rows.txt").read_text())


class Train(huldra.Huldra[float]):
    """Needs more when its fields say so; keys with an engine's prefix are for that engine alone."""

    data: Preprocess = huldra.field(default_factory=Preprocess)
    width: int = 8

    def _resources(self) -> huldra.Resources:
        large = self.width > 1000
        return huldra.Resources(
            cpus=1,
            memory_gb=self.width**2 / 2**20,
            time_min=60 if large else 10,
            extra={"slurm_partition": "gpu" if large else "short"},
        )

    def _create(self) -> float:
        loss = self.data.load_or_create() / self.width
        (self.huldra_dir / "loss.txt").write_text(repr(loss))
        return loss

    def _load(self) -> float:
        return float((self.huldra_dir / "loss.txt").read_text())


def main() -> None:
    """Run a chain on one local worker; a request that it cannot honour is refused at once."""
    print(Train().load_or_create(executor="local:1").result())
    try:
        Train(width=10**6).load_or_create(executor="local:1")
    except huldra.HuldraRefused as refused:
        print(f"refused, nothing was sent: {refused}")
