"""Graphs on a real Slurm: what is sent, in how many calls, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra.errors import HuldraDependencyError, HuldraRefused, HuldraSubmitError
from huldra.testing.pipelines import Step
from huldra_submitit.executor import SubmititAdapter, SubmititExecutor
from tests.executors.slurm.pipelines import Launch
from tests.executors.slurm.stage import PATIENCE_S, Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def raw_executor(folder: Path, **parameters: Any) -> Any:
    """What a user of submitit has."""
    import submitit

    executor = submitit.AutoExecutor(folder=folder)
    executor.update_parameters(timeout_min=60, slurm_partition="high", **parameters)
    return executor


def test_a_raw_submitit_executor_works_as_it_is(stage: Stage) -> None:
    """The id stands in `state.json` before the call returns, and the executor is unchanged."""
    executor = raw_executor(stage.folder / "logs" / "%j", name="mine")
    before = dict(executor._executor.parameters)
    node = stage.resumable("one")
    job = node.load_or_create(executor=executor)
    assert stage.attempt(node)["job_id"] == job.job_id
    shown = stage.shown(str(job.job_id))
    assert shown["Partition"] == "high"
    assert shown["TimeLimit"] == "01:00:00"
    assert shown["JobName"].startswith("mine-")
    assert executor._executor.parameters == before
    stage.open("one")
    assert job.result(timeout=PATIENCE_S)["runs"] == 1


def test_the_adapter_keeps_its_earlier_name(stage: Stage) -> None:
    """`SubmititAdapter(executor)` is what `executor=executor` means."""
    stage.open("one")
    job = stage.resumable("one").load_or_create(
        executor=SubmititAdapter(raw_executor(stage.folder / "logs"))
    )
    assert job.result(timeout=PATIENCE_S)["runs"] == 1


def test_logs_of_submitit_stand_beside_the_artifacts_own(stage: Stage) -> None:
    """`Job.logs()` has the log, what was printed, and the job's own files, which name the place."""
    job = Step(name="loud", does="print").load_or_create(executor="slurm")
    job.result(timeout=PATIENCE_S)
    logs = job.logs()
    assert "huldra.log" in logs
    [out] = [text for path, text in logs.items() if path.endswith("_log.out")]
    assert any(path.endswith("_log.err") for path in logs)
    assert str(job.artifact.huldra_dir / ".huldra" / "output.log") in out
    assert '{"id": 1, "ok": true}' in logs["output.log"]
    assert "and on the other stream" in logs["output.log"]


def test_a_sweep_of_two_hundred_goes_out_in_five_calls(stage: Stage) -> None:
    """200 models over 3 datasets and a report; the scheduler has the dependencies."""
    data = [stage.resumable(f"data{n}") for n in range(3)]
    models = [Step(name=f"m{n}", needs=(data[n % 3],)) for n in range(200)]  # type: ignore[arg-type]  # any artifact
    report = Step(name="report", needs=tuple(models))
    job = report.load_or_create(executor="slurm")
    assert stage.commands("sbatch") == 5
    dependency = stage.shown(str(job.job_id))["Dependency"]
    assert dependency.count("afterany:") == 3


def test_two_thousand_nodes_take_few_calls(stage: Stage) -> None:
    """2,000 models over 40 datasets: a barrier instead of 40 arrays."""
    data = [stage.resumable(f"data{n}") for n in range(40)]
    models = [Step(name=f"m{n}", needs=(data[n % 40],)) for n in range(1959)]  # type: ignore[arg-type]  # any artifact
    Step(name="report", needs=tuple(models)).load_or_create(executor="slurm")
    assert stage.commands("sbatch") == 3


def test_short_nodes_share_jobs(stage: Stage) -> None:
    """200 nodes, a hundred to a job: two jobs; what fails or dies in one costs no other node."""
    steps = {f"m{n}": Step(name=f"m{n}", notes=str(stage.notes)) for n in range(198)}
    bad = {"fails": Step(name="fails", does="fail")}
    bad["dies"] = Step(name="dies", does="die", notes=str(stage.notes))
    report = Step(name="report", needs=tuple(steps.values()))
    wanted = {**dict(list(steps.items())[:50]), **bad, **steps, "report": report}
    executor = SubmititExecutor(nodes_per_job=100, slurm_partition="debug")
    jobs = huldra.load_or_create(wanted, executor=executor)
    assert stage.commands("sbatch") == 2
    assert len({jobs[name].job_id for name in (*steps, *bad)}) == 2
    assert jobs["report"].result(timeout=PATIENCE_S)["name"] == "report"
    assert "told to fail" in str(jobs["fails"].exception(timeout=PATIENCE_S))
    assert isinstance(jobs["dies"].exception(timeout=PATIENCE_S), huldra.HuldraError)
    assert all(job.done() for job in jobs.values())


