"""The messages that users see most, word for word, so that they change on purpose only.

Each says what was wanted, what was found, where, and what to do next. docs/troubleshooting.md
quotes them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import huldra
from huldra import cli
from huldra.settings import Settings
from huldra.store import claim
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner
from huldra.testing.pipelines import Step
from huldra_local import LocalExecutor
from tests.support.odd import Failing, Note

ROOT = Path(__file__).parents[1]


class Text(str):
    """A message, equal to what is written; `…` there stands for anything."""

    __hash__ = str.__hash__

    def __eq__(self, expected: object) -> bool:
        pattern = ".*".join(map(re.escape, str(expected).split("…")))
        return re.fullmatch(pattern, self, re.DOTALL) is not None


def raised_by(action: Callable[[], object]) -> str:
    """What `action` raises: its type and text, notes included."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  each text is compared whole
        action()
    notes = getattr(caught.value, "__notes__", [])
    return "\n".join([f"{type(caught.value).__name__}: {caught.value}", *notes])


def plain(text: str, root: Path) -> Text:
    """`text` without what differs from run to run."""
    text = text.replace(str(root), "ROOT").replace(str(ROOT), "CLONE")
    text = re.sub(r"\b[0-9a-f]{32}\b", "HASH", text)
    text = re.sub(r"\b\w+@[\w.-]+ pid \d+", "USER@HOST pid PID", text)
    return Text(re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*\+00:00", "TIME", text))


Says = Callable[[Callable[[], object]], Text]


@pytest.fixture
def says(huldra_root: Path) -> Says:
    """What an action raises in a store of its own, in words that stay the same."""
    return lambda action: plain(raised_by(action), huldra_root)


def test_a_class_of_a_script(tmp_path: Path) -> None:
    """A class in a file that runs as a script."""
    (tmp_path / "train.py").write_text(
        "import huldra\n"
        "class Train(huldra.Huldra[int]):\n"
        "    def _create(self): return 1\n"
        "    def _load(self): return 1\n"
        "Train().load_or_create()\n"
    )
    command = [sys.executable, "train.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert plain(done.stderr.splitlines()[-1], tmp_path) == (
        "huldra.errors.HuldraClassError: Train is defined in __main__, so no other "
        "process can import it and it has no stable directory: move the class into a "
        "module (for example pipelines.py) and import it from there in your script, or "
        "run the file as a module (python -m package.module)"
    )


def test_a_value_without_identity(says: Says) -> None:
    """A lambda in a field."""
    lambda_for_a_name: Any = lambda: 0  # noqa: E731  what is refused
    assert says(Note(name=lambda_for_a_name).load_or_create) == (
        "HuldraIdentityError: Note.name has no stable identity: a lambda has no name "
        "to import it by: use a function of a module"
    )


def test_a_create_that_raises(says: Says) -> None:
    """The user's own exception."""
    assert says(lambda: Failing(name="a", how="value").load_or_create()) == (
        "HuldraComputeError: tests.support.odd/Failing/HASH: _create raised "
        "ValueError: a was told to fail; directory: "
        "ROOT/data/tests.support.odd/Failing/HASH, log: "
        "ROOT/data/tests.support.odd/Failing/HASH/.huldra/huldra.log"
    )


def test_a_dependency_that_failed(says: Says) -> None:
    """What needs a failed artifact, on an engine."""
    need = Failing(name="need", how="value")
    job = Note(name="a", needs=(need,)).load_or_create(executor="inline")
    assert says(lambda: job.result(timeout=30)) == (
        "HuldraDependencyError: tests.support.odd/Note/HASH did not run: its "
        "dependency tests.support.odd/Failing/HASH failed; log: "
        "ROOT/data/tests.support.odd/Failing/HASH/.huldra/huldra.log"
    )


def test_a_load_that_finds_nothing(says: Says) -> None:
    """`_create` did not write what `_load` reads."""
    note = Note(name="a")
    note.load_or_create()
    (note.huldra_dir / "note.txt").unlink()
    assert says(note.load_or_create) == (
        "FileNotFoundError: [Errno 2] No such file or directory: "
        "'ROOT/data/tests.support.odd/Note/HASH/note.txt'\nhuldra: Note._load raised "
        "this exception; tests.support.odd/Note/HASH counts as complete, in "
        "ROOT/data/tests.support.odd/Note/HASH. Check that _create writes the files that "
        "_load reads, and that they still exist; `huldra rm "
        "tests.support.odd/Note/HASH` removes the artifact, and the next call computes "
        "it again"
    )


def test_resources_that_an_engine_has_not(says: Says) -> None:
    """A key of no engine."""
    step = Step(name="a", claims={"gpus": 2}, extra={"gpu_typ": "a100"})
    assert says(lambda: step.load_or_create(executor="inline")) == (
        "HuldraRefused: local cannot run this graph; nothing was submitted:\n  "
        "huldra.testing.pipelines/Step/HASH: gpu_typ: unknown option; "
        "expected a key that starts with local_…, slurm_…, dask_…, ray_…"
    )


def test_a_wait_that_is_over(says: Says) -> None:
    """Another caller is at it for longer than this one waits."""
    note, owner = Note(name="a"), new_owner()
    assert claim.claim_next(ArtifactPaths(str(note.huldra_dir)), 1, owner)
    claim.register(owner)
    try:
        object.__setattr__(note, "_max_wait_time_sec", 0.1)
        assert says(note.load_or_create) == (
            "HuldraWaitTimeout: waited 0.1 s for tests.support.odd/Note/HASH, which is "
            "being computed by USER@HOST pid PID since TIME, last heartbeat TIME; raise "
            "_max_wait_time_sec (now 0.1) to wait longer, or read "
            "ROOT/data/tests.support.odd/Note/HASH/.huldra/huldra.log"
        )
    finally:
        claim.unregister(owner)


def test_a_job_that_is_lost(says: Says) -> None:
    """Its process ends without a word, and is not tried again."""
    before = huldra.HULDRA_CONFIG.preempt_max
    huldra.HULDRA_CONFIG.preempt_max = 0
    with LocalExecutor(1) as executor:
        job = Failing(name="a", how="leave").load_or_create(executor=executor)
        text = says(lambda: job.result(timeout=60))
    huldra.HULDRA_CONFIG.preempt_max = before
    assert text == (
        "HuldraJobLost: tests.support.odd/Failing/HASH: job … ended (lost: its worker "
        "(pid …) died with exit code 3, …) without a result (last attempt: crashed); "
        "log: ROOT/data/tests.support.odd/Failing/HASH/.huldra/huldra.log. Call "
        "load_or_create() again to resubmit it"
    )


def test_a_setting_with_a_bad_value(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment."""
    monkeypatch.setenv("HULDRA_LEASE_SECS", "soon")
    assert says(lambda: Settings().lease) == (
        "HuldraSettingsError: HULDRA_LEASE_SECS is 'soon'; allowed: a number of seconds above 0"
    )


def test_a_setting_that_does_not_exist(says: Says) -> None:
    """A misspelt name."""
    assert says(lambda: huldra.HULDRA_CONFIG.update(leese=3)) == (
        "AttributeError: unknown setting 'leese'; valid settings: root, log_level, "
        "ignore_git_diff, …"
    )


def test_an_unknown_executor(says: Says) -> None:
    """A misspelt name."""
    assert says(lambda: Note(name="a").load_or_create(executor="lokal")) == (
        "HuldraExecutorError: unknown executor 'lokal'; known: dask, inline, local, "
        "ray, slurm, …, each as 'name' or 'name:options', and the engines that packages "
        "add through the entry-point group 'huldra.executors'"
    )


def test_an_unknown_field(says: Says) -> None:
    """In a document that another version of the class wrote."""
    document = Note(name="a").to_dict()
    fields = document["objects"][document["root"]]["fields"]
    fields["nmae"] = fields.pop("name")
    assert says(lambda: Note.from_dict(document)) == (
        "HuldraSerializationError: tests.support.odd:Note has changed since the "
        "document was written: it has no field 'nmae' any more; the document has no value "
        "for its field 'name', which has no default"
    )


def test_an_unknown_class_keyword(says: Says) -> None:
    """A misspelt one."""

    def define() -> None:
        class Train(huldra.Huldra[int], cache_versoin="2"):  # type: ignore[call-arg]
            def _create(self) -> int:
                return 1

    assert says(define) == (
        "HuldraClassError: ….Train: unknown class keyword 'cache_versoin'; did you "
        "mean 'cache_version'?"
    )


class Experiments(huldra.HuldraList[Note]):
    """Two members."""

    baseline = Note(name="a")
    other = Note(name="b")


def test_an_unknown_member(says: Says) -> None:
    """Of a list of experiments."""
    assert says(lambda: Experiments.by_name("baselin")) == (
        "KeyError: \"Experiments has no experiment 'baselin'; available: baseline, other\""
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["show", "Train/3f2a"],
            (
                "huldra: no artifact 'Train/3f2a' in ROOT; expected a hash (4 digits or "
                "more), Class/<hash>, <namespace>/<hash> or a directory\n"
            ),
        ),
        (
            ["ls", "--where", "nme=a"],
            "huldra: --where: none of the selected artifacts has a field 'nme'; near it: name\n",
        ),
        (
            ["ls", "--where", "name ? 3"],
            (
                "huldra: config filter 'name ? 3': expected one of = != < <= > >= ~ in, "
                "found '?' (at character 6); expected comparisons such as lr<1e-3, "
                "opt.name=adam or seed in 1,2,3, joined by and/or\n"
            ),
        ),
        (
            ["ls", "--sort", "size"],
            (
                "huldra: unknown sort column 'size'; expected updated_at, started_at, … or "
                "config.<path>, with a leading - for descending order\n"
            ),
        ),
        (
            ["logs", "Note"],
            (
                "huldra: no artifact 'Note' in ROOT; expected a hash (4 digits or more), "
                "Class/<hash>, <namespace>/<hash> or a directory\n"
            ),
        ),
    ],
)
def test_a_command_that_finds_nothing(
    arguments: list[str], said: str, huldra_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr."""
    Note(name="a").load_or_create()
    capsys.readouterr()
    assert cli.main(arguments) in (1, 2)
    assert plain(capsys.readouterr().err, huldra_root) == said
