"""Calling `sbatch`: paced, retried where Slurm asks for that, and taken back when it must be."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huldra.engines.kit import get_logger
from huldra.errors import HuldraSubmitError
from huldra_submitit.commands import SUBMIT_TIMEOUT_S, Answer, Slurm, TokenBucket, in_chunks
from huldra_submitit.queue import QueueMonitor

_ATTEMPTS = 4
_FIRST_PAUSE_S = 1.0

# Words of Slurm's that mean: not now. Everything else is a refusal.
_NOT_NOW = (
    "gave no answer",
    "socket timed out",
    "temporarily unable",
    "resource temporarily unavailable",
    "unable to contact slurm controller",
    "slurm controller connect failure",
    "communication connection failure",
    "zero bytes were transmitted",
    "slurm backup controller in standby",
)

# Which request Slurm's refusal points to, most telling words first.
_POINTS_TO = (
    ("time limit", "time_min"),
    ("partition", "slurm_partition"),
    ("memory", "memory_gb"),
    ("generic resource", "gpus"),
    ("gres", "gpus"),
    ("feature", "slurm_constraint"),
    ("qos", "slurm_qos"),
    ("account", "slurm_account"),
    ("dependency", "slurm_dependency"),
    ("array", "slurm_array_parallelism"),
    ("license", "slurm_additional_parameters"),
    ("node configuration", "cpus"),
    ("node count", "slurm_nodes"),
)


def request_of(words: str) -> str | None:
    """The resource key that a refusal of Slurm's speaks of."""
    lowered = words.lower()
    return next((request for sign, request in _POINTS_TO if sign in lowered), None)


def is_not_now(words: str) -> bool:
    """Return True if Slurm is only busy."""
    lowered = words.lower()
    return any(sign in lowered for sign in _NOT_NOW)


# With --parsable, or from a wrapper that drops the option; a line on its own, whatever a wrapper
# prints beside it.
_ID_LINE = re.compile(r"(?:Submitted batch job )?(\d+)(?:;\S+| on cluster \S+)?")


def job_id_of(out: str) -> str | None:
    """The id in what sbatch printed: that of the last line that is nothing else."""
    lines = [_ID_LINE.fullmatch(line.strip()) for line in out.splitlines()]
    return next((line[1] for line in reversed(lines) if line), None)


@dataclass(frozen=True)
class Sbatch:
    """Submissions to one cluster, at the pace of `bucket`."""

    slurm: Slurm
    bucket: TokenBucket

    def send(self, executor: Any, script: str, name: str, key: str) -> str:
        """Submit a script; the new job's id.

        Raises:
            HuldraSubmitError: refused, or not answered several times; `key` is the node that the
                message names.
        """
        program, *rest = executor._make_submission_command(Path(script))  # noqa: SLF001  submitit's own extension point
        command = [program, "--parsable", *rest]
        pause_s = _FIRST_PAUSE_S
        for attempt in range(1, _ATTEMPTS + 1):
            self.bucket.take()
            answer = self.slurm.run(*command, timeout_s=SUBMIT_TIMEOUT_S)
            if answer.is_ok:
                return job_id_of(answer.out) or self._find_sent(answer, script, name, key)
            if not is_not_now(answer.text) or attempt == _ATTEMPTS:
                break
            # An answer that was lost on the way may have been a yes: look before asking again.
            found = QueueMonitor(self.slurm).find(name)
            if found:
                return found[0].partition("_")[0]
            get_logger().warning("sbatch: %s; retrying in %g s", answer.text, pause_s)
            time.sleep(pause_s)
            pause_s *= 3
        raise _refused(answer, script, key)

    def _find_sent(self, answer: Answer, script: str, name: str, key: str) -> str:
        """The id of a job that was taken while the answer has none: by its name, which is its own.

        Raises:
            HuldraSubmitError: it cannot be found; the message says what sbatch answered.
        """
        found = QueueMonitor(self.slurm).find(name)
        if found:
            return found[0].partition("_")[0]
        raise HuldraSubmitError(
            f"{key}: expected the job's id from sbatch --parsable {script}, found {answer.text!r},"
            f" and there is no job named {name}; check with squeue --name={name}, and cancel it if"
            " it exists",
            key=key,
        )

    def take_back(self, ids: Sequence[str]) -> str:
        """Cancel what was sent before a failure; says in words what became of it."""
        if not ids:
            return "nothing else had been sent"
        names = ", ".join(ids)
        for chunk in in_chunks(ids):
            answer = self.slurm.run("scancel", *chunk)
            if not answer.is_ok:
                return f"sent before and NOT cancelled ({answer.text}): scancel {names}"
        return f"what had been sent before was cancelled: {names}"


def _refused(answer: Answer, script: str, key: str) -> HuldraSubmitError:
    request = request_of(answer.text)
    about = f" (this is about {request!r})" if request else ""
    return HuldraSubmitError(
        f"{key}: sbatch refused {script}: {answer.text}{about}", key=key, request=request
    )
