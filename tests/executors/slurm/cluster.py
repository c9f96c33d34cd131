"""A real Slurm on this machine for the tests: its own munge, MariaDB, controller and two nodes.

Everything lives in one temporary folder and on free loopback ports, so several can run beside
each other and beside a real one. Nothing is daemonised: each program is a child of this process,
and `stop` ends those children and nothing else. Needs root (slurmd starts jobs), and Debian's
`slurmctld slurmd slurmdbd slurm-client munge mariadb-server`.

`python tests/executors/slurm/cluster.py` starts one by hand and prints the SLURM_CONF to export.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

HERE = Path(__file__).parent
NODES = ("n1", "n2")
NODE_CPUS = 4
NODE_MEMORY_MB = 8000
_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
# A killed test run must not leave a cluster behind.
_WITH_PARENT = ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()


class ClusterError(RuntimeError):
    """The cluster did not come up; the message names the log to read."""


@dataclass(frozen=True)
class Options:
    """What differs between the clusters of the tests.

    Without `accounting` there is no database and `sacct` fails, as on small sites.
    """

    accounting: bool = True
    max_array_size: int = 10001
    extra: Mapping[str, str] = field(default_factory=dict)


class Cluster:
    """A running Slurm: partition `debug` (default), and `high`, whose jobs preempt those of it.

    `short` allows five minutes at most, `gpu` is `debug` by another name. What is preempted
    is requeued seconds later.
    """

    def __init__(self, options: Options = Options()) -> None:
        self.options = options
        self.directory = Path(tempfile.mkdtemp(prefix="huldra-slurm-"))
        self.name = f"t{uuid.uuid4().hex[:8]}"
        self.conf = self.directory / "slurm.conf"
        self.ports = dict(zip(("ctld", "dbd", "mysql", *NODES), _free_ports(5), strict=True))
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def env(self) -> dict[str, str]:
        """The environment of a command that speaks to this cluster."""
        return os.environ | {"SLURM_CONF": str(self.conf), "PATH": _path()}

    def start(self) -> None:
        """Start every program and return when both nodes are idle."""
        self.directory.chmod(0o755)  # munged refuses a socket that others could not reach
        for folder in ("state", "log", "mysql", *(f"spool/{node}" for node in NODES)):
            (self.directory / folder).mkdir(parents=True)
        # One GPU a node that is none: enough to ask for and to be given.
        (self.directory / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        self._start_munge()
        if self.options.accounting:
            self._start_accounting()
        self.conf.write_text(self._slurm_conf())
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        self._await("the nodes", lambda: self._idle_nodes() == len(NODES))

    def start_controller(self) -> None:
        """Start the controller (again) and return once it answers."""
        self._spawn("slurmctld", "slurmctld", "-D", "-f", str(self.conf))
        self._await("the controller", lambda: self.ask("scontrol", "ping") is not None)

    def stop_controller(self) -> None:
        """End the controller; jobs that run go on."""
        _end(self._running.pop("slurmctld"))

    def start_node(self, node: str) -> None:
        """Start (again) the daemon of one node."""
        self._spawn(node, "slurmd", "-D", "-f", str(self.conf), "-N", node)

    def kill_node(self, node: str) -> None:
        """End a node's daemon as a power cut would: no word to the controller.

        The processes of its jobs go on, as on a node that only lost its network.
        """
        process = self._running.pop(node)
        process.kill()
        process.wait()

    def revive_node(self, node: str) -> None:
        """Start a killed node again and put it back into service."""
        if node not in self._running:
            self.start_node(node)
        self._await(f"node {node}", lambda: self._resume(node))

    def stop(self) -> None:
        """End all jobs and all programs of this cluster, and remove its folder."""
        if "slurmctld" in self._running:
            with contextlib.suppress(ClusterError):
                self.cancel_all()
        for name in (*NODES, "slurmctld", "slurmdbd", "mariadb", "munge"):
            _end(self._running.pop(name, None))
        shutil.rmtree(self.directory, ignore_errors=True)

    def cancel_all(self) -> None:
        """Cancel every job, and return once none runs."""
        if self._jobs():
            self.ask("scancel", "-u", "root")
            self._await("the end of the jobs", lambda: not self._jobs(), 30)

    def ask(self, *command: str) -> str | None:
        """Run a command of Slurm's; its output, or None when it failed."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=30)
        return done.stdout if done.returncode == 0 else None

    def _jobs(self) -> bool:
        return bool((self.ask("squeue", "-h") or "").strip())

    def _idle_nodes(self) -> int:
        shown = self.ask("sinfo", "-h", "-t", "idle", "-o", "%D", "-p", "debug") or ""
        return sum(int(word) for word in shown.split())

    def _resume(self, node: str) -> bool:
        state = self.ask("sinfo", "-h", "-n", node, "-p", "debug", "-o", "%t") or ""
        if state.strip() in ("idle", "mix", "alloc"):
            return True
        self.ask("scontrol", "update", f"nodename={node}", "state=resume")
        return False

    def _spawn(self, name: str, *command: str) -> None:
        with (self.directory / "log" / f"{name}.out").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [*_WITH_PARENT, *command],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C at the terminal is pytest's, not Slurm's
            )

    def _await(self, what: str, is_there: Callable[[], bool], limit_s: float = 60) -> None:
        deadline = time.monotonic() + limit_s
        while not is_there():
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise ClusterError(f"{name} ended while waiting for {what}:\n{self._log(name)}")
            if time.monotonic() > deadline:
                raise ClusterError(f"no {what} in {limit_s} s; logs in {self.directory}/log")
            time.sleep(0.05)

    def _log(self, name: str) -> str:
        return (self.directory / "log" / f"{name}.out").read_text(errors="replace")[-2000:]

    def _start_munge(self) -> None:
        key = self.directory / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        files = {"key-file": key, "socket": self.directory / "munge.socket"}
        files |= {f"{name}-file": self.directory / f"munge.{name}" for name in ("pid", "seed")}
        files["log-file"] = self.directory / "log" / "munge.log"
        options = [f"--{name}={path}" for name, path in files.items()]
        self._spawn("munge", "munged", "--foreground", "--force", *options)
        self._await("munge", (self.directory / "munge.socket").exists)

    def _start_accounting(self) -> None:
        data = self.directory / "mysql"
        subprocess.run(
            [
                *("mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db"),
            ],
            check=True,
            capture_output=True,
            timeout=120,
            env=self.env,
        )
        sock = f"--socket={self.directory}/mysql.sock"
        self._spawn(
            "mariadb",
            *("mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", sock),
            *("--bind-address=127.0.0.1", f"--port={self.ports['mysql']}"),
            *(f"--pid-file={self.directory}/mysql.pid", "--innodb-buffer-pool-size=32M"),
        )
        self._await("the database", lambda: self.ask("mariadb-admin", sock, "ping") is not None)
        grants = " ".join(
            f"create user 'slurm'@'{host}' identified by 'slurm';"
            f"grant all on slurm_acct.* to 'slurm'@'{host}';"
            for host in ("127.0.0.1", "localhost")
        )
        if self.ask("mariadb", "--no-defaults", sock, "-e", grants) is None:
            raise ClusterError("the database refused slurm's user")
        conf = self.directory / "slurmdbd.conf"
        conf.write_text(self._slurmdbd_conf())
        conf.chmod(0o600)
        self.conf.write_text(self._slurm_conf())
        self._spawn("slurmdbd", "slurmdbd", "-D")
        # `sacctmgr` answers only once the daemon has made its tables.
        add = ("sacctmgr", "-i", "-Q", "add", "cluster", self.name)
        known = ("sacctmgr", "-n", "-P", "list", "cluster", "format=cluster")
        self._await("the accounting", lambda: self.ask(*known) is not None)
        self.ask(*add)

    def _slurmdbd_conf(self) -> str:
        return f"""\
AuthType=auth/munge
AuthInfo=socket={self.directory}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={self.ports["dbd"]}
SlurmUser=root
LogFile={self.directory}/log/slurmdbd.log
PidFile={self.directory}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={self.ports["mysql"]}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
"""

    def _slurm_conf(self) -> str:
        host = socket.gethostname().split(".")[0]
        lines = {
            "ClusterName": self.name,
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmUser": "root",
            "SlurmdUser": "root",
            "AuthType": "auth/munge",
            # A requeued job is held back for the life of a credential: seconds here.
            "AuthInfo": f"socket={self.directory}/munge.socket,cred_expire=5",
            "SlurmctldPort": str(self.ports["ctld"]),
            "StateSaveLocation": f"{self.directory}/state",
            "SlurmdSpoolDir": f"{self.directory}/spool/%n",
            "SlurmctldPidFile": f"{self.directory}/slurmctld.pid",
            "SlurmdPidFile": f"{self.directory}/slurmd.%n.pid",
            "SlurmctldLogFile": f"{self.directory}/log/slurmctld.log",
            "SlurmdLogFile": f"{self.directory}/log/slurmd.%n.log",
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "JobAcctGatherType": "jobacct_gather/none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_Core",
            "SlurmdParameters": "config_overrides",  # four CPUs a node, whatever the machine has
            # Without these a job waits many seconds for the scheduler's next round.
            "SchedulerParameters": "bf_interval=1,sched_interval=1,sched_min_interval=100000,"
            "batch_sched_delay=0",
            "PreemptType": "preempt/partition_prio",
            "PreemptMode": "REQUEUE",
            "JobRequeue": "1",
            "MinJobAge": "300",
            "KillWait": "5",
            "MaxArraySize": str(self.options.max_array_size),
            "MaxJobCount": "20000",
            "ReturnToService": "2",
            "SlurmdTimeout": "10",
            "MpiDefault": "none",
            "GresTypes": "gpu",
        }
        if self.options.accounting:
            lines |= {
                "AccountingStorageType": "accounting_storage/slurmdbd",
                "AccountingStorageEnforce": "associations,limits",
                "AccountingStorageHost": "127.0.0.1",
                "AccountingStoragePort": str(self.ports["dbd"]),
                # For a munge socket that is not the default one, this is where it goes.
                "AccountingStoragePass": f"{self.directory}/munge.socket",
            }
        else:
            lines["AccountingStorageType"] = "accounting_storage/none"
        lines |= self.options.extra
        text = [f"{key}={value}" for key, value in lines.items()]
        text += [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={self.ports[node]}"
            f" CPUs={NODE_CPUS} RealMemory={NODE_MEMORY_MB} Gres=gpu:1 State=UNKNOWN"
            for node in NODES
        ]
        for partition, settings in {
            "debug": "Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE",
            "short": "MaxTime=5 PriorityTier=1 PreemptMode=REQUEUE",
            "gpu": "MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE",
            "high": "MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF",
        }.items():
            text.append(f"PartitionName={partition} Nodes={','.join(NODES)} State=UP {settings}")
        return "\n".join(text) + "\n"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}"


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def why_not() -> str | None:
    """Say why no cluster can run here beyond missing programs; None when one can."""
    if os.geteuid() != 0:
        return "starting slurmd needs root"
    return None


def _main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with Cluster() as cluster, contextlib.suppress(KeyboardInterrupt):
        print(f"export SLURM_CONF={cluster.conf}", flush=True)
        signal.pause()


if __name__ == "__main__":
    _main()
