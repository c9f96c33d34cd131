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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

START_S = 100.0


@dataclass
class Outside:
    """A head with `cpus` slots at `address`; Ray Client's server listens at `client_address`."""

    address: str
    client_address: str
    process: subprocess.Popen[bytes]
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add_node(self, name: str, cpus: int, prefix: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start one more node; `prefix` is a command that runs its command."""
        options = ["--address", self.address, "--num-cpus", str(cpus)]
        command = [*prefix, *_start_command(self.folder / name), *options]
        node = _start(self.folder, name, command, self.settings)
        self.nodes.append(node)
        return node

    def kill(self) -> None:
        """End the head and all that belongs to it, at once."""
        _kill(self.process)

    def close(self) -> None:
        """End it, the orderly way first: workers are in groups of their own."""
        for node in self.nodes:
            _kill(node)
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def outside(cpus: int = 2, **settings: str) -> Iterator[Outside]:
    """A cluster of one node outside of this process, up; `settings` join its environment."""
    # Not below pytest's folder: a socket's path may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="hr", dir="/tmp"))
    port, client_port = free_port(), free_port()
    command = [
        *(*_start_command(folder / "t"), "--head", "--include-dashboard", "false"),
        *("--port", str(port), "--ray-client-server-port", str(client_port)),
        *("--num-cpus", str(cpus), "--disable-usage-stats"),
    ]
    process = _start(folder, "head", command, settings)
    cluster = Outside("", f"ray://127.0.0.1:{client_port}", process, folder, settings)
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


def _start_command(temporary: Path) -> list[str]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
    return [*command, "--temp-dir", str(temporary), "--object-store-memory", "100000000"]


def _start(
    folder: Path, name: str, command: Sequence[str], settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("HULDRA_", "PYTHONPATH"))}
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=folder,  # another folder than the driver's
            env={**environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


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
