"""Artifacts that other code computed: labelled, accepted, warned of, or computed again."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra import cli
from huldra.engines.protocol import Capabilities
from huldra.provenance import watching
from huldra.testing import FakeExecutor
from tests.support import children
from tests.support.projects import Project, project

__all__ = ["project"]  # pytest finds the fixture here


def _out(capsys: pytest.CaptureFixture[str], root: Path, *arguments: str) -> str:
    assert cli.main([*arguments, "--root", str(root)]) == 0
    return capsys.readouterr().out


def _sent(obj: huldra.Huldra[int]) -> str:
    """Submit a node to an engine that keeps it; return what its worker gets."""
    engine = FakeExecutor(capabilities=Capabilities(native_dependencies=True, isolates=True))
    obj.load_or_create(executor=engine)
    [task] = engine.graphs[-1].tasks.values()
    return task.payload


def _strict_after_an_edit(project: Project, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make an artifact, edit what it was computed by, and ask for it strictly."""
    project.load()().load_or_create()
    project.edit("numbers", "return 2", "return 3")
    obj = project.load()()
    monkeypatch.setattr(huldra.HULDRA_CONFIG, "code", "strict")
    return obj


def test_an_edit_of_what_the_class_calls_is_labelled(huldra_root: Path, project: Project) -> None:
    """Plan and explain name the function of the other module, and the result stays."""
    project.load()().load_or_create()
    project.edit("numbers", "return 2", "return 3")
    obj = project.load()()
    assert obj.load_or_create() == 2
    said = f"computed by other code ({project.name}.numbers: factor)"
    assert said in str(obj.plan())
    explanation = obj.explain()
    assert explanation.is_hit
    assert said in str(explanation)
    assert "-    return 2\n+    return 3\n" in explanation.code.diff()


def test_comments_and_docstrings_are_no_other_code(huldra_root: Path, project: Project) -> None:
    """An edit that changes nothing that runs is not labelled."""
    project.load()().load_or_create()
    project.edit("train", "A class whose", "Some class whose")
    project.edit("numbers", "return 2", "return 2  # two")
    assert project.load()().explain().code is None


