"""Configs of these tests, importable by jobs on the cluster."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import huldra

_PATIENCE_S = 360.0


class Resumable(huldra.Huldra[dict[str, Any]]):
    """Counts in a file, and goes on from there when it is run again; waits at `gate`.

    `notes` gets a line for each time that it begins and ends: pid and time.
    """

    name: str
    notes: str = huldra.field(default="", hashed=False)
    extra: dict[str, object] = huldra.field(default_factory=dict, hashed=False)
    time_min: float | None = huldra.field(default=None, hashed=False)

    def _resources(self) -> huldra.Resources:
        return huldra.Resources(time_min=self.time_min, extra=dict(self.extra))

    def _create(self) -> dict[str, Any]:
        """Note each run in the artifact's own folder, then wait for the gate."""
        partial = self.huldra_dir / "partial.txt"
        runs = partial.read_text().split() if partial.exists() else []
        partial.write_text(" ".join([*runs, str(os.getpid())]))
        self._note("began")
        try:
            deadline = time.monotonic() + _PATIENCE_S
            while not Path(self.notes, f"{self.name}.open").exists():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"nobody opened the gate of {self.name}")
                time.sleep(0.02)
            return self._load()
        finally:
            self._note("ended")

    def _note(self, what: str) -> None:
        path = Path(self.notes, f"{self.name}.log")
        with path.open("a") as file:
            file.write(f"{what} {os.getpid()} {time.time()}\n")

    def _load(self) -> dict[str, Any]:
        """Say how often `_create` ran."""
        runs = (self.huldra_dir / "partial.txt").read_text().split()
        return {"name": self.name, "runs": len(runs)}


class Launch(huldra.Huldra[int]):
    """Starts `srun` as a user would, and counts the lines of its tasks."""

    tasks: int

    def _create(self) -> int:
        """Run one command in every task of the job."""
        done = subprocess.run(
            ["srun", "hostname"], capture_output=True, text=True, timeout=60, check=True
        )
        (self.huldra_dir / "count").write_text(str(len(done.stdout.split())))
        return self._load()

    def _load(self) -> int:
        """Say how many tasks there were."""
        return int((self.huldra_dir / "count").read_text())
