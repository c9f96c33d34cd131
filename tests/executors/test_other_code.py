"""Nodes are made by the driver's code, whatever a worker has in memory or finds first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import children

MODULE = """
import huldra
WORD = {word!r}
class Model(huldra.Huldra[str]):
    x: int = 0
    def _create(self):
        (self.huldra_dir / "word").write_text(WORD)
        return WORD
    def _load(self):
        return (self.huldra_dir / "word").read_text()
"""
RAY = [pytest.mark.ray, pytest.mark.xdist_group("ray")]
ENGINES = [
    "local:1",
    pytest.param("dask:1", marks=pytest.mark.dask),
    pytest.param("ray:1", marks=RAY),
]


def clone(folder: Path, word: str) -> Path:
    """A folder with the project's module, whose artifacts hold the word."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "um.py").write_text(MODULE.format(word=word))
    return folder


def drive(folder: Path, root: Path, code: str, *paths: Path, cwd: Path | None = None) -> str:
    """What a driver prints: a script in `folder`, started in `cwd` with more import paths."""
    script = folder / "drive.py"
    script.write_text(code)
    env = children.environment(root, PYTHONDONTWRITEBYTECODE="1")
    env["PYTHONPATH"] = os.pathsep.join([*map(str, paths), env["PYTHONPATH"]])
    return children.run_command([sys.executable, str(script)], cwd or folder, env)


RELOADS = """
import importlib, sys
from pathlib import Path
import um
ENGINE = {engine!r}
print(um.Model(x=1).load_or_create(executor=ENGINE).result(timeout=50))
file = Path(um.__file__)
file.write_text(file.read_text().replace("'old'", "'new'"))
importlib.reload(um)
print(um.Model(x=2).load_or_create(executor=ENGINE).result(timeout=50))
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_a_warm_worker_runs_what_the_driver_has_loaded_again(tmp_path: Path, engine: str) -> None:
    """After an edit and a reload in the driver, no node is made by the code before."""
    here = clone(tmp_path / "project", "old")
    assert drive(here, tmp_path / "store", RELOADS.format(engine=engine)) == "old\nnew\n"


HELPED = """
import importlib
from pathlib import Path
import um, helper
ENGINE = {engine!r}
print(um.Model(x=1).load_or_create(executor=ENGINE).result(timeout=50))
Path(helper.__file__).write_text("WORD = 'new'")
importlib.reload(helper)
print(um.Model(x=2).load_or_create(executor=ENGINE).result(timeout=50))
"""


def test_a_warm_worker_runs_the_helpers_that_the_driver_has_loaded_again(tmp_path: Path) -> None:
    """Also where the edited module is not that of the class, and `_create` imports it."""
    here = clone(tmp_path / "project", "unused")
    (here / "helper.py").write_text("WORD = 'old'")
    text = (here / "um.py").read_text()
    lazily = "def _create(self):\n        from helper import WORD"
    (here / "um.py").write_text(text.replace("def _create(self):", lazily))
    told = drive(here, tmp_path / "store", HELPED.format(engine="local:1"))
    assert told == "old\nnew\n"


LIMITED = """
import importlib, um
from pathlib import Path
print(um.Model(x=1).load_or_create(executor={engine!r}).result(timeout=50))
file = Path(um.__file__)
file.write_text(file.read_text().replace("WORD = 'old'", "WORD = 'new'; import time; SLEEP = 60"))
importlib.reload(um)
error = um.Model(x=2).load_or_create(executor={engine!r}).exception(timeout=50)
print(type(error).__name__)
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_that_starts_again_keeps_to_the_time_limit(tmp_path: Path, engine: str) -> None:
    """The task that was kept over the new start is still its parent's to end."""
    here = clone(tmp_path / "project", "old")
    with (here / "um.py").open("a") as file:
        file.write("    _resources = huldra.Resources(time_min=0.05)\n")
    text = (here / "um.py").read_text().replace("huldra\nWORD", "huldra\nSLEEP = 0\nWORD")
    sleeps = "def _create(self):\n        import time; time.sleep(SLEEP)"
    (here / "um.py").write_text(text.replace("def _create(self):", sleeps))
    began = time.monotonic()
    told = drive(here, tmp_path / "store", LIMITED.format(engine=engine))
    assert told == "old\nHuldraJobLost\n"
    assert time.monotonic() - began < 40


