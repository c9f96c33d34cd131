"""Ray workers and heads that die while jobs run, and what a driver may leave behind."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import huldra
from huldra.testing.pipelines import Step, count_notes
from tests.executors.ray import clusters
from tests.support import children

pytestmark = [
    pytest.mark.ray,
    pytest.mark.faults,
    pytest.mark.xdist_group("ray"),
    pytest.mark.timeout(300),
]
PATIENCE_S = 120.0

# A driver in a process of its own: when its head dies, Ray may end the process.
_DRIVER = """
import json, sys, time
import huldra
from huldra.testing.pipelines import Step
from huldra_ray import RayExecutor
root, notes, address = sys.argv[1:]
huldra.set_huldra_root(root)
huldra.HULDRA_CONFIG.update(poll_interval=0.2)
first = Step(name="first", notes=notes)
held = Step(name="held", does="wait", needs=(first,), notes=notes)
last = Step(name="last", needs=(held,), notes=notes)
job = last.load_or_create(executor=RayExecutor(address))
began = time.monotonic()
try:
    outcome = job.result(timeout=100)["name"]
except Exception as error:
    outcome = type(error).__name__
attempt = huldra.StateManager.history(last.huldra_dir)[-1]
left = {"outcome": outcome, "took_s": time.monotonic() - began, "is_queued": attempt.is_queued}
print(json.dumps(left), flush=True)
"""


@pytest.fixture
def notes(huldra_root: Path, tmp_path: Path) -> Path:
    """A folder for notes, beside a store of the test's own."""
    folder = tmp_path / "notes"
    folder.mkdir()
    huldra.HULDRA_CONFIG.update(poll_interval=0.2)
    return folder


@pytest.fixture
def cluster() -> Iterator[clusters.Outside]:
    """A cluster for one test: it will not be whole afterwards."""
    with clusters.outside(cpus=2) as cluster:
        yield cluster


until = functools.partial(children.until, timeout_s=PATIENCE_S)


def test_a_dead_head_ends_every_wait_and_the_store_goes_on(
    cluster: clusters.Outside, notes: Path, huldra_root: Path
) -> None:
    """When the head dies its jobs are reported lost, and made elsewhere from the store."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", _DRIVER, str(huldra_root), str(notes), cluster.address]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as driver:
        until(lambda: count_notes(notes, "held", "began") or driver.poll() is not None, "began")
        cluster.kill()
        out, err = driver.communicate(timeout=PATIENCE_S)
    assert out, f"the driver ended with {driver.returncode} and said nothing:\n{err}"
    seen = json.loads(out)
    assert seen["outcome"] in {"HuldraJobLost", "HuldraExecutorError"}, seen
    assert not seen["is_queued"], "others, who cannot ask this head, would wait for it"
    (notes / "held.open").touch()
    first = Step(name="first", notes=str(notes))
    held = Step(name="held", does="wait", needs=(first,), notes=str(notes))
    last = Step(name="last", needs=(held,), notes=str(notes))
    again = last.load_or_create(executor="local:1")
    assert again.result(timeout=PATIENCE_S)["name"] == "last"
    assert count_notes(notes, "first", "began") == 1


# Breaks the driver's connection to the supervisor, which lives.
_CUT_OFF = """
import subprocess, sys
import ray
import huldra
from huldra.testing.pipelines import Step
from huldra_ray import RayExecutor
from ray._private import state
root, notes, address = sys.argv[1:]
huldra.set_huldra_root(root)
executor = RayExecutor(address)
held = Step(name="held", does="wait", notes=notes)
job = held.load_or_create(executor=executor)
(port,) = [a["Address"]["Port"] for a in state.actors().values() if a["State"] == "ALIVE"]
cut = ["ss", "-K", "-tn", f"dport = :{port} or sport = :{port}"]
told = subprocess.run(cut, capture_output=True, text=True)
assert told.stdout.count("ESTAB"), told
assert not job.wait(timeout=3)
open(f"{notes}/held.open", "w").close()
print(job.result(timeout=60)["name"])
print(Step(name="next", notes=notes).load_or_create(executor=executor).result(timeout=60)["name"])
"""


@pytest.mark.iproute2
def test_a_broken_connection_to_the_supervisor_loses_no_job(
    cluster: clusters.Outside, notes: Path, huldra_root: Path
) -> None:
    """A driver whose connection is reset waits on, hears of the end, and sends the next."""
    command = [sys.executable, "-c", _CUT_OFF, str(huldra_root), str(notes), cluster.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["held", "next"]
    assert count_notes(notes, "held", "began") == 1
