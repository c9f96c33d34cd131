"""One view of the queue: few queries, and no failing query ever kills a job."""

from __future__ import annotations

from huldra.engines.protocol import JobStatus
from huldra_submitit.commands import Answer
from huldra_submitit.queue import FRESH_S, SETTLE_S, QueueMonitor
from tests.executors.submitit.fakes import ScriptedSlurm, fails, says

OFF = fails("Slurm accounting storage is disabled")
NO_SUCH = fails("slurm_load_jobs error: Invalid job id specified")
DOWN = fails("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def queue_with(**answers: object) -> tuple[QueueMonitor, ScriptedSlurm, Clock]:
    """A view of a scripted Slurm."""
    slurm, clock = ScriptedSlurm(answers=answers), Clock()  # type: ignore[arg-type]  # scripted
    return QueueMonitor(slurm, now=clock), slurm, clock


def test_one_query_answers_for_all_jobs() -> None:
    """However many jobs: one squeue, and no sacct while squeue knows them."""
    table = "".join(f"7_{i}|RUNNING|None\n" for i in range(500))
    queue, slurm, _ = queue_with(squeue=says(table))
    found = queue.status([f"7_{i}" for i in range(500)])
    assert set(found.values()) == {JobStatus.RUNNING}
    assert slurm.programs() == ["squeue"]


def test_an_answer_is_kept_for_a_moment() -> None:
    """A hundred waiters cost what one does."""
    queue, slurm, _ = queue_with(squeue=says("7|PENDING|Priority\n"))
    for _ in range(100):
        queue.status(["7"])
    assert len(slurm.asked) == 1


def test_the_moment_grows_while_nothing_changes() -> None:
    """A waiter of hours does not ask every second."""
    queue, slurm, clock = queue_with(squeue=says("7|PENDING|Priority\n"))
    for _ in range(600):
        queue.status(["7"])
        clock.now_s += 1
    assert len(slurm.asked) < 90


def test_what_squeue_forgot_is_in_the_books() -> None:
    """Sacct is asked for those alone that squeue does not know."""
    queue, slurm, _ = queue_with(squeue=says("7|RUNNING|None\n"), sacct=says("8|COMPLETED\n"))
    assert queue.status(["7", "8"]) == {"7": JobStatus.RUNNING, "8": JobStatus.SUCCEEDED}
    assert slurm.asked[1][-1] == "8"


def test_an_end_is_never_asked_for_again() -> None:
    """A finished job stays finished."""
    queue, slurm, clock = queue_with(squeue=says("7|COMPLETED|None\n"))
    queue.status(["7"])
    clock.now_s += 1000
    assert queue.status(["7"]) == {"7": JobStatus.SUCCEEDED}
    assert len(slurm.asked) == 1


def test_what_nobody_asks_about_is_dropped() -> None:
    """A process that sends many graphs does not ask about all of them for ever."""
    queue, slurm, clock = queue_with(squeue=says("7|RUNNING|None\n8|RUNNING|None\n"))
    queue.status(["7", "8"])
    clock.now_s += 1000
    queue.status(["8"])
    assert slurm.asked[-1][-1] == "8"


def test_a_sibling_is_answered_by_the_same_query() -> None:
    """A query for one element answers for its whole array."""
    queue, slurm, _ = queue_with(squeue=says("7_0|RUNNING|None\n7_1|PENDING|None\n"))
    queue.status(["7_0"])
    assert queue.status(["7_1"]) == {"7_1": JobStatus.QUEUED}
    assert len(slurm.asked) == 1


def test_a_cancelled_job_is_asked_about_anew() -> None:
    """And the others are not."""
    queue, slurm, _ = queue_with(squeue=says("7|RUNNING|None\n8|RUNNING|None\n"))
    queue.status(["7", "8"])
    queue.forget(["7"])
    queue.status(["8"])
    assert len(slurm.asked) == 1
    queue.status(["7"])
    assert len(slurm.asked) == 2


def test_a_failing_controller_means_unknown() -> None:
    """Neither dead nor alive, for as long as it lasts."""
    queue, _, clock = queue_with(squeue=DOWN, sacct=OFF)
    for _ in range(50):
        assert queue.status(["7"]) == {"7": JobStatus.UNKNOWN}
        clock.now_s += SETTLE_S


def test_failing_accounting_means_unknown() -> None:
    """The database is away for a while: a job that the queue forgot may well have succeeded."""
    queue, _, clock = queue_with(squeue=NO_SUCH, sacct=fails("Connection refused"))
    for _ in range(5):
        assert queue.status(["7"]) == {"7": JobStatus.UNKNOWN}
        clock.now_s += SETTLE_S + FRESH_S


def test_a_job_that_nobody_knows_is_lost_after_a_while() -> None:
    """Not at once: the books may lag behind."""
    queue, _, clock = queue_with(squeue=NO_SUCH, sacct=says(""))
    assert queue.status(["7"]) == {"7": JobStatus.UNKNOWN}
    clock.now_s += SETTLE_S + 1
    assert queue.status(["7"]) == {"7": JobStatus.LOST}


def test_without_accounting_the_queue_alone_decides() -> None:
    """And sacct is not asked a second time."""
    queue, slurm, clock = queue_with(squeue=NO_SUCH, sacct=OFF)
    queue.status(["7"])
    clock.now_s += SETTLE_S + 1
    assert queue.status(["7"]) == {"7": JobStatus.LOST}
    assert slurm.programs() == ["squeue", "sacct", "squeue"]


def test_a_preempted_job_is_given_time_to_come_back() -> None:
    """PREEMPTED is mostly passed through on the way to a requeue."""
    answers = iter(["7|PREEMPTED|None\n", "7|PENDING|BeginTime\n"])
    queue, _, clock = queue_with(squeue=lambda _: Answer(True, next(answers), ""))
    assert queue.status(["7"]) == {"7": JobStatus.UNKNOWN}
    clock.now_s += 2
    assert queue.status(["7"]) == {"7": JobStatus.QUEUED}


def test_a_preempted_job_that_stays_so_is_over() -> None:
    """Sites may cancel what they preempt."""
    queue, _, clock = queue_with(squeue=says("7|PREEMPTED|None\n"))
    queue.status(["7"])
    clock.now_s += SETTLE_S + 1
    assert queue.status(["7"]) == {"7": JobStatus.PREEMPTED}


def test_a_job_is_found_by_its_name() -> None:
    """The queue first, then the books."""
    queue, slurm, _ = queue_with(squeue=says("7_0\n7_1\n"))
    assert queue.find("name") == ["7_0", "7_1"]
    assert slurm.asked[0][-2:] == ("-n", "name")


def test_a_name_that_nobody_knows_is_told_apart_from_no_answer() -> None:
    """No such job is a fact; a failing query is none."""
    known_not, _, _ = queue_with(squeue=says(""), sacct=says(""))
    unknown, _, _ = queue_with(squeue=DOWN, sacct=says(""))
    assert known_not.find("name") == []
    assert unknown.find("name") is None