ONE = """
import um
print(um.Model(x={x}).load_or_create(executor={engine!r}).result(timeout=50))
"""


@pytest.mark.dask
def test_drivers_of_one_dask_cluster_get_their_own_code(tmp_path: Path) -> None:
    """A driver after an edit, and one of another clone, are not served by the code before."""
    from tests.executors.dask import clusters

    a, b, store = clone(tmp_path / "a", "a1"), clone(tmp_path / "b", "b"), tmp_path / "store"
    with clusters.outside(tmp_path, 1) as cluster:
        told = [drive(a, store, ONE.format(x=1, engine=cluster.name))]
        clone(a, "a2")
        told.append(drive(a, store, ONE.format(x=2, engine=cluster.name)))
        told.append(drive(b, store, ONE.format(x=3, engine=cluster.name)))
        told.append(drive(a, store, ONE.format(x=4, engine=cluster.name)))
    assert told == ["a1\n", "a2\n", "b\n", "a2\n"]


MANY = """
import huldra, um
models = [um.Model(x=x) for x in range({first}, {first} + 150)]
sweep = huldra.load_or_create(models, executor={engine!r})
print(set(sweep.results(timeout=110).values()))
"""


@pytest.mark.dask
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_two_clones_on_one_dask_cluster_at_one_time(tmp_path: Path) -> None:
    """Hundreds of nodes of two drivers share the workers, each made by its own driver's code."""
    import threading

    from tests.executors.dask import clusters

    told: dict[str, str] = {}

    def run(word: str, first: int, name: str) -> None:
        code = MANY.format(first=first, engine=name)
        told[word] = drive(clone(tmp_path / word, word), tmp_path / "store", code)

    with clusters.outside(tmp_path, 2) as cluster:
        threads = [
            threading.Thread(target=run, args=(word, first, cluster.name))
            for word, first in (("a", 0), ("b", 1000))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert told == {"a": "{'a'}\n", "b": "{'b'}\n"}


SUBMITIT = """
import submitit, um
executor = submitit.LocalExecutor(folder={folder!r})
executor.update_parameters(timeout_min=2)
print(um.Model(x=1).load_or_create(executor=executor).result(timeout=50))
"""


@pytest.mark.parametrize("where", ["installed", "working directory"])
def test_a_submitit_job_imports_in_the_drivers_order(tmp_path: Path, where: str) -> None:
    """The driver's clone comes before a copy that is installed, or lies where the job starts."""
    pytest.importorskip("submitit")
    here, other = clone(tmp_path / "clone", "clone"), clone(tmp_path / "other", where)
    paths, cwd = ([other], tmp_path) if where == "installed" else ([], other)
    code = SUBMITIT.format(folder=str(tmp_path / "logs"))
    assert drive(here, tmp_path / "store", code, *paths, cwd=cwd) == "clone\n"


PREPARES = """
import json, pathlib, um
from huldra.testing import FakeExecutor
engine = FakeExecutor()
um.Model(x=1).load_or_create(executor=engine)
(task,) = engine.graphs[-1].tasks.values()
pathlib.Path("payload.json").write_text(task.payload)
print(task.directory)
"""


def prepared(folder: Path, root: Path, before: str = "") -> Path:
    """The directory of an artifact whose node is sent from `folder` and not begun."""
    return Path(drive(folder, root, f"import huldra\n{before}{PREPARES}").strip())


def work(folder: Path, root: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    """Run the prepared node in a process of its own, which has more import paths."""
    env = children.environment(root, PYTHONDONTWRITEBYTECODE="1")
    env["PYTHONPATH"] = os.pathsep.join([*map(str, paths), env["PYTHONPATH"]])
    return subprocess.run(
        [sys.executable, "-P", "-m", "huldra.worker", str(folder / "payload.json")],
        env=env,
        capture_output=True,
        text=True,
        timeout=children.TIMEOUT_S,
    )


def test_a_copy_with_the_same_content_is_the_same_code(tmp_path: Path) -> None:
    """Where the driver's folder is not on a worker's machine, an equal copy does."""
    here, copy = clone(tmp_path / "clone", "same"), clone(tmp_path / "copy", "same")
    made = prepared(here, tmp_path / "store")
    (here / "um.py").unlink()
    done = work(here, tmp_path / "store", copy)
    assert done.returncode == 0, done.stderr
    assert (made / "word").read_text() == "same"


def test_another_copy_where_the_drivers_file_is_not_fails_the_node(tmp_path: Path) -> None:
    """The error names the file that was wanted and the one that was found."""
    here, copy = clone(tmp_path / "clone", "new"), clone(tmp_path / "copy", "old")
    made = prepared(here, tmp_path / "store")
    (here / "um.py").unlink()
    done = work(here, tmp_path / "store", copy)
    assert done.returncode == 1
    assert f"{here}/um.py" in done.stderr
    assert "which is not on this machine" in done.stderr
    assert f"found {copy}/um.py" in done.stderr
    assert not (made / "word").exists()
    end = json.loads((made / ".huldra" / "claims" / "1.end").read_text())
    assert end["status"] == "failed"


def test_an_older_file_under_the_drivers_name_fails_the_node(tmp_path: Path) -> None:
    """A machine with a folder of its own there has not followed: its file is another one."""
    here = clone(tmp_path / "clone", "new")
    made = prepared(here, tmp_path / "store")
    clone(here, "old")
    an_hour_ago = time.time() - 3600
    os.utime(here / "um.py", (an_hour_ago, an_hour_ago))
    done = work(here, tmp_path / "store")
    assert done.returncode == 1
    assert "which has different content on this machine" in done.stderr
    assert not (made / "word").exists()


def test_an_edit_after_the_graph_was_sent_is_told_and_no_error(tmp_path: Path) -> None:
    """A job that waited in a queue runs the file as it is then, and its log says so."""
    here = clone(tmp_path / "clone", "sent")
    made = prepared(here, tmp_path / "store")
    clone(here, "edited")
    done = work(here, tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert (made / "word").read_text() == "edited"
    log = (made / ".huldra" / "huldra.log").read_text()
    assert "WARNING" in log
    assert "edited after submission" in log
    assert json.loads((made / ".huldra" / "metadata.json").read_text())["code_edited"] == ["um"]


def test_strict_refuses_what_was_edited_after_the_graph_was_sent(tmp_path: Path) -> None:
    """With `HULDRA_CODE=strict` the node fails and names the module; else the metadata does."""
    here = clone(tmp_path / "clone", "sent")
    made = prepared(here, tmp_path / "store", "huldra.HULDRA_CONFIG.code = 'strict'\n")
    clone(here, "edited")
    done = work(here, tmp_path / "store")
    assert done.returncode == 1
    assert "edited after submission, and HULDRA_CODE=strict: um" in done.stderr
    assert not (made / "word").exists()


POOL = """
import importlib, um
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
import multiprocessing
with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
    print(um.Model(x=1).load_or_create(executor=pool).result(timeout=50))
    file = Path(um.__file__)
    file.write_text(file.read_text().replace("'old'", "'new'"))
    importlib.reload(um)
    error = um.Model(x=2).load_or_create(executor=pool).exception(timeout=50)
    print("since the last edit" in str(error), um.Model(x=2).exists())
"""


def test_a_pool_of_the_users_is_not_replaced_and_says_so(tmp_path: Path) -> None:
    """Workers that huldra cannot start again fail the node instead of running old code."""
    here = clone(tmp_path / "project", "old")
    assert drive(here, tmp_path / "store", POOL) == "old\nTrue False\n"


GONE = """
import os, sys, tempfile
import um
folder = tempfile.mkdtemp()
os.chdir(folder)
os.rmdir(folder)
print(um.Model(x=1).load_or_create(executor={engine!r}).result(timeout=50))
"""


@pytest.mark.parametrize("engine", ["inline", *ENGINES[:2]])  # Ray itself asks for the folder
def test_a_removed_working_directory_stops_nothing(tmp_path: Path, engine: str) -> None:
    """A driver whose folder is gone still sends, and its workers still start."""
    here = clone(tmp_path / "project", "made")
    assert drive(here, tmp_path / "store", GONE.format(engine=engine)) == "made\n"
