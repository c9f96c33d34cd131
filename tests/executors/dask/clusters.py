"""Real clusters for the tests: a scheduler and workers in processes of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

START_S = 60.0
REPOSITORY = Path(__file__).parents[3]


@dataclass
class Outside:
    """A scheduler at `address` with workers under nannies, none of them a child of the driver."""

    folder: Path
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What a user passes as executor."""
        return self.address.replace("tcp://", "dask://")

    def add_worker(self, *options: str, prefix: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start one more worker, of one thread; `prefix` is a command that runs its command."""
        command = ["worker", self.address, "--nthreads", "1", "--no-dashboard", *options]
        command += ["--local-directory", str(self.folder), "--host", "127.0.0.1"]
        worker = _start(self.folder / f"worker{len(self.workers)}.log", command, prefix)
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        """End all of it."""
        for process in (*self.workers, self.scheduler):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def outside(folder: Path, workers: int = 2, *options: str, **environ: str) -> Iterator[Outside]:
    """A cluster outside of this process, up and with all of its workers.

    `environ` is added to the scheduler's environment.
    """
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    command = ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    cluster = Outside(folder, address, _start(folder / "scheduler.log", command, **environ))
    try:
        for _ in range(workers):
            cluster.add_worker(*options)
        _await_workers(cluster, workers)
        yield cluster
    finally:
        cluster.close()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(
    log: Path, command: list[str], prefix: Sequence[str] = (), **more: str
) -> subprocess.Popen[bytes]:
    # Another folder than the driver's, and none of its settings: what a worker needs to know of
    # the driver has to reach it with the work.
    environ = {k: v for k, v in os.environ.items() if not k.startswith("HULDRA_")}
    paths = [str(REPOSITORY), str(REPOSITORY / "executors"), str(REPOSITORY / "dashboard")]
    environ["PYTHONPATH"] = os.pathsep.join(paths)
    with log.open("ab") as file:
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "distributed.cli.dask_" + command[0], *command[1:]],
            cwd=log.parent,
            env={**environ, **more},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def _await_workers(cluster: Outside, count: int) -> None:
    from distributed import Client

    deadline = time.monotonic() + START_S
    while True:
        try:
            with Client(cluster.address, set_as_default=False, timeout=START_S) as client:
                if count:
                    client.wait_for_workers(count, timeout=START_S)
            return
        except (OSError, TimeoutError):
            if time.monotonic() > deadline:
                raise
