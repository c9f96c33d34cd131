"""`_validate` decides whether what lies on disk still counts."""

from __future__ import annotations

from pathlib import Path

import huldra


class Checkpoint(huldra.Huldra[Path]):
    """A file that must be there and must not be empty."""

    checkpoint_name: str = "model.pt"

    def _validate(self) -> bool:
        return self._load().exists() and self._load().stat().st_size > 0

    def _create(self) -> Path:
        self._load().write_bytes(b"weights")
        return self._load()

    def _load(self) -> Path:
        return self.huldra_dir / self.checkpoint_name


def main() -> None:
    """Damage an artifact, and have it made again."""
    checkpoint = Checkpoint()
    path = checkpoint.load_or_create()
    path.write_bytes(b"")  # damage
    print(f"still good: {checkpoint.exists()}")
    checkpoint.load_or_create()
    print(f"made again: {path.read_bytes()!r}")
