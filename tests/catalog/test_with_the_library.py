"""The catalog over stores that the library itself wrote."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from huldra.catalog import Catalog, Query, Row

PROJECT = """
import sys, time
import huldra

class Data(huldra.Huldra[int]):
    name: str = "toy"
    def _create(self):
        self.log.info("making data")
        (self.huldra_dir / "metrics.json").write_text('{"rows": 7}')
        return 7
    def _load(self):
        return 7

class Train(huldra.Huldra[int]):
    lr: float
    parts: list[Data]
    mode: str = "ok"
    def _create(self):
        if self.mode == "fail":
            raise ValueError("loss is nan")
        if self.mode == "hang":
            print("begun", flush=True)
            time.sleep(300)
        return sum(part.load_or_create() for part in self.parts)
    def _load(self):
        return 0
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the module `catalog_project`."""
    (tmp_path / "catalog_project.py").write_text(PROJECT)
    return tmp_path


def start(project: Path, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", f"import huldra\nfrom catalog_project import *\n{code}"],
        cwd=project,
        env=os.environ | {"HULDRA_PATH": str(project / "store"), "HULDRA_LOG_LEVEL": "ERROR"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(project: Path, code: str) -> None:
    process = start(project, code)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors


@pytest.fixture
def row(project: Path) -> Callable[[str], Row]:
    """Scans now, and gives the one row that a filter leaves."""
    catalog = Catalog([project / "store"])

    def row(text: str) -> Row:
        page = catalog.snapshot(max_age_s=0).query(Query(config=text))
        assert page.total == 1, page
        return page.rows[0]

    return row


@pytest.fixture
def hanging(project: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of `_create`."""
    process = start(project, "Train(lr=3.0, parts=[], mode='hang').load_or_create()")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_made_and_failed_artifacts(project: Path, row: Callable[[str], Row]) -> None:
    """Results, config, dependencies in a list, errors, metrics and log are as they happened."""
    run(
        project,
        "Train(lr=1.0, parts=[Data(), Data(name='b')]).load_or_create()\n"
        "try: Train(lr=2.0, parts=[], mode='fail').load_or_create()\n"
        "except huldra.HuldraComputeError: pass\n",
    )
    made, failed, data = row("lr=1"), row("lr=2"), row("name=toy")
    catalog = Catalog([project / "store"])
    assert (made.status, made.result_status, made.problem) == ("success", "success", "")
    assert made.started_at is not None
    assert made.duration_s is not None
    assert [d.field for d in made.dependencies] == ["parts[0]", "parts[1]"]
    assert made.dependencies[0].key == data.key
    assert row("parts[1].name=b").key == made.key
    assert (failed.status, failed.error_type) == ("failed", "builtins.ValueError")
    assert failed.error_message == "loss is nan"
    assert failed.error_place.endswith("catalog_project.py:_create")
    assert catalog.metrics(data).values == {"rows": 7}
    assert "making data" in catalog.log_tail(data)
    detail = catalog.detail(failed)
    assert detail.python_def == "Train(lr=2.0, parts=[], mode='fail')"
    assert [a.status for a in detail.attempts] == ["failed"]
    assert detail.attempts[0].error is not None
    assert "Traceback" in detail.attempts[0].error["traceback"]


def test_a_killed_process_is_stale_at_once_and_then_retried(
    project: Path, row: Callable[[str], Row], hanging: subprocess.Popen[str]
) -> None:
    """Running while it runs; stale as soon as it is killed; crashed and then made by the next."""
    assert row("mode=hang").attempt_status == "running"
    assert row("mode=hang").pid == hanging.pid
    hanging.send_signal(signal.SIGKILL)
    hanging.wait(30)
    assert row("mode=hang").attempt_status == "stale"
    run(
        project,
        "Train._create = lambda self: 1\nTrain(lr=3.0, parts=[], mode='hang').load_or_create()",
    )
    after = row("mode=hang")
    assert (after.status, after.result_status) == ("success", "success")
    attempts = Catalog([project / "store"]).detail(after).attempts
    assert [a.status for a in attempts] == ["crashed", "success"]


def test_a_terminated_process_is_preempted(
    project: Path, row: Callable[[str], Row], hanging: subprocess.Popen[str]
) -> None:
    """SIGTERM in `_create` is recorded by the process itself."""
    hanging.terminate()
    hanging.wait(30)
    assert row("mode=hang").attempt_status == "preempted"


def test_a_sweep_is_a_recorded_run(project: Path) -> None:
    """What was sent to an engine is a run with its members, all done in the end."""
    process = start(
        project,
        "sweep = huldra.load_or_create("
        "[Train(lr=float(n), parts=[Data()]) for n in range(3)], executor='local:2')\n"
        "sweep.wait()\n",
    )
    catalog = Catalog([project / "store"])
    deadline = time.monotonic() + 60
    while not catalog.sweeps() and time.monotonic() < deadline:
        time.sleep(0.05)
        catalog.snapshot(max_age_s=0)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    catalog.snapshot(max_age_s=0)
    (sweep,) = catalog.sweeps()
    assert (sweep.done, sweep.total, sweep.problem) == (4, 4, "")
    assert sweep.engine == "local"
    assert len([m for m in sweep.members if m.name]) == 3
    assert sweep.eta_s is None
