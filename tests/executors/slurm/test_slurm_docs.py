"""The Slurm sections of the README and of docs/slurm.md, and the examples, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.executors.slurm.cluster import Cluster
from tests.support.pages import REPOSITORY, python_blocks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MODELS = """
import huldra
from pathlib import Path

class Dataset(huldra.Huldra[str]):
    name: str = "toy"

    def _create(self) -> str:
        (self.huldra_dir / "data.txt").write_text(self.name)
        return self.name

    def _load(self) -> str:
        return (self.huldra_dir / "data.txt").read_text()

class TrainModel(huldra.Huldra[str]):
    data: Dataset = huldra.field(default_factory=Dataset)
    lr: float = 1e-3
    steps: int = 1000

    def _create(self) -> str:
        (self.huldra_dir / "model.txt").write_text(self.data.load_or_create())
        return self._load()

    def _load(self) -> str:
        return (self.huldra_dir / "model.txt").read_text()

class MyExperiments(huldra.HuldraList[TrainModel]):
    slow = TrainModel(lr=1e-4)
    fast = TrainModel(lr=1e-2)
"""
LAST = """
MyExperiments.load_or_create(executor=executor).wait()
print("all made:", all(each.exists() for each in MyExperiments))
"""


def run_script(folder: Path, code: str, cluster: Cluster) -> str:
    """Run a script as a user would, in a project of its own; what it printed."""
    package = folder / "my_project"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "pipelines.py").write_text(MODELS)
    (folder / "script.py").write_text(code)
    env = {**cluster.env, "PYTHONPATH": str(folder), "HULDRA_POLL_INTERVAL_SECS": "0.5"}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env=env, capture_output=True, timeout=200
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_the_readmes_section_runs(cluster: Cluster, tmp_path: Path) -> None:
    """With its partition and its GPU; the job's id is in `state.json`, as it says."""
    [block] = python_blocks("README.md", "### Slurm")
    out = run_script(tmp_path, f"{block}\nprint('made', job.result(timeout=150))", cluster)
    job_id = out.split()[0]
    [state] = tmp_path.glob("data-huldra/data/my_project.pipelines/TrainModel/*/.huldra/state.json")
    assert f'"job_id": "{job_id}"' in state.read_text()
    assert "made toy" in out


def test_the_pages_blocks_run(cluster: Cluster, tmp_path: Path) -> None:
    """One after the other, in one script."""
    blocks = python_blocks("docs/slurm.md", "# Slurm")
    assert len(blocks) == 3
    head = "from my_project.pipelines import MyExperiments, TrainModel\n"
    code = head + "\n".join(blocks) + LAST
    code = code.replace('"slurm_partition": "cpu"', '"slurm_partition": "debug"')
    assert "all made: True" in run_script(tmp_path, code, cluster)


@pytest.mark.parametrize(
    ("name", "telling"),
    [
        ("slurm_sweep", r"job \d+: queued\nbest: Report\(.*|best: Train\(data=.*lr=0\.001\)"),
        ("slurm_submitit", r"job \d+ is (queued|running)\nmade: checkpoint\.bin"),
    ],
)
def test_the_example_runs(cluster: Cluster, tmp_path: Path, name: str, telling: str) -> None:
    """`python -m examples NAME`, on the cluster."""
    env = {**cluster.env, "HULDRA_PATH": str(tmp_path), "HULDRA_POLL_INTERVAL_SECS": "0.5"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPOSITORY), *sys.path]))
    done = subprocess.run(
        [sys.executable, "-m", "examples", name],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert re.search(telling, done.stdout.decode()), done.stdout.decode()