def test_a_job_of_short_nodes_that_is_requeued_makes_what_is_left(stage: Stage) -> None:
    """Under its id: what was made stays, what ran is run again, the rest follows."""
    steps = {name: stage.resumable(name) for name in ("one", "two", "three")}
    stage.open("one", "three")
    executor = SubmititExecutor(nodes_per_job=3)
    jobs = huldra.load_or_create(steps, executor=executor)
    stage.await_run("two")
    stage.cluster.ask("scontrol", "requeue", str(jobs["two"].job_id))
    stage.await_run("two", 2)
    stage.open("two")
    assert [job.result(timeout=PATIENCE_S)["runs"] for job in jobs.values()] == [1, 2, 1]
    assert ("running", "preempted") in stage.attempts(steps["two"])


def test_a_sweep_is_made_after_its_driver_has_gone(stage: Stage) -> None:
    """The driver sends and exits; one dataset fails, and the models of the others are made."""
    code = """
data = [Step(name=f"data{n}", does="fail" if n == 1 else "nothing") for n in range(3)]
models = {f"m{n}": Step(name=f"m{n}", needs=(data[n % 3],)) for n in range(9)}
report = Step(name="report", needs=tuple(models.values()))
jobs = huldra.load_or_create({**models, "report": report}, executor="slurm")
print(jobs["report"].job_id)
"""
    stage.finish(stage.drive(code))
    data = [Step(name=f"data{n}") for n in range(3)]
    models = [Step(name=f"m{n}", needs=(data[n % 3],)) for n in range(9)]
    good = [model for n, model in enumerate(models) if n % 3 != 1]
    stage.until(lambda: all(model.exists() for model in good), "the models of good datasets")
    report = Step(name="report", needs=tuple(models))
    stage.until(lambda: stage.attempt(report)["status"] == "failed", "the report's end")
    assert not any(model.exists() for n, model in enumerate(models) if n % 3 == 1)
    error = stage.attempt(report)["error"]
    assert error["failed_key"].endswith(f"Step/{data[1].huldra_hash}")


def test_a_dependent_says_which_node_failed(stage: Stage) -> None:
    """And where its log is."""
    bad = Step(name="bad", does="fail")
    job = Step(name="child", needs=(bad,)).load_or_create(executor="slurm")
    error = job.exception(timeout=PATIENCE_S)
    assert isinstance(error, HuldraDependencyError)
    assert bad.huldra_hash in error.failed_key
    assert Path(error.log_path).exists()


def test_jobs_of_another_driver_become_dependencies(stage: Stage) -> None:
    """What is queued or running elsewhere is not sent again: Slurm waits for it."""
    shared = stage.resumable("shared")
    first = shared.load_or_create(executor="slurm")
    driver = stage.drive(
        "shared = Resumable(name='shared', notes=notes)\n"
        "job = Step(name='upper', needs=(shared,)).load_or_create(executor='slurm')\n"
        "print(job.job_id)\n"
    )
    upper = stage.finish(driver).split()[-1]
    assert f"afterany:{first.job_id}(" in stage.shown(upper)["Dependency"]
    stage.open("shared")
    assert first.result(timeout=PATIENCE_S)["runs"] == 1
    assert stage.began("shared") == 1


def test_all_of_a_job_works_in_another_process(stage: Stage) -> None:
    """Same id, status, logs, cancel."""
    node = stage.resumable("one")
    job = node.load_or_create(executor="slurm")
    stage.await_run("one")
    driver = stage.drive(
        "job = Resumable(name='one', notes=notes).load_or_create(executor='slurm')\n"
        "print(job.job_id, job.status(), any(p.endswith('.out') for p in job.logs()))\n"
        "print(job.cancel())\n"
        "print(type(job.exception(timeout=100)).__name__, job.status())\n"
    )
    said = stage.finish(driver).splitlines()[-3:]
    assert said == [f"{job.job_id} running True", "True", "HuldraCancelled cancelled"]
    assert str(job.status()) == "cancelled"


