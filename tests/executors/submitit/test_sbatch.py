"""Calling sbatch: pace, retries, refusals, taking back."""

from __future__ import annotations

from pathlib import Path

import pytest

from huldra.errors import HuldraSubmitError
from huldra_submitit import sbatch as module
from huldra_submitit.commands import Answer, TokenBucket
from huldra_submitit.sbatch import Sbatch, request_of
from tests.executors.submitit.fakes import ScriptedSlurm, fails, says


class FakeExecutor:
    """What submitit's executor tells about submitting."""

    def _make_submission_command(self, path: Path) -> list[str]:
        return ["sbatch", str(path)]


def sbatch_with(slurm: ScriptedSlurm) -> Sbatch:
    """Without any pause between calls."""
    return Sbatch(slurm, TokenBucket(1000, 1000))


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda _: None)


@pytest.mark.parametrize(
    "out",
    [
        "12\n",
        "12;cluster\n",
        "note: a job 24 hours or longer needs approval\n12\n",
        "24\nnote: job 24 is over your quota\n12;cluster\nhave a nice day\n",
        "Submitted batch job 12\n",
        "Submitted batch job 12 on cluster c\n",
    ],
)
def test_the_id_is_the_line_that_is_nothing_else(out: str) -> None:
    """What a site's wrapper prints beside it may hold numbers, too."""
    slurm = ScriptedSlurm(answers={"sbatch": says(out)})
    assert sbatch_with(slurm).send(FakeExecutor(), "/s.sh", "name", "m/A/1") == "12"
    assert slurm.asked == [("sbatch", "--parsable", "/s.sh")]


def test_a_job_whose_id_sbatch_does_not_print_is_found_by_name() -> None:
    """The job was taken, and its name is its own."""
    slurm = ScriptedSlurm(answers={"sbatch": says("thank you"), "squeue": says("9_0\n9_1\n")})
    assert sbatch_with(slurm).send(FakeExecutor(), "/s.sh", "name", "m/A/1") == "9"


def test_an_answer_without_an_id_is_an_error_that_quotes_it() -> None:
    """With the command that shows whether the job is there."""
    slurm = ScriptedSlurm(answers={"sbatch": says("thank you")})
    with pytest.raises(HuldraSubmitError, match=r"found 'thank you'.*squeue --name=name"):
        sbatch_with(slurm).send(FakeExecutor(), "/s.sh", "name", "m/A/1")


def test_a_refusal_names_the_node_and_the_request() -> None:
    """It is not tried again."""
    slurm = ScriptedSlurm(answers={"sbatch": fails("sbatch: error: Invalid qos specification")})
    with pytest.raises(HuldraSubmitError, match="m/A/1: sbatch refused") as caught:
        sbatch_with(slurm).send(FakeExecutor(), "/s.sh", "name", "m/A/1")
    assert (caught.value.key, caught.value.request) == ("m/A/1", "slurm_qos")  # type: ignore[attr-defined]  # data
    assert slurm.programs() == ["sbatch"]


def test_a_busy_controller_is_asked_again() -> None:
    """After looking whether the first call did arrive."""
    answers = iter([Answer(False, "", "Socket timed out on send/recv"), Answer(True, "5", "")])
    slurm = ScriptedSlurm(answers={"sbatch": lambda _: next(answers), "squeue": says("")})
    assert sbatch_with(slurm).send(FakeExecutor(), "/s.sh", "name", "m/A/1") == "5"
    assert slurm.programs() == ["sbatch", "squeue", "sacct", "sbatch"]


def test_an_answer_that_was_lost_may_have_been_a_yes() -> None:
    """The job is found by its name and not submitted twice."""
    timed_out = fails("Socket timed out on send/recv operation")
    slurm = ScriptedSlurm(answers={"sbatch": timed_out, "squeue": says("9_0\n9_1\n")})
    assert sbatch_with(slurm).send(FakeExecutor(), "/s.sh", "name", "m/A/1") == "9"
    assert slurm.programs().count("sbatch") == 1


def test_what_was_sent_is_cancelled_and_said() -> None:
    """Nothing stays half submitted in silence."""
    slurm = ScriptedSlurm()
    assert "cancelled: 7, 8" in sbatch_with(slurm).take_back(["7", "8"])
    assert slurm.asked == [("scancel", "7", "8")]


def test_a_cancel_that_failed_is_said_too() -> None:
    """With the command that the user can type."""
    slurm = ScriptedSlurm(answers={"scancel": fails("no controller")})
    assert "scancel 7, 8" in sbatch_with(slurm).take_back(["7", "8"])


@pytest.mark.parametrize(
    ("words", "request_key"),
    [
        ("Requested time limit is invalid (missing or exceeds some limit)", "time_min"),
        ("invalid partition specified: nope", "slurm_partition"),
        ("Invalid generic resource (gres) specification", "gpus"),
        ("Memory specification can not be satisfied", "memory_gb"),
        ("Invalid account or account/partition combination specified", "slurm_partition"),
        ("Something else", None),
    ],
)
def test_slurms_words_point_to_a_request(words: str, request_key: str | None) -> None:
    """As far as they do."""
    assert request_of(words) == request_key


def test_a_bucket_lets_a_burst_through_and_then_paces() -> None:
    """Ten at once, then one each hundredth of a second."""
    bucket = TokenBucket(rate_per_s=100, burst=10)
    waits = [bucket.take() for _ in range(12)]
    assert waits[:9] == [0.0] * 9
    assert waits[11] > 0
