"""Slurm's command-line programs: the one place that runs them.

Every call is bounded in time, speaks to the cluster of one `slurm.conf`, and takes nothing of
the Slurm job along in which the caller may run itself.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from huldra.engines.kit import get_logger
from huldra.errors import HuldraExecutorError
from huldra_submitit.profile import NOT_FOR_SBATCH

QUERY_TIMEOUT_S = 30.0
SUBMIT_TIMEOUT_S = 120.0
BURST = 20
_KEPT = frozenset({"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_TIME_FORMAT"})


@dataclass(frozen=True)
class Answer:
    """What a program said. `is_ok` is false, too, when it could not be run or took too long."""

    is_ok: bool
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams, for a message."""
        return " ".join(f"{self.out} {self.err}".split())


@dataclass(frozen=True)
class Slurm:
    """The cluster that `conf` describes; None is the one of the environment."""

    conf: str | None = None

    def run(self, *command: str, timeout_s: float = QUERY_TIMEOUT_S) -> Answer:
        """Run one program to its end; failing is an answer, not an error."""
        get_logger().debug("slurm: %s", " ".join(command))
        try:
            done = subprocess.run(
                command,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Answer(False, "", f"{command[0]} gave no answer in {timeout_s:g} s")
        except OSError as error:
            return Answer(False, "", f"{command[0]} cannot be run: {error}")
        return Answer(done.returncode == 0, done.stdout, done.stderr)

    def environment(self) -> dict[str, str]:
        """The caller's environment without the marks of the job that it may run in.

        A job submitted from inside a job must not inherit its array index or its CPUs. sbatch
        would also let `SBATCH_*` win over the lines of a script, which hold all that was asked for.
        """
        env = {k: v for k, v in os.environ.items() if k not in NOT_FOR_SBATCH}
        if "SLURM_JOB_ID" in env:
            env = {k: v for k, v in env.items() if k in _KEPT or not _is_of_a_job(k)}
        if self.conf:
            env["SLURM_CONF"] = self.conf
        return env


def _is_of_a_job(name: str) -> bool:
    return name.startswith(("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_"))


def this_slurm() -> Slurm:
    """The cluster of this process's environment, by a path that other processes can use."""
    conf = os.environ.get("SLURM_CONF")
    return Slurm(os.path.abspath(conf) if conf else None)


def slurm_of(meta: Mapping[str, object]) -> Slurm:
    """The cluster that a ref was made on, as far as it can be spoken to from here."""
    conf = meta.get("conf")
    if isinstance(conf, str) and os.path.isfile(conf):
        return Slurm(conf)
    return this_slurm()


class TokenBucket:
    """At most `burst` at once, and `rate_per_s` for longer; `take` sleeps when it must."""

    def __init__(self, rate_per_s: float, burst: int) -> None:
        if not rate_per_s > 0 or burst < 1:
            raise HuldraExecutorError(
                f"a rate of {rate_per_s} submissions per second with a burst of {burst} allows no"
                " submission"
            )
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._tokens = float(burst)
        self._filled_at = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take one token, waiting for it if need be; returns the seconds waited."""
        with self._lock:
            now = time.monotonic()
            gained = (now - self._filled_at) * self.rate_per_s
            self._tokens = min(float(self.burst), self._tokens + gained) - 1
            self._filled_at = now
            wait_s = max(0.0, -self._tokens / self.rate_per_s)
        if wait_s:
            time.sleep(wait_s)
        return wait_s


_buckets: dict[tuple[str | None, float], TokenBucket] = {}


def bucket_of(slurm: Slurm, rate_per_s: float) -> TokenBucket:
    """The one bucket of this process for a cluster: all of its executors share it."""
    return _buckets.setdefault((slurm.conf, rate_per_s), TokenBucket(rate_per_s, BURST))


def in_chunks(ids: Sequence[str], size: int = 500) -> list[list[str]]:
    """Cut a list so that a command line with each part stays short."""
    return [list(ids[at : at + size]) for at in range(0, len(ids), size)]
