"""`raw_dir` is one folder for large files that all configs share."""

from __future__ import annotations

from pathlib import Path

import huldra


class LargeDataProcessor(huldra.Huldra[Path]):
    """Keeps its large file outside its own directory."""

    megabytes: int = 1

    def _create(self) -> Path:
        path = self._load()
        path.parent.mkdir(exist_ok=True)  # a subfolder, because other configs write to raw_dir too
        path.write_bytes(b"\0" * (self.megabytes << 20))
        return path

    def _load(self) -> Path:
        return self.raw_dir / self.huldra_hash / "large.bin"


def main() -> None:
    """Write a large file to the shared folder."""
    path = LargeDataProcessor().load_or_create()
    print(f"{path.stat().st_size >> 20} MiB in .../{'/'.join(path.parts[-3:])}")