def test_the_command_line_shows_the_difference(
    huldra_root: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """`ls` and `show` label the artifact, `show --code` prints the diff; nothing is imported."""
    obj = project.load()()
    obj.load_or_create()
    assert "other code" not in _out(capsys, huldra_root, "ls")
    project.edit("train", "self.value *", "self.value +")
    said = f"computed by other code ({project.name}.train: Train._create)"
    assert said in _out(capsys, huldra_root, "ls")
    assert said in _out(capsys, huldra_root, "show", obj.huldra_hash)
    shown = _out(capsys, huldra_root, "show", "--code", obj.huldra_hash)
    assert "+        return self.value + factor()" in shown


def test_accepting_ends_the_label_until_the_next_edit(huldra_root: Path, project: Project) -> None:
    """The difference that was accepted is no longer shown; a new one is."""
    project.load()().load_or_create()
    project.edit("numbers", "return 2", "return 1 + 1")
    obj = project.load()()
    assert huldra.accept(obj)
    assert obj.explain().code is None
    assert not huldra.accept(obj)
    project.edit("numbers", "return 1 + 1", "return 7")
    assert project.load()().explain().code is not None


def test_the_command_line_accepts(
    huldra_root: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """`huldra accept` says what it accepted, and the class sees it."""
    obj = project.load()()
    obj.load_or_create()
    project.edit("numbers", "return 2", "return 1 + 1")
    assert "numbers: factor" in _out(capsys, huldra_root, "accept", obj.huldra_hash)
    assert "other code" not in _out(capsys, huldra_root, "ls")
    assert project.load()().explain().code is None
    assert "does not differ" in _out(capsys, huldra_root, "accept", obj.huldra_hash)


def test_an_id_accepts_the_artifact_that_it_names(huldra_root: Path, project: Project) -> None:
    """The class goes elsewhere with its results today: the artifact of the ID is accepted."""
    old = project.load()()
    old.load_or_create()
    project.edit("train", "Huldra[int])", "Huldra[int], version_controlled=True)")
    new = project.load()()
    new.load_or_create()
    assert (new.huldra_hash, new.huldra_dir) == (
        old.huldra_hash,
        huldra_root / "git" / old.huldra_dir.relative_to(huldra_root / "data"),
    )
    project.edit("numbers", "return 2", "return 1 + 1")
    project.load()
    assert huldra.accept(str(old.huldra_dir))
    assert (old.huldra_dir / ".huldra" / "accepted.json").exists()
    assert not (new.huldra_dir / ".huldra" / "accepted.json").exists()


def test_an_id_whose_class_has_changed_is_accepted_itself(
    huldra_root: Path, project: Project
) -> None:
    """Where the class gives another hash today, the code on disk is compared and accepted."""
    old = project.load()()
    old.load_or_create()
    project.edit("train", "value: int = 1", "value: int = 1\n    more: int = 0")
    project.load()().load_or_create()
    assert huldra.accept(old.huldra_hash)
    assert (old.huldra_dir / ".huldra" / "accepted.json").exists()


def test_only_a_complete_artifact_is_accepted(huldra_root: Path, project: Project) -> None:
    """There is nothing to accept without a result."""
    with pytest.raises(huldra.HuldraArtifactMissing, match="no result to accept"):
        huldra.accept(project.load()())


def test_strict_computes_again(
    huldra_root: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other code is a miss: not there, will run, and then stands for the new code."""
    obj = _strict_after_an_edit(project, monkeypatch)
    assert not obj.exists()
    assert "numbers: factor), and HULDRA_CODE=strict" in str(obj.plan())
    assert "HULDRA_CODE=strict" in obj.explain().reason
    assert obj.load_or_create() == 3
    assert obj.exists()
    assert huldra.StateManager.history(obj.huldra_dir)[-1].number == 2


def test_strict_holds_for_the_hits_of_a_list(
    huldra_root: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An artifact of other code is computed again where many are asked for in one call, too."""
    obj = _strict_after_an_edit(project, monkeypatch)
    assert list(huldra.load_or_create([obj]).values()) == [3]


def test_strict_takes_what_was_accepted(
    huldra_root: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An accepted difference is a hit."""
    project.load()().load_or_create()
    project.edit("numbers", "return 2", "return 3")
    obj = project.load()()
    huldra.accept(obj)
    monkeypatch.setattr(huldra.HULDRA_CONFIG, "code", "strict")
    assert obj.load_or_create() == 2


def test_warn_logs_a_line_on_each_hit(
    huldra_root: Path,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The line names the artifact, what differs, and how to accept it."""
    project.load()().load_or_create()
    project.edit("numbers", "return 2", "return 3")
    obj = project.load()()
    monkeypatch.setattr(huldra.HULDRA_CONFIG, "code", "warn")
    with caplog.at_level(logging.WARNING):
        assert obj.load_or_create() == 2
    assert "computed by other code" in caplog.text
    assert "huldra accept" in caplog.text


def test_off_records_nothing(
    huldra_root: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a record there is no label, and no folder of sources."""
    monkeypatch.setattr(huldra.HULDRA_CONFIG, "code", "off")
    obj = project.load()()
    obj.load_or_create()
    assert obj.get_metadata().code is None
    assert not (huldra_root / "code").exists()


def test_each_source_is_kept_once(huldra_root: Path, project: Project) -> None:
    """Two artifacts of one class, and a second class file state, share what did not change."""
    cls = project.load()
    for value in (1, 2):
        cls(value=value).load_or_create()
    assert len(list((huldra_root / "code").glob("*.py"))) == 3
    project.edit("numbers", "return 2", "return 3")
    project.load()(value=3).load_or_create()
    assert len(list((huldra_root / "code").glob("*.py"))) == 4
    record = json.loads(
        (huldra_root / "code" / f"{cls(value=1).get_metadata().code}.json").read_text()
    )
    assert record["class"] == f"{project.name}.train:Train"
    assert set(record["sources"]) == {
        project.name,
        f"{project.name}.train",
        f"{project.name}.numbers",
    }


def test_a_worker_takes_the_record_of_its_driver(
    huldra_root: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver parses the project once, and no worker has to."""
    obj = project.load()(value=5)
    payload = _sent(obj)
    worker = children.run(
        f"""
        import sys
        from huldra.provenance import watching
        from huldra.worker import run_node
        watching.watch = None  # a call would fail, and the record be missing
        sys.exit(run_node({payload!r}))
        """,
        huldra_root,
    )
    assert worker.returncode == 0, worker.stderr
    expected = watching.watch(type(obj))[1]
    assert obj.get_metadata().code == expected


def test_a_worker_records_what_it_runs_when_that_was_edited(
    huldra_root: Path, project: Project
) -> None:
    """Also of a module that nothing has imported when the node begins."""
    project.edit("train", "return self.value * factor()", "return late()")
    project.edit("train", f"from {project.name}.numbers import factor", "")
    text = "def _create(self) -> int:"
    project.edit(
        "train", text, f"{text}\n        from {project.name}.numbers import factor as late"
    )
    obj = project.load()(value=6)
    payload = _sent(obj)
    at_submission = watching.watch(type(obj))[1]
    project.edit("numbers", "return 2", "return 3")
    worker = children.run(
        f"import sys; from huldra.worker import run_node; sys.exit(run_node({payload!r}))",
        huldra_root,
    )
    assert worker.returncode == 0, worker.stderr
    assert obj.load_or_create() == 3
    assert obj.get_metadata().code not in (None, at_submission)


def test_what_was_edited_but_not_loaded_again_is_not_recorded_as_new(
    huldra_root: Path, project: Project
) -> None:
    """The code in memory counts: that of the file as this process saw it first."""
    cls = project.load()
    before, _ = watching.watch(cls)
    project.edit("numbers", "return 2", "return 3")
    assert watching.watch(cls)[0] == before


def test_an_import_in_a_function_counts_before_and_after_it_ran(
    huldra_root: Path, project: Project
) -> None:
    """The same modules are watched, whatever of them this process has imported by then."""
    (project.folder / "deep").mkdir()
    project.write("deep/__init__", "")
    project.write("deep/late", "def offset() -> int:\n    return 5\n")
    late = f"from {project.name}.deep.late import offset"
    project.edit("train", "return self.value", f"{late}\n        return offset() + self.value")
    cls = project.load()
    before, _ = watching.watch(cls)
    assert f"{project.name}.deep.late" in before.modules
    assert cls().load_or_create() == 7
    assert watching.watch(cls)[0] == before
    assert project.load()().explain().code is None


def test_a_watched_class_costs_no_further_calls(
    huldra_root: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its code was recorded by this process, no file is looked at for it."""
    from huldra.provenance import code_store

    cls = project.load()
    cls().load_or_create()
    calls: list[object] = []
    for name in ("stat", "open", "lstat"):
        monkeypatch.setattr(f"os.{name}", lambda *a, **k: calls.append(a))
    monkeypatch.setattr("builtins.open", lambda *a, **k: calls.append(a))
    digest = code_store.keep(cls)
    monkeypatch.undo()
    assert digest is not None
    assert calls == []
