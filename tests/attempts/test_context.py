"""What is being made by whom: pools that outlive an attempt, and other stores."""

from __future__ import annotations

from pathlib import Path

import pytest

import huldra
from huldra.attempts import context
from huldra.store import claim
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner
from huldra.store.records import AttemptStatus
from tests.support import children
from tests.support.odd import Note

POOL = """
    import multiprocessing, os
    from concurrent.futures import ProcessPoolExecutor
    from tests.attempts import test_context as here
    from tests.support import odd

    if __name__ == "__main__":
        here.pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context({method!r}))
        note = here.InAPool(name="a", trouble={trouble!r})
        try:
            note.load_or_create()
        except Exception as error:
            print(type(error).__name__)
        os.unlink({trouble!r})
        print(here.pool.submit(odd.load, odd.Note(name="a")).result())
        print(here.pool.submit(odd.load, here.InAPool(name="a", alone=True)).result())
"""

pool = None


class InAPool(Note):
    """Uses a pool of processes that lives on, and fails while the file `trouble` exists."""

    trouble: str = huldra.field(default="", hashed=False)
    alone: bool = huldra.field(default=False, hashed=False)

    def _create(self) -> str:
        if not self.alone:
            assert pool is not None
            pool.submit(int).result()
        if self.trouble and Path(self.trouble).exists():
            raise ValueError("trouble")
        return super()._create()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pool_that_outlives_a_failed_create_may_make_the_artifact(
    huldra_root: Path, tmp_path: Path, method: str
) -> None:
    """Its processes, started inside of `_create`, do not take that for running for ever."""
    trouble = tmp_path / "trouble"
    trouble.touch()
    script = tmp_path / "script.py"
    code = POOL.format(method=method, trouble=str(trouble))
    script.write_text("\n".join(line[4:] for line in code.splitlines()))
    printed = children.run_script(script, children.environment(huldra_root))
    assert printed == "HuldraComputeError\na\na\n"


class Elsewhere(Note):
    """Asks for itself in another store."""

    other: str = huldra.field(default="", hashed=False)

    def _create(self) -> str:
        if self.other:
            with huldra.huldra_root(self.other):
                return Elsewhere(name=self.name).load_or_create()
        return super()._create()


def test_same_artifact_in_another_store_is_no_cycle(huldra_root: Path, tmp_path: Path) -> None:
    """A key stands for one directory in each store."""
    note = Elsewhere(name="a", other=str(tmp_path / "shared"))
    with pytest.raises(FileNotFoundError):
        note._load()
    assert note.load_or_create() == "a"


def test_one_store_by_two_paths_is_one(huldra_root: Path, tmp_path: Path) -> None:
    """Through a link to the same store an artifact still asks for itself."""
    note = Elsewhere(name="a", other=str(tmp_path / "link"))
    huldra_root.mkdir(exist_ok=True)
    (tmp_path / "link").symlink_to(huldra_root)
    with pytest.raises(huldra.HuldraCycleError, match="cyclic dependency"):
        note.load_or_create()


def test_attempt_of_another_process_is_open_until_its_end(huldra_root: Path) -> None:
    """What was inherited is looked up: removed, ended, or of a dead owner is over."""
    paths = ArtifactPaths(str(Note(name="a").huldra_dir))
    making = context.Making("key", paths.directory, 1, pid=0)
    assert not making.is_open()
    owner = new_owner()
    claim.register(owner)
    assert claim.claim_next(paths, 1, owner)
    assert making.is_open()
    claim.unregister(owner)
    assert not making.is_open()
    claim.register(owner)
    claim.end_attempt(paths, 1, AttemptStatus.FAILED, owner)
    assert not making.is_open()
    claim.unregister(owner)
