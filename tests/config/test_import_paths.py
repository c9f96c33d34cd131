"""Names of modules and classes: what runs as `python -m` goes by its own name everywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from huldra.config.import_paths import ImportPathError, find
from tests.support import children

PROGRAM = """
import dataclasses, enum, multiprocessing, sys
import huldra

class Color(enum.Enum):
    RED = 1

@dataclasses.dataclass(frozen=True)
class Point:
    x: float = 0

@huldra.chz.chz
class Options:
    depth: int = 3

def double(x):
    return 2 * x

class Data(huldra.Huldra[int]):
    n: int = 1
    def _create(self):
        (self.huldra_dir / "n").write_text(str(self.n))
        return self.n
    def _load(self):
        return int((self.huldra_dir / "n").read_text())

class Train(huldra.Huldra[int]):
    data: Data = Data()
    color: Color = Color.RED
    point: Point = Point()
    options: Options = Options()
    function: object = double
    def _create(self):
        value = self.function(self.data.load_or_create())
        (self.huldra_dir / "n").write_text(str(value))
        return value
    def _load(self):
        return int((self.huldra_dir / "n").read_text())

class Trains(huldra.HuldraList[Train]):
    small = Train(data=Data(n=3))

def main():
    train = Train()
    print("namespace", train.huldra_dir.parent.parent.name)
    print("in-process", train.load_or_create())
    print("worker", Train(data=Data(n=5)).load_or_create(executor="local:1").result(timeout=60))
    print("list", Trains.load_or_create(executor="local:1").results())
    print("read back", Train.from_dict(train.to_dict()) == train, "proj.train" in sys.modules)
    print("python", train.to_python())
    import proj.train as copy
    twin = copy.Train()
    print("copy", twin == train, train == twin, {train: 1}.get(twin), twin.exists())
    print("copy back", copy.Train.from_dict(train.to_dict()) == twin)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print("spawned", pool.apply(Train.exists, (train,)))

if __name__ == "__main__":
    main()
"""

PRINTED = """\
namespace proj.train
in-process 2
worker 10
list {'small': 6}
read back True False
python Train(data=Data(n=1), color=Color.RED, point=Point(x=0.0), options=Options(depth=3), \
function=double)
copy True True 1 True
copy back True
spawned True
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=children.environment(folder / "store"),
        capture_output=True,
        text=True,
        timeout=children.TIMEOUT_S,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a package whose module is a program, too."""
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj/__init__.py").touch()
    (tmp_path / "proj/train.py").write_text(PROGRAM)
    return tmp_path


def test_a_module_that_runs_as_a_program_goes_by_its_own_name(project: Path) -> None:
    """Classes, enums, dataclasses and functions of it are one identity under both names."""
    done = run(project, "-m", "proj.train")
    assert done.stdout == PRINTED, done.stderr
    looked = "from proj.train import Train; print(Train().exists(), Train().load_or_create())"
    assert run(project, "-c", looked).stdout == "True 2\n"


@pytest.mark.parametrize("arguments", [["proj/train.py"], ["-m", "cProfile", "-m", "proj.train"]])
def test_a_program_without_a_name_is_refused_with_the_fix(
    project: Path, arguments: list[str]
) -> None:
    """A file run by its path has no name that a worker could import, and no KeyError is shown."""
    done = run(project, *arguments)
    assert "HuldraClassError: Train is defined in __main__" in done.stderr + done.stdout
    assert "python -m package.module" in done.stderr + done.stdout
    assert "KeyError" not in done.stderr
    assert not (project / "store").exists()


def test_a_folder_that_is_run_is_a_program_without_a_name(project: Path) -> None:
    """The spec of `python folder` is named `__main__`."""
    (project / "folder").mkdir()
    (project / "folder/__main__.py").write_text(PROGRAM)
    assert "Train is defined in __main__" in run(project, "folder").stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise TypeError('odd')", "TypeError: odd"),
        ("class Odd(BaseException): pass\nraise Odd('very')", "Odd: very"),
        ("def __getattr__(name): raise ValueError(name)", "has no 'Thing' any more"),
        ("def __getattr__(name): raise SystemExit(name)", "has no 'Thing' any more"),
    ],
)
def test_a_module_that_fails_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    """Whatever a module raises while it is imported, reading a document is one kind of error."""
    (tmp_path / "failing_module.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "failing_module", raising=False)
    with pytest.raises(ImportPathError, match=message):
        find("failing_module:Thing")
    sys.modules.pop("failing_module", None)


@pytest.mark.parametrize("name", [".os:path", "..:x", "os", ":x", "os:", "os:path.", 3, None, []])
def test_a_name_of_another_form_is_not_found(name: str) -> None:
    """Relative modules and values that are no text are refused before anything is imported."""
    with pytest.raises(ImportPathError, match="not of the form module:qualname"):
        find(name)
