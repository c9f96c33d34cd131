"""Jobs that Slurm has, from any process: status, waiting, cancelling, logs, finding by name."""

from __future__ import annotations

import datetime
import glob
import os
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huldra.engines.kit import JobRef, JobStatus, start_time, this_process
from huldra.errors import HuldraExecutorError
from huldra.settings import HULDRA_CONFIG
from huldra_submitit.commands import in_chunks
from huldra_submitit.node import own_job_id, restarts
from huldra_submitit.queue import QueueMonitor
from huldra_submitit.site import site_of, user_name
from huldra_submitit.words import job_ids

_FIRST_PAUSE_S = 0.5
_QUOTED_BYTES = 2_000
_QUOTED_LINES = 5
_SUBMITTED_BY = datetime.timedelta(minutes=10)
_ALREADY_OVER = ("invalid job id", "already completing or completed", "job/step already")


@dataclass(frozen=True)
class Jobs:
    """The jobs of one cluster, as one view of its queue shows them."""

    queue: QueueMonitor

    def status(self, refs: Collection[JobRef]) -> dict[JobRef, JobStatus]:
        """What Slurm says of each: one query for all that have an id."""
        ids = {ref: self._id_of(ref) for ref in refs}
        asked = [job_id for job_id in ids.values() if job_id]
        known = self.queue.status(asked, max_age_s=HULDRA_CONFIG.poll_interval)
        return {ref: self._judge(ref, ids[ref], known) for ref in refs}

    def _id_of(self, ref: JobRef) -> str | None:
        """The id; empty when Slurm has no job of that name, None when it cannot be known."""
        if ref.job_id:
            return ref.job_id if job_ids(ref.job_id) else None
        hint = hint_of(ref)
        found = self.queue.find(str(hint.get("name")), hint.get("since"))
        return found if found is None else _element(found, hint)

    def _judge(self, ref: JobRef, job_id: str | None, known: Mapping[str, JobStatus]) -> JobStatus:
        if job_id is None:
            return JobStatus.UNKNOWN
        if is_own_predecessor(ref):
            return JobStatus.LOST if is_marked_over(ref) else JobStatus.UNKNOWN
        if not job_id:
            is_lost = self._may_judge(ref) and is_given_up(hint_of(ref))
            return JobStatus.LOST if is_lost else JobStatus.UNKNOWN
        status = known[job_id]
        if status is JobStatus.LOST and not self._may_judge(ref):
            return JobStatus.UNKNOWN
        return status

    def _may_judge(self, ref: JobRef) -> bool:
        """Return True if "there is no such job" can be said of this ref from here.

        Not when it was sent to another cluster, or by a user whose jobs may be hidden from us.
        """
        facts = hint_of(ref) if not ref.job_id else ref.meta
        user, cluster = facts.get("user"), facts.get("cluster")
        if user and user != user_name() and os.geteuid() != 0:
            return False
        here = site_of(self.queue.slurm).cluster
        return not cluster or not here or cluster == here

    def recover(self, ref: JobRef) -> JobRef | None:
        """The same ref with its id."""
        job_id = self._id_of(ref)
        if not job_id:
            return None
        meta = {k: v for k, v in hint_of(ref).items() if k not in ("index", "since", "driver")}
        return JobRef(ref.engine, job_id, {**meta, **_without_hint(ref.meta)})

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Those that are over, as soon as one is; the empty set at the timeout."""
        deadline = time.monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        while True:
            over = {ref for ref, status in self.status(refs).items() if status.is_over}
            left_s = deadline - time.monotonic()
            if over or left_s <= 0 or not refs:
                return over
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, max(_FIRST_PAUSE_S, HULDRA_CONFIG.poll_interval))

    def cancel(self, refs: Collection[JobRef]) -> None:
        """Cancel each; one that is over stays as it is.

        A job that runs other nodes, too, goes on: its worker finds the request beside the claim.

        Raises:
            HuldraExecutorError: Slurm did not take the cancel.
        """
        refs = _of_whole_jobs(refs)
        ids = list(dict.fromkeys(job_id for ref in refs if (job_id := self._id_of(ref))))
        for chunk in in_chunks(ids):
            answer = self.queue.slurm.run("scancel", *chunk)
            is_over = any(sign in answer.text.lower() for sign in _ALREADY_OVER)
            if not answer.is_ok and not is_over:
                raise HuldraExecutorError(f"scancel {' '.join(chunk)}: {answer.text}")
        self.queue.forget(ids)

    def logs(self, refs: Collection[JobRef]) -> dict[JobRef, Sequence[str]]:
        """The files of each job's stdout and stderr, those first that its script opened."""
        return {ref: log_files(ref) for ref in refs}


