"""Slurm's words for the state of a job, and what they mean at the seam."""

from __future__ import annotations

from huldra.engines.kit import JobStatus

_QUEUED = (
    "PENDING",
    "CONFIGURING",
    "REQUEUED",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "SPECIAL_EXIT",
    "RESV_DEL_HOLD",
    "UPDATE_DB",
)
_RUNNING = ("RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED")
_LOST = ("NODE_FAIL", "BOOT_FAIL", "LAUNCH_FAILED", "RECONFIG_FAIL", "POWER_UP_NODE")

_BY_WORD = (
    dict.fromkeys(_QUEUED, JobStatus.QUEUED)
    | dict.fromkeys(_RUNNING, JobStatus.RUNNING)
    | dict.fromkeys(_LOST, JobStatus.LOST)
    | {
        "COMPLETED": JobStatus.SUCCEEDED,
        "FAILED": JobStatus.FAILED,
        "CANCELLED": JobStatus.CANCELLED,
        "PREEMPTED": JobStatus.PREEMPTED,
        "TIMEOUT": JobStatus.TIMED_OUT,
        "DEADLINE": JobStatus.TIMED_OUT,
        "OUT_OF_MEMORY": JobStatus.OUT_OF_MEMORY,
    }
)

_SHORT = {
    "BF": "BOOT_FAIL",
    "CA": "CANCELLED",
    "CD": "COMPLETED",
    "CF": "CONFIGURING",
    "CG": "COMPLETING",
    "DL": "DEADLINE",
    "F": "FAILED",
    "NF": "NODE_FAIL",
    "OOM": "OUT_OF_MEMORY",
    "PD": "PENDING",
    "PR": "PREEMPTED",
    "R": "RUNNING",
    "RD": "RESV_DEL_HOLD",
    "RF": "REQUEUE_FED",
    "RH": "REQUEUE_HOLD",
    "RQ": "REQUEUED",
    "RS": "RESIZING",
    "S": "SUSPENDED",
    "SE": "SPECIAL_EXIT",
    "SI": "SIGNALING",
    "SO": "STAGE_OUT",
    "ST": "STOPPED",
    "TO": "TIMEOUT",
}

_NEVER = frozenset({"DependencyNeverSatisfied"})

# A job in one of these is often on its way back to the queue under the same id.
MAY_COME_BACK = frozenset({JobStatus.PREEMPTED, JobStatus.LOST})


def status_of(word: str, reason: str = "", *, cancelled_is_preempted: bool = False) -> JobStatus:
    """Translate a state as `squeue` or `sacct` prints it; a word that is not known is UNKNOWN.

    `reason` is squeue's, of a pending job. The word may carry more than itself
    (`CANCELLED by 1000`, `CANCELLED+`).
    """
    first = word.strip().upper().split(" ", 1)[0].rstrip("+")
    status = _BY_WORD.get(_SHORT.get(first, first), JobStatus.UNKNOWN)
    if status is JobStatus.QUEUED and reason.strip("() ") in _NEVER:
        return JobStatus.UPSTREAM_FAILED
    if status is JobStatus.CANCELLED and cancelled_is_preempted:
        return JobStatus.PREEMPTED
    return status


def job_ids(text: str) -> list[str]:
    """Expand an id as Slurm prints it: `12`, `12_3`, `12_[0-3,7%2]`.

    Ids of steps (`12.batch`) and what cannot be read are no ids of jobs: the empty list.
    """
    main, underscore, rest = text.strip().partition("_")
    if not main.isdigit():
        return []
    if not underscore:
        return [main]
    if rest.isdigit():
        return [f"{main}_{int(rest)}"]
    if not (rest.startswith("[") and rest.endswith("]")):
        return []
    return [f"{main}_{index}" for index in _indices(rest[1:-1].partition("%")[0])]


def _indices(ranges: str) -> list[int]:
    found: list[int] = []
    for part in ranges.split(","):
        low, dash, high = part.partition("-")
        high, _, step = high.partition(":")
        if not low.isdigit() or (dash and not high.isdigit()):
            return []  # squeue shortens long lists with `...`: half an answer is none
        found += range(int(low), int(high or low) + 1, int(step or 1))
    return found