def test_the_users_own_dependency_is_kept(stage: Stage) -> None:
    """The graph's are added to it."""
    blocker = stage.cluster.ask(
        "sbatch", "--parsable", "--hold", "-o", "/dev/null", "--wrap", "true"
    )
    assert blocker is not None
    executor = raw_executor(stage.folder / "logs", slurm_dependency=f"afterany:{blocker.strip()}")
    base = Step(name="base")
    job = Step(name="upper", needs=(base,)).load_or_create(executor=executor)
    shown = stage.shown(str(job.job_id))["Dependency"]
    assert f"afterany:{blocker.strip()}(" in shown
    assert shown.count("afterany:") == 2
    stage.cluster.ask("scancel", blocker.strip())
    assert job.result(timeout=PATIENCE_S)["name"] == "upper"


def test_resources_become_those_of_the_job(stage: Stage) -> None:
    """The node's own over those of its class over the executor's."""
    executor = SubmititExecutor(
        slurm_partition="high", timeout_min=9, by_class={"Resumable": {"slurm_comment": "hello"}}
    )
    node = stage.resumable("one", time_min=3.0, extra={"slurm_additional_parameters": {"nice": 7}})
    shown = stage.shown(str(node.load_or_create(executor=executor).job_id))
    assert (shown["Partition"], shown["TimeLimit"]) == ("high", "00:03:00")
    assert (shown["Nice"], shown["Comment"]) == ("7", "hello")


def test_a_gpu_is_reserved(stage: Stage) -> None:
    """Slurm says which one."""
    job = Step(name="g", does="tell gpus", claims={"gpus": 1}).load_or_create(executor="slurm")
    assert job.result(timeout=PATIENCE_S)["report"] == "0"


def test_a_job_of_two_tasks_makes_its_node_once(stage: Stage) -> None:
    """The second task leaves the node to the first."""
    stage.open("one")
    node = stage.resumable("one", extra={"slurm_tasks_per_node": 2})
    assert node.load_or_create(executor="slurm").result(timeout=PATIENCE_S)["runs"] == 1
    assert stage.began("one") == 1


def test_parallelism_is_the_arrays_own_limit(stage: Stage) -> None:
    """`%N`."""
    nodes = [stage.resumable(f"n{n}") for n in range(6)]
    sweep = huldra.load_or_create(nodes, executor=SubmititExecutor(array_parallelism=2))
    first = next(iter(sweep.values())).job_id.partition("_")[0]
    assert stage.shown(first)["ArrayTaskThrottle"] == "2"
    count = lambda: sum(stage.began(f"n{n}") for n in range(6))  # noqa: E731  asked again below
    stage.until(lambda: count() == 2, "two nodes at once")
    assert stage.cluster.ask("squeue", "-h", "-r", "-t", "running", "-o", "%i").count("\n") == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"extra": {"slurm_partition": "short"}, "time_min": 60.0}, "60 minutes.*short has 5"),
        ({"extra": {"slurm_partition": "nope"}}, "slurm_partition: there is no partition 'nope'"),
        ({"extra": {"slurm_partitoin": "high"}}, "slurm_partitoin.*slurm_partition"),
    ],
)
def test_what_the_site_cannot_give_is_refused_before(
    stage: Stage, more: dict[str, Any], words: str
) -> None:
    """Naming the node, the key and the numbers; nothing is sent."""
    with pytest.raises(HuldraRefused, match=words):
        stage.resumable("greedy", **more).load_or_create(executor="slurm")
    assert stage.commands("sbatch") == 0


def test_a_limit_on_submitted_jobs_is_refused_with_the_numbers(stage: Stage) -> None:
    """What is in the queue counts."""
    stage.resumable("there").load_or_create(executor="slurm")
    nodes = [stage.resumable(f"n{n}") for n in range(10)]
    with pytest.raises(HuldraRefused, match=r"10 jobs on top of 1 .* make 11, but at most 10"):
        huldra.load_or_create(nodes, executor=SubmititExecutor(max_submit_jobs=10))


def test_the_limit_of_the_users_association_is_known(stage: Stage) -> None:
    """Where a site enforces limits, they are asked for, and nothing is sent above them."""
    limit = ("sacctmgr", "-i", "modify", "user", "root", "set")
    assert stage.cluster.ask(*limit, "MaxSubmitJobs=5") is not None
    try:
        driver = stage.drive(
            "try:\n"
            "    huldra.load_or_create([Step(name=f'n{n}') for n in range(6)], executor='slurm')\n"
            "except huldra.HuldraRefused as refused:\n"
            "    print(refused)\n"
        )
        assert "6 jobs on top of 0 in the queue make 6, but at most 5" in stage.finish(driver)
    finally:
        stage.cluster.ask(*limit, "MaxSubmitJobs=-1")
    assert stage.commands("sbatch") == 0


