"""Each driver's nodes run with its own import path and runtime_env, and with no other's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.executors.ray import clusters
from tests.support import children

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray"), pytest.mark.timeout(300)]

# Each clone of a project has this module, and says so in the same class of the same name.
_MODULE = """
import importlib.util
import json
import os
import huldra

CLONE = {clone!r}

class Probe(huldra.Huldra[dict]):
    name: str
    asks: dict = huldra.field(default_factory=dict, hashed=False)

    def _resources(self):
        return huldra.Resources(cpus=1, extra={{"ray_runtime_env": self.asks}})

    def _create(self):
        found = {{
            "clone": CLONE,
            "variable": os.environ.get("HULDRA_TEST_VARIABLE"),
            "has_extra": importlib.util.find_spec("extra_of_a_test") is not None,
            "folder": sorted(os.listdir()),
        }}
        (self.huldra_dir / "found.json").write_text(json.dumps(found))

    def _load(self):
        return json.loads((self.huldra_dir / "found.json").read_text())
"""
_DRIVER = """
import json
import sys
import huldra
import ray
import um
from huldra_ray import RayExecutor

address, of_job, of_executor, of_class, nodes = map(json.loads, sys.argv[1:])
if of_job is not None:
    ray.init(address, runtime_env=of_job, log_to_driver=False, logging_level="ERROR")
probes = [um.Probe(name=f"{um.CLONE}-{sys.argv[1:]}-{i}", asks=of_class) for i in range(nodes)]
executor = RayExecutor(address, runtime_env=of_executor)
found = huldra.load_or_create(probes, executor=executor).results(timeout=250).values()
print(json.dumps(list(found)))
"""


class Project:
    """A clone of one project, in a folder of its own."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self._address = address
        folder.mkdir()
        (folder / "um.py").write_text(_MODULE.format(clone=folder.name))
        (folder / "driver.py").write_text(_DRIVER)

    def start(
        self,
        nodes: int = 2,
        *,
        of_job: Mapping[str, Any] | None = None,
        of_executor: Mapping[str, Any] | None = None,
        of_class: Mapping[str, Any] | None = None,
        address: str = "",
    ) -> subprocess.Popen[str]:
        """Start a driver here, with what it asks of Ray in three places."""
        words = (address or self._address, of_job, of_executor or {}, of_class or {}, nodes)
        environ = children.environment(self.folder.parent / "store")
        arguments = [json.dumps(word) for word in words]
        return children.start_script(self.folder / "driver.py", environ, *arguments)

    def run(self, **asks: Any) -> list[dict[str, Any]]:
        """What the nodes of one driver found around them."""
        return found_by(self.start(**asks))


def found_by(driver: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """What the nodes of a driver found, once it has ended."""
    out, err = driver.communicate(timeout=280)
    assert driver.returncode == 0, err
    found: list[dict[str, Any]] = json.loads(out)
    return found


def values(found: list[dict[str, Any]], what: str) -> set[Any]:
    return {each[what] for each in found}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[clusters.Outside]:
    """A cluster whose first driver, which starts the supervisor, has a runtime_env of its own."""
    with clusters.outside(cpus=2) as cluster:
        first = Project(tmp_path_factory.mktemp("first") / "first", cluster.address)
        mine = {"env_vars": {"HULDRA_TEST_VARIABLE": "of the first"}}
        assert values(first.run(of_job=mine), "variable") == {"of the first"}
        yield cluster


@pytest.fixture
def project(cluster: clusters.Outside, tmp_path: Path) -> Project:
    return Project(tmp_path / "clone", cluster.address)


@pytest.fixture
def extra(tmp_path: Path) -> Path:
    """A package that is on no import path."""
    package = tmp_path / "elsewhere" / "extra_of_a_test"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    return package


def test_a_later_driver_has_its_own_code_and_nothing_of_an_earlier_one(project: Project) -> None:
    """Neither the modules of the first driver's folder nor the variables of its runtime_env."""
    found = project.run()
    assert values(found, "clone") == {"clone"}
    assert values(found, "variable") == {None}


@pytest.mark.slow
def test_two_clones_at_one_time_each_get_their_own(
    cluster: clusters.Outside, tmp_path: Path
) -> None:
    """A hundred nodes of each, whose workers stand on the same host."""
    clones = [Project(tmp_path / name, cluster.address) for name in ("a", "b")]
    drivers = [clone.start(nodes=100) for clone in clones]
    assert [values(found_by(driver), "clone") for driver in drivers] == [{"a"}, {"b"}]


@pytest.mark.parametrize("through", ["address", "client_address"])
def test_what_a_driver_gave_to_ray_init_reaches_its_nodes(
    cluster: clusters.Outside, project: Project, extra: Path, through: str
) -> None:
    """Its variables and modules, whether it is a driver or a client of Ray's."""
    mine = {"env_vars": {"HULDRA_TEST_VARIABLE": "mine"}, "py_modules": [str(extra)]}
    found = project.run(of_job=mine, address=getattr(cluster, through))
    assert values(found, "variable") == {"mine"}
    assert values(found, "has_extra") == {True}


def test_folders_may_be_given_to_an_executor_and_to_a_class(
    project: Project, extra: Path, tmp_path: Path
) -> None:
    """Ray takes them from jobs alone, so they are uploaded before; nodes stand in the copy."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "table.csv").touch()
    found = project.run(
        of_executor={"working_dir": str(data)}, of_class={"py_modules": [str(extra)]}
    )
    assert values(found, "has_extra") == {True}
    assert [each["folder"] for each in found] == [["table.csv"]] * 2


def test_a_node_imports_in_the_drivers_order(project: Project) -> None:
    """A script's own folder comes before the working directory, as it does in the driver."""
    scripts = project.folder / "scripts"
    scripts.mkdir()
    (scripts / "um.py").write_text(_MODULE.format(clone="beside the script"))
    code = "import sys\nsys.path[:0] = ['scripts']\n" + _DRIVER
    (project.folder / "driver.py").write_text(code)
    assert values(project.run(), "clone") == {"beside the script"}