def _of_whole_jobs(refs: Collection[JobRef]) -> list[JobRef]:
    """Those of `refs` whose job runs no node that is not among them."""
    asked = Counter(ref.job_id for ref in refs)
    return [ref for ref in refs if asked[ref.job_id] >= int(ref.meta.get("shared", 1))]


def log_files(ref: JobRef) -> list[str]:
    """The log files of a job that exist here, stdout before stderr."""
    folder = (ref.meta if ref.job_id else hint_of(ref)).get("folder")
    if not isinstance(folder, str) or not ref.job_id:
        return []
    found = glob.glob(f"{glob.escape(folder)}/{ref.job_id}_[0-9]*_log.*")
    return sorted(found, key=lambda path: (not path.endswith(".out"), path))


def error_text(ref: JobRef) -> str:
    """Name and quote the last lines of what a job wrote to stderr; empty where it wrote nothing."""
    for path in reversed(log_files(ref)):  # stderr first; with stderr_to_stdout there is none
        try:
            with open(path, "rb") as file:
                file.seek(max(0, os.path.getsize(path) - _QUOTED_BYTES))
                lines = file.read().decode(errors="replace").split("\n")
        except OSError:
            continue
        said = [line.strip() for line in lines if line.strip()]
        if said:
            return f"{path} ends with {' | '.join(said[-_QUOTED_LINES:])!r}"
    return ""


def hint_of(ref: JobRef) -> Mapping[str, Any]:
    """What an unrecorded job can be found by; empty for others."""
    hint = ref.meta.get("hint")
    return hint if isinstance(hint, Mapping) else {}


def _without_hint(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in meta.items() if key != "hint"}


def _element(found: Sequence[str], hint: Mapping[str, Any]) -> str:
    index = hint.get("index")
    if index is None:
        return found[0].partition("_")[0] if found else ""
    return next((each for each in found if each.partition("_")[2] == str(index)), "")


def is_given_up(hint: Mapping[str, Any]) -> bool:
    """Return True if no process is going to submit the job of this hint any more.

    Its driver writes the hint before it calls `sbatch`: it is given up when the driver is known to
    be dead, or, where that cannot be known, after ten minutes.
    """
    driver = hint.get("driver")
    me = driver_record()
    here = ("boot_id", "pid_namespace")
    if isinstance(driver, Mapping) and all(driver.get(each) == me[each] for each in here):
        return start_time(int(driver["pid"])) != driver.get("started")
    try:
        since = datetime.datetime.fromisoformat(str(hint.get("since")))
    except ValueError:
        return False  # written by another process: nothing can be concluded from it
    return datetime.datetime.now(datetime.UTC) - since > _SUBMITTED_BY


def driver_record() -> dict[str, Any]:
    """This process, as it stands in a hint."""
    me = this_process()
    return {
        "pid": me.pid,
        "started": me.started,
        "boot_id": me.boot_id,
        "pid_namespace": me.pid_namespace,
    }


def is_own_predecessor(ref: JobRef) -> bool:
    """Return True if a ref is the job that we run in, before Slurm requeued it.

    Slurm calls the job running, which is us. Whether the earlier process still runs (its node may
    only have lost its network) Slurm does not know: the script's mark does, or the heartbeat.
    """
    restart = ref.meta.get("restart")
    if not isinstance(restart, int) or restart >= restarts():
        return False
    return bool(own_job_id()) and ref.job_id == own_job_id()


def is_marked_over(ref: JobRef) -> bool:
    """Return True if the script of an earlier start saw its process end."""
    return os.path.exists(f"{ref.meta.get('folder')}/{ref.job_id}_{ref.meta.get('restart')}.over")
