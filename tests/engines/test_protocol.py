"""What an adapter may have beside the methods that every executor has."""

from __future__ import annotations

import pytest

import huldra
from huldra.engines.protocol import (
    JobStatus,
    NamesJobs,
    RecoversJobs,
    ReportsFailures,
    optional_method,
)
from huldra.store.job_ref import JobRef
from huldra.testing import FakeExecutor
from tests.support.odd import Note


class Talkative(FakeExecutor):
    """An engine that says why."""

    def failure_reason(self, ref: JobRef) -> str:
        return f"{ref.job_id} met a bear"


class Former(FakeExecutor):
    """The same, written for the version before."""

    def why(self, ref: JobRef) -> str:
        return f"{ref.job_id} met a bear"


def lost_by(engine: FakeExecutor) -> Exception | None:
    """The error of a job that the engine loses."""
    job = Note(name="a").load_or_create(executor=engine)
    (key,) = engine.keys
    engine.end(key, JobStatus.LOST)
    return job.exception(timeout=30)


@pytest.mark.usefixtures("huldra_root")
def test_an_engines_reason_is_in_the_error_of_a_lost_job() -> None:
    """An executor may say why it lost a job."""
    error = lost_by(Talkative("talkative"))
    assert isinstance(error, huldra.HuldraJobLost)
    assert "met a bear" in str(error)


@pytest.mark.usefixtures("huldra_root")
def test_the_names_of_the_version_before_still_work() -> None:
    """With a warning that names the new one."""
    with pytest.warns(DeprecationWarning, match=r"Former\.why is called failure_reason"):
        error = lost_by(Former("former"))
    assert "met a bear" in str(error)


def test_an_executor_need_not_have_any() -> None:
    """Nothing is called then, and nothing is warned of."""
    for name in ("job_template", "recovery_hints", "recover", "failure_reason"):
        assert optional_method(FakeExecutor("plain"), name) is None


def test_our_adapters_have_what_the_protocols_declare() -> None:
    """By the names that a type checker sees."""
    from huldra_local import LocalExecutor

    assert issubclass(LocalExecutor, ReportsFailures)
    ray = pytest.importorskip("huldra_ray.executor", exc_type=ImportError)
    assert issubclass(ray.RayExecutor, NamesJobs)
    submitit = pytest.importorskip("huldra_submitit.executor", exc_type=ImportError)
    assert issubclass(submitit.SubmititExecutor, RecoversJobs)