def test_a_refusal_half_way_takes_back_what_was_sent(stage: Stage) -> None:
    """Slurm refuses the second array: the first is cancelled, and the error says so."""
    base = stage.resumable("base")
    upper = Step(name="upper", needs=(base,), extra={"slurm_constraint": "unheard-of"})
    with pytest.raises(HuldraSubmitError, match=r"slurm_constraint.*was cancelled: \d+") as caught:
        upper.load_or_create(executor="slurm")
    assert "Step/" in str(caught.value)
    stage.until(lambda: not stage.cluster.ask("squeue", "-h"), "an empty queue")
    assert stage.attempt(base)["status"] == "cancelled"
    again = Step(name="upper", needs=(base,))
    stage.open("base")
    assert again.load_or_create(executor="slurm").result(timeout=PATIENCE_S)["name"] == "upper"


def test_waiting_asks_for_all_jobs_at_once(stage: Stage) -> None:
    """One query a cycle, however many jobs wait."""
    nodes = [stage.resumable(f"n{n}") for n in range(8)]
    sweep = huldra.load_or_create(nodes, executor="slurm")
    before = stage.commands("squeue")
    for _ in range(5):
        for job in sweep.values():
            job.status()
    assert stage.commands("squeue") - before <= 2


def test_without_accounting_and_with_small_arrays(small_stage: Stage) -> None:
    """MaxArraySize 50: 60 nodes go as two arrays; sacct fails, and nothing else does."""
    stage = small_stage
    nodes = [stage.resumable(f"n{n}") for n in range(60)]
    sweep = huldra.load_or_create(nodes, executor="slurm")
    assert stage.commands("sbatch") == 2
    ids = {str(job.job_id).partition("_")[0] for job in sweep.values()}
    assert len(ids) == 2
    sweep.cancel()
    assert {str(job.status()) for job in sweep.values()} == {"cancelled"}


def test_a_barrier_waits_for_all_chunks(small_stage: Stage) -> None:
    """An array that was cut at MaxArraySize is waited for in all its parts."""
    stage = small_stage
    base = stage.resumable("base")
    models = [Step(name=f"m{n}", needs=(base,)) for n in range(60)]  # type: ignore[arg-type]  # any artifact
    job = Step(name="report", needs=tuple(models)).load_or_create(executor="slurm")
    assert stage.commands("sbatch") == 4
    assert stage.shown(str(job.job_id))["Dependency"].count("afterany:") == 2


def test_results_come_without_accounting(small_stage: Stage) -> None:
    """Squeue and the artifacts are enough, for a failure too."""
    good = Step(name="good").load_or_create(executor="slurm")
    bad = Step(name="bad", does="fail").load_or_create(executor="slurm")
    assert good.result(timeout=PATIENCE_S)["name"] == "good"
    assert bad.exception(timeout=PATIENCE_S) is not None


@pytest.mark.parametrize("more", [{}, {"slurm_nodes": 2, "slurm_tasks_per_node": 2}])
def test_srun_in_create_uses_the_allocation(stage: Stage, more: dict[str, int]) -> None:
    """A plain `srun` starts on all of the job's tasks, and is not held up by our own step."""
    job = Launch(tasks=1 if not more else 4).load_or_create(executor=SubmititExecutor(**more))
    assert job.result(timeout=PATIENCE_S) == (4 if more else 1)


