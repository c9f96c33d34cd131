"""A real Ray cluster for the tests, in processes of its own that outlive any driver."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

START_S = 100.0


@dataclass
class Outside:
    """A head with `cpus` slots at `address`; Ray Client's server listens at `client_address`."""

    address: str
    client_address: str
    process: subprocess.Popen[bytes]
    folder: Path

    def kill(self) -> None:
        """End the head and all that belongs to it, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """End it, the orderly way first: workers are in groups of their own."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def outside(cpus: int = 2) -> Iterator[Outside]:
    """A cluster of one node outside of this process, up."""
    # Not below pytest's folder: a socket's path may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="hr", dir="/tmp"))
    port, client_port = free_port(), free_port()
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
        *("--port", str(port), "--ray-client-server-port", str(client_port)),
        *("--num-cpus", str(cpus), "--include-dashboard", "false", "--disable-usage-stats"),
        *("--temp-dir", str(folder / "t"), "--object-store-memory", "100000000"),
    ]
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("HULDRA_", "PYTHONPATH"))}
    with (folder / "head.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,  # another folder than the driver's
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    cluster = Outside("", f"ray://127.0.0.1:{client_port}", process, folder)
    try:
        cluster.address = _await_head(cluster)
        yield cluster
    finally:
        cluster.close()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_head(cluster: Outside) -> str:
    """The head's address: Ray takes this host's own, and turns a loopback one into that."""
    deadline = time.monotonic() + START_S
    log = cluster.folder / "head.log"
    while True:
        text = log.read_text(errors="replace")
        told = re.search(r"--address='([^']+)'", text)
        if told:
            return told.group(1)
        if cluster.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the Ray head did not come up:\n{text}")
        time.sleep(0.1)
