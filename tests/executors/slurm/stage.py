"""What the tests on a real Slurm share: a store, gates, counted commands, processes of drivers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import huldra
from tests.executors.slurm.cluster import Cluster
from tests.executors.slurm.pipelines import Resumable

PATIENCE_S = 150.0
_COUNTED = ("sbatch", "squeue", "sacct", "scancel")


class Stage:
    """One test's store, notes and gates, and the cluster that it plays on."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder = folder
        self.cluster = cluster
        self.root = folder / "store"
        self.notes = folder / "notes"
        self.notes.mkdir()
        self.log = folder / "commands.log"
        self.path = ""
        self._drivers: list[subprocess.Popen[bytes]] = []

    def resumable(self, name: str, **more: Any) -> Resumable:
        """A node that waits for its gate."""
        return Resumable(name=name, notes=str(self.notes), **more)

    def open(self, *names: str) -> None:
        """Let held nodes go on."""
        for name in names:
            (self.notes / f"{name}.open").touch()

    def runs(self, name: str) -> list[tuple[str, int, float]]:
        """What the node noted: word, pid, time."""
        path = self.notes / f"{name}.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(word, int(pid), float(at)) for word, pid, at in map(str.split, lines)]

    def began(self, name: str) -> int:
        """How often `_create` of the node began."""
        return sum(word == "began" for word, _, _ in self.runs(name))

    def until(
        self, condition: Callable[[], object], what: str, limit_s: float = PATIENCE_S
    ) -> None:
        """Wait for a condition, or fail saying what did not happen."""
        deadline = time.monotonic() + limit_s
        while not condition():
            shown = self.cluster.ask("squeue", "-a", "-t", "all", "-o", "%i %T %r %E")
            assert time.monotonic() < deadline, f"never: {what}\n{shown}"
            time.sleep(0.1)

    def await_run(self, name: str, count: int = 1) -> None:
        """Wait until `_create` of the node has begun so often."""
        self.until(lambda: self.began(name) >= count, f"run {count} of {name}")

    def attempts(self, obj: huldra.Huldra[Any]) -> list[tuple[str, str]]:
        """Each attempt of an artifact: its kind, and how it ended."""
        claims = obj.huldra_dir / ".huldra" / "claims"
        found = []
        for number in sorted(int(path.name) for path in claims.iterdir() if path.name.isdigit()):
            kind = json.loads((claims / str(number)).read_text())["kind"]
            end = claims / f"{number}.end"
            data = json.loads(end.read_text()) if end.exists() else {}
            # The end of a queued attempt that started is the next attempt's claim, by a second
            # name.
            found.append((kind, data.get("status", "started" if data else "open")))
        return found

    def attempt(self, obj: huldra.Huldra[Any]) -> dict[str, Any]:
        """The attempt in an artifact's state."""
        state = json.loads((obj.huldra_dir / ".huldra" / "state.json").read_text())
        attempt: dict[str, Any] = state["attempt"]
        return attempt

    def shown(self, job_id: str) -> dict[str, str]:
        """What `scontrol show job` says, by field."""
        text = self.cluster.ask("scontrol", "show", "job", job_id) or ""
        return dict(word.partition("=")[::2] for word in text.split() if "=" in word)

    def commands(self, program: str) -> int:
        """How often the driver ran this program of Slurm's."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return sum(line.split()[0] == program for line in lines)

    def count_commands(self) -> str:
        """Put programs in front of Slurm's that note each call made outside of jobs; a PATH."""
        shims = self.folder / "shims"
        shims.mkdir()
        for program in _COUNTED:
            real = shutil.which(program, path=self.cluster.env["PATH"])
            shim = shims / program
            shim.write_text(
                "#!/bin/sh\n"
                f'[ -n "$SLURM_JOB_ID" ] || echo {program} "$@" >> {self.log}\n'
                f'exec {real} "$@"\n'
            )
            shim.chmod(0o755)
        self.path = f"{shims}:{os.environ['PATH']}"
        return self.path

    def drive(self, code: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start a driver: Python code in a process of its own, with `stage` names in place."""
        prelude = (
            "import huldra, pathlib, sys, os\n"
            f"huldra.set_huldra_root(pathlib.Path({str(self.root)!r}))\n"
            "huldra.HULDRA_CONFIG.poll_interval = 0.5\n"
            "from tests.executors.slurm.pipelines import Resumable\n"
            "from huldra.testing.pipelines import Step\n"
            f"notes = {str(self.notes)!r}\n"
        )
        env: Mapping[str, str] = {
            **self.cluster.env,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            **environ,
        }
        log = self.folder / f"driver-{len(self._drivers)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", prelude + code], env=env, stdout=out, stderr=out
            )
        self._drivers.append(process)
        return process

    def said(self, process: subprocess.Popen[bytes]) -> str:
        """What a driver has printed so far."""
        return (self.folder / f"driver-{self._drivers.index(process)}.log").read_text()

    def finish(self, process: subprocess.Popen[bytes]) -> str:
        """Wait for a driver's end, which must be a good one; what it printed."""
        code = process.wait(timeout=PATIENCE_S)
        assert code == 0, self.said(process)
        return self.said(process)

    def close(self) -> None:
        """End what is left of the drivers."""
        for process in self._drivers:
            if process.poll() is None:
                process.kill()
            process.wait()