def test_a_profiles_options_are_defaults(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """`SBATCH_*` hold where nothing is asked for, never against what is."""
    profile = {"PARTITION": "short", "TIMELIMIT": "3", "JOB_NAME": "foo", "COMMENT": "hi"}
    for name, value in profile.items():
        monkeypatch.setenv(f"SBATCH_{name}", value)
    node = stage.resumable("asked")
    asked = SubmititExecutor(slurm_partition="gpu", time_min=7)
    shown = stage.shown(str(node.load_or_create(executor=asked).job_id))
    assert (shown["Partition"], shown["TimeLimit"]) == ("gpu", "00:07:00")
    assert shown["JobName"].startswith("Resumable-")
    free = stage.resumable("free").load_or_create(executor=SubmititExecutor())
    shown = stage.shown(str(free.job_id))
    assert (shown["Partition"], shown["TimeLimit"]) == ("short", "00:03:00")


def test_a_site_that_exports_nothing_runs_jobs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SBATCH_EXPORT=NONE`: the job has a fresh environment, and its step has the job's."""
    monkeypatch.setenv("SBATCH_EXPORT", "NONE")
    stage.open("one")
    job = stage.resumable("one").load_or_create(executor="slurm")
    assert job.result(timeout=PATIENCE_S)["runs"] == 1


def test_a_job_that_ends_before_its_node_begins_is_quoted(stage: Stage) -> None:
    """A failing setup: the error names the job's own file and holds its last words."""
    executor = SubmititExecutor(slurm_setup=["echo no such module >&2; exit 3"])
    job = stage.resumable("one").load_or_create(executor=executor)
    error = str(job.exception(timeout=PATIENCE_S))
    assert re.search(r"_log\.err ends with '.*no such module'", error), error


def test_a_chatty_sbatch_does_not_hide_the_id(stage: Stage) -> None:
    """A wrapper that prints before it calls the real one."""
    shim = Path(stage.folder, "shims", "sbatch")
    shim.write_text(shim.read_text().replace("exec ", "echo note: a job 24 hours or longer\nexec "))
    job = stage.resumable("one").load_or_create(executor="slurm")
    assert job.job_id == (stage.cluster.ask("squeue", "-h", "-o", "%i") or "").strip()


def test_a_pattern_in_the_log_folder_is_refused(stage: Stage) -> None:
    """Slurm would write to another place; another folder for logs is the way out."""
    huldra.set_huldra_root(stage.folder / "100%j")
    with pytest.raises(HuldraRefused, match=r"100%j/submitit.*HULDRA_SLURM_FOLDER"):
        Step(name="one").load_or_create(executor="slurm")
    assert stage.commands("sbatch") == 0
    job = Step(name="one").load_or_create(executor=SubmititExecutor(stage.folder / "logs"))
    assert job.result(timeout=PATIENCE_S)["name"] == "one"


def test_an_edit_while_the_job_waits_does_not_reach_it(stage: Stage) -> None:
    """The code that was submitted runs, though its driver has gone, and the log says so."""
    module = (
        "import huldra\nclass Waits(huldra.Huldra[str]):\n    def _create(self): return {0!r}\n"
    )
    scripts = stage.folder / "scripts"
    scripts.mkdir()
    (scripts / "waits_long.py").write_text(module.format("submitted"))
    hold = ("sbatch", "--parsable", "--hold", "-o", "/dev/null", "--wrap", "true")
    blocker = (stage.cluster.ask(*hold) or "").strip()
    driver = stage.drive(
        "import submitit\n"
        f"executor = submitit.AutoExecutor(folder={str(stage.folder / 'logs')!r})\n"
        f"executor.update_parameters(timeout_min=60, slurm_dependency='afterany:{blocker}')\n"
        f"sys.path[0] = {str(scripts)!r}\n"
        "from waits_long import Waits\n"
        "Waits().load_or_create(executor=executor)\n"
        "print(Waits().huldra_dir)\n",
        HULDRA_FREEZE="auto",
    )
    directory = Path(stage.finish(driver).splitlines()[-1])
    (scripts / "waits_long.py").write_text(module.format("edited"))
    stage.cluster.ask("scancel", blocker)
    result = directory / "result.json"
    stage.until((directory / ".huldra" / "SUCCESS.json").exists, "the job's end")
    assert json.loads(result.read_text())["value"] == "submitted"
    log = (directory / ".huldra" / "huldra.log").read_text()
    assert "as it was frozen at submission; edited since, and not run: waits_long" in log


def test_a_job_imports_what_its_driver_imported(stage: Stage) -> None:
    """A module beside the script wins over one of that name in the working directory."""
    module = (
        "import huldra\n"
        "class Which(huldra.Huldra[str]):\n"
        "    def _create(self): (self.huldra_dir / 'w').write_text({0!r}); return {0!r}\n"
        "    def _load(self): return (self.huldra_dir / 'w').read_text()\n"
    )
    scripts = stage.folder / "scripts"
    scripts.mkdir()
    (scripts / "which_one.py").write_text(module.format("beside the script"))
    (stage.folder / "which_one.py").write_text(module.format("working directory"))
    driver = stage.drive(
        f"os.chdir({str(stage.folder)!r})\n"
        f"sys.path[0] = {str(scripts)!r}\n"
        "from which_one import Which\n"
        "print(Which().load_or_create(executor='slurm').result(timeout=100))\n"
    )
    assert stage.finish(driver).splitlines()[-1] == "beside the script"
