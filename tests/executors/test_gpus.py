"""GPUs on engines that are told of some: no node sees what another one holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import children

_PROGRAM = """
from pathlib import Path
import huldra
from huldra.testing.pipelines import Step, count_notes
from {module} import {executor}
from tests.support import children

notes = Path({notes!r})
executor = {executor}({options})

def send(*gpus_of):
    # Of no cpus, so that nothing but the GPUs keeps them apart.
    return huldra.load_or_create(
        [
            Step(name=name, does="hold gpus", notes=str(notes), claims={{"gpus": gpus, "cpus": 0}})
            for name, gpus in gpus_of
        ],
        executor=executor,
    )

halves = send(("one", 1), ("other", 1))
children.until(lambda: all(count_notes(notes, name, "began") for name in ("one", "other")))
whole = send(("both", 2))
(notes / "both.open").touch()
assert not whole.wait(timeout=0.5)
for name in ("one", "other"):
    (notes / f"{{name}}.open").touch()
for sweep in (halves, whole):
    seen = (result["report"] for result in sweep.results(timeout=60).values())
    print(*sorted(",".join(seen).split(",")))
executor.close()
"""
_LOCAL = ("huldra_local", "LocalExecutor", "3, gpus=2")
_DASK = ("huldra_dask", "DaskExecutor", 'workers=3, resources={"GPU": 2}')
_RAY = ("huldra_ray", "RayExecutor", "cpus=3, num_gpus=2")


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("module", "executor", "options"),
    [
        pytest.param(*_LOCAL, id="local"),
        pytest.param(*_DASK, id="dask", marks=pytest.mark.dask),
        pytest.param(*_RAY, id="ray", marks=[pytest.mark.ray, pytest.mark.xdist_group("ray")]),
    ],
)
def test_nodes_have_their_gpus_for_themselves(
    module: str, executor: str, options: str, huldra_root: Path, tmp_path: Path
) -> None:
    """Two nodes of one GPU run at once, on one each; a node of both runs when both are free."""
    code = _PROGRAM.format(module=module, executor=executor, options=options, notes=str(tmp_path))
    ended = children.run(code, huldra_root, CUDA_VISIBLE_DEVICES="0,1")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["0", "1", "0", "1"]
