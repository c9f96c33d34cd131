"""The command `huldra`: listing, showing, logs, paths and removing."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from huldra import cli
from huldra.settings import HULDRA_CONFIG
from tests.dashboard.store import StoreWriter, example_store, ref

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def writer(tmp_path: Path) -> StoreWriter:
    """Writes artifacts below `tmp_path / "store"`."""
    root = tmp_path / "store"
    root.mkdir()
    return StoreWriter(root)


@pytest.fixture
def run(writer: StoreWriter, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command over the writer's store; gives its code, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main([*arguments, "--root", str(writer.root)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def model(writer: StoreWriter) -> str:
    """The key of a failed model that needs a dataset."""
    data = writer.add("p.data/Data", {"name": "toy"}, ago_s=9000)
    return writer.add(
        "p.models/Train",
        {"lr": 0.1, "data": ref(data)},
        status="failed",
        attempts=("preempted",),
        host="node1",
        backend="slurm",
        job_id="12",
    )


def test_ls_is_tab_separated_with_a_header(writer: StoreWriter, run: Run) -> None:
    """For a program a listing is one line an artifact, whole names, ISO times."""
    data = writer.add("p.data/Data", {"name": "toy"}, ago_s=900)
    key = writer.add("p.models/Train", {"lr": 0.1, "data": ref(data)}, duration_s=2.5, ago_s=9)
    code, out, _ = run("ls", "--fields", "lr,data.name")
    header, first, second = (line.split("\t") for line in out.splitlines())
    assert code == 0
    assert header[:3] == ["status", "class", "hash"]
    assert header[-2:] == ["lr", "data.name"]
    assert f"{first[1]}/{first[2]}" == key
    assert first[4] == "2.5"
    assert first[-2:] == ["0.1", "toy"]
    assert second[1] == "p.data/Data"


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ((), 3),
        (("p",), 2),
        (("p.models", "q"), 2),
        (("--result", "failed"), 1),
        (("--result", "failed", "--result", "success"), 2),
        (("--attempt", "stale"), 1),
        (("--backend", "slurm"), 1),
        (("--hostname", "node1"), 1),
        (("--user", "grace"), 1),
        (("--where", "lr<1"), 1),
        (("--text", "NAN"), 1),
        (("--started-after", "30m"), 1),
        (("--started-before", "1d"), 1),
        (("--updated-after", "2020-01-01"), 3),
        (("--updated-before", "2020-01-01T00:00+02:00"), 0),
        (("--limit", "2"), 2),
        (("--limit", "0"), 3),
        (("--offset", "2"), 1),
    ],
)
def test_ls_filters(writer: StoreWriter, run: Run, arguments: tuple[str, ...], count: int) -> None:
    """Each option leaves what it says."""
    writer.add("p.data/Data", {}, ago_s=600, user="grace")
    writer.add("p.models/Train", {"lr": 0.1}, status="failed", host="node1", backend="slurm")
    writer.add("q/Show", {"lr": 2}, status="stale", ago_s=90_000)
    code, out, _ = run("ls", *arguments, "--keys")
    assert code == 0
    assert len(out.splitlines()) == count


def test_ls_as_json(writer: StoreWriter, run: Run) -> None:
    """--json is a list of objects, with NaN as text."""
    key = writer.add("p/A", {"x": float("nan")})
    _, out, _ = run("ls", "--json")
    (row,) = json.loads(out, parse_constant=pytest.fail)
    assert (row["key"], row["status"], row["config"]) == (key, "success", {"x": "NaN"})


def test_ls_of_an_empty_store_is_a_header(run: Run) -> None:
    """Nothing there is no error."""
    code, out, _ = run("ls")
    assert (code, len(out.splitlines())) == (0, 1)


@pytest.mark.parametrize("arguments", [("--sort", "-x.y"), ("--sort=-x.y",)])
def test_ls_sorts_downwards(writer: StoreWriter, run: Run, arguments: tuple[str, ...]) -> None:
    """`--sort -COLUMN` means what it says, with a blank or an equals sign."""
    keys = [writer.add("p/A", {"x": {"y": y}}) for y in (2, 3, 1)]
    arguments = tuple(argument.replace("x.y", "config.x.y") for argument in arguments)
    code, out, _ = run("ls", "--keys", *arguments)
    assert (code, out.split()) == (0, [keys[1], keys[0], keys[2]])


def test_ls_shows_and_sorts_by_metrics(writer: StoreWriter, run: Run) -> None:
    """`metrics.NAME` is a column, and the best comes first; without the number comes last."""
    files = [{"metrics.json": f'{{"accuracy": {n}}}'} for n in (0.5, 0.9)]
    low, high = (writer.add("p/A", {"n": n}, files=one) for n, one in enumerate(files))
    none = writer.add("p/A", {"n": 3})
    ordered = ("--sort", "-metrics.accuracy")
    assert run("ls", "--keys", *ordered)[1].split() == [high, low, none]
    assert run("ls", "--keys", *ordered, "--limit", "1", "--offset", "1")[1].split() == [low]
    _, out, _ = run("ls", "--fields", "metrics.accuracy", *ordered)
    assert [line.split("\t")[-1] for line in out.splitlines()] == [
        "metrics.accuracy",
        "0.9",
        "0.5",
        "",
    ]


def test_a_config_field_called_metrics_comes_first(writer: StoreWriter, run: Run) -> None:
    """What the config says of itself is not hidden by a file."""
    writer.add("p/A", {"metrics": {"x": "mine"}}, files={"metrics.json": '{"x": 1}'})
    assert run("ls", "--fields", "metrics.x")[1].splitlines()[1].endswith("\tmine")


def test_ls_of_failures_has_their_errors(writer: StoreWriter, run: Run) -> None:
    """Who asks for what failed sees why, on one line."""
    need = writer.add("p/A", {}, status="failed", error=("builtins.ValueError", "nan\nin loss"))
    writer.add("p/B", {}, status="failed", failed_key=need)
    _, out, _ = run("ls", "--result", "failed", "--sort", "namespace")
    header, first, second = (line.split("\t")[-1] for line in out.splitlines())
    assert header == "error"
    assert first == "ValueError: nan in loss"
    assert second == f"its dependency {need} did not complete"
    assert run("ls")[1].splitlines()[0].endswith("\tbackend")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--where", "lrr<1"),
            "--where: none of the selected artifacts has a field 'lrr'; near it: lr",
        ),
        (("--where", "lr<1 and opt.nme=adam"), "a field 'opt.nme'; near it: opt.name"),
        (("--fields", "lr,opt"), ""),
        (("--fields", "lr,zzz"), "--fields: none of the selected artifacts has a field 'zzz'"),
        (("--sort", "config.zzz"), "--sort: none of the selected artifacts has a field 'zzz'"),
        (("p.A", "--where", "only_b=1"), "a field 'only_b'"),
        (("--where", "only_b=1"), ""),
        (("nothing", "--where", "zzz=1"), ""),
    ],
)
def test_ls_names_the_field_that_was_meant(
    writer: StoreWriter, run: Run, arguments: tuple[str, ...], said: str
) -> None:
    """A field that no artifact in question has is an error with what is near, and no empty list."""
    writer.add("p/A", {"lr": 0.1, "opt": {"name": "adam"}})
    writer.add("p/B", {"only_b": 1})
    code, out, err = run("ls", *arguments)
    assert code == (2 if said else 0)
    assert said in err
    assert bool(out) != bool(said)


def test_ls_of_a_folder_that_cannot_be_listed_fails(writer: StoreWriter, run: Run) -> None:
    """One block says what is missing, after what could be listed; --keys and --json as well."""
    writer.add("p/A", {}, version_controlled=True)
    (writer.root / "data").write_text("in the place of a folder")
    for arguments in ((), ("--keys",), ("--json",)):
        code, out, err = run("ls", *arguments)
        assert code == 1
        assert "p/A" in out
        assert err.splitlines() == [
            "huldra: 1 folder could not be listed; their artifacts are missing above:",
            f"  {writer.root / 'data'}: Not a directory",
        ]


def test_a_store_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says which folder was meant, why that one, and what to do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HULDRA_PATH", raising=False)
    HULDRA_CONFIG.reset()
    assert cli.main(["ls"]) == 1
    err = capsys.readouterr().err
    assert f"no store at {tmp_path}/data-huldra: HULDRA_PATH is not set" in err
    monkeypatch.setenv("HULDRA_PATH", str(tmp_path / "gone"))
    HULDRA_CONFIG.reset()
    assert cli.main(["ls"]) == 1
    assert "gone, which HULDRA_PATH names" in capsys.readouterr().err
    HULDRA_CONFIG.reset()


def test_show_tells_what_there_is(model: str, run: Run) -> None:
    """Status, place, config, owner, dependencies with their status, attempts and the error."""
    key = model
    code, out, _ = run("show", key)
    assert code == 0
    for text in (key, "2: failed", "Train(lr=0.1", "node1", "slurm job 12", "p.data/Data",
                 "preempted", "loss is nan", "ValueError", "Traceback"):  # fmt: skip
        assert text in out, text


def test_show_as_json(model: str, run: Run) -> None:
    """--json has the row, the metadata and every attempt."""
    key = model
    body = json.loads(run("show", "--json", key[-32:][:8])[1])
    assert body["key"] == key
    assert body["metadata"]["git_branch"] == "main"
    assert [attempt["status"] for attempt in body["attempts"]] == ["preempted", "failed"]


def test_show_without_python_source_shows_the_fields(writer: StoreWriter, run: Run) -> None:
    """A config that was recorded as fields alone is shown as JSON."""
    key = writer.add("p.m/Train", {"lr": 0.1, "data": {"name": "toy"}})
    path = writer.directory(key) / ".huldra" / "metadata.json"
    writer.dump(path, json.loads(path.read_text()) | {"huldra_python_def": ""})
    code, out, _ = run("show", key)
    assert code == 0
    assert re.search(r'^config +\{"lr": 0.1, "data": \{"name": "toy"\}\}$', out, re.MULTILINE)


def test_show_of_a_broken_artifact_says_so(writer: StoreWriter, run: Run) -> None:
    """Unreadable files are named and nothing fails."""
    key = writer.add("p/A", {})
    for name in ("metadata.json", "state.json"):
        (writer.directory(key) / ".huldra" / name).write_text("{")
    code, out, _ = run("show", key)
    assert code == 0
    assert "metadata.json: not JSON" in out
    assert "state.json: not JSON" in out


def test_control_characters_of_a_store_do_not_reach_the_terminal(
    writer: StoreWriter, run: Run
) -> None:
    """What an artifact says cannot steer who looks at it."""
    evil = "\x1b[2J\x07\u202e"
    key = writer.add(
        "p/A", {"x": evil}, status="failed", host=evil, error=(evil, evil), log=f"a{evil}\tb\n"
    )
    for command in (("ls", "--fields", "x"), ("show", key), ("logs", key)):
        _, out, _ = run(*command)
        assert not set(out) & {"\x1b", "\x07", "\u202e"}, command
    assert run("logs", key)[1].endswith("\tb\n")


def test_logs_prints_the_end(writer: StoreWriter, run: Run) -> None:
    """The last lines, or all with -n 0."""
    key = writer.add("p/A", {}, log="".join(f"line {n}\n" for n in range(500)))
    assert run("logs", "-n", "2", key)[1] == "line 498\nline 499\n"
    assert len(run("logs", key)[1].splitlines()) == 100
    assert len(run("logs", "-n", "0", key)[1].splitlines()) == 500


def test_logs_follows_until_the_attempt_is_over(writer: StoreWriter, run: Run) -> None:
    """-f prints what is written while it waits, and ends with the attempt."""
    key = writer.add("p/A", {}, status="running", log="begun\n")
    log = writer.directory(key) / ".huldra" / "huldra.log"

    def work() -> None:
        with log.open("a") as file:
            file.write("more\n")
        with log.open("a") as file:
            file.write("done\n")
        writer.add("p/A", {}, log="begun\nmore\ndone\n")

    thread = threading.Timer(0.3, work)
    thread.start()
    code, out, _ = run("logs", "-f", key)
    thread.join(30)
    assert (code, out) == (0, "begun\nmore\ndone\n")


def test_logs_without_a_log_is_an_error(writer: StoreWriter, run: Run) -> None:
    """No log yet is said in one line."""
    key = writer.add("p/A", {}, log="")
    code, out, err = run("logs", key)
    assert (code, out) == (1, "")
    assert "has no log yet" in err


def test_logs_prints_what_was_printed(writer: StoreWriter, run: Run) -> None:
    """`--output` prints the output of a worker; where there is only that, the way is named."""
    loud = writer.add("p/A", {}, log="logged\n", output="printed\n")
    only = writer.add("p/A", {"x": 1}, log="", output="printed\n")
    assert run("logs", loud)[1] == "logged\n"
    assert run("logs", "--output", loud)[1] == "printed\n"
    assert f"huldra logs --output A/{only[-32:-24]}" in run("logs", only)[2]
    assert "output.log (8 B)" in run("show", loud)[1]


def test_logs_of_what_printed_nothing_is_an_error(writer: StoreWriter, run: Run) -> None:
    """That nothing was printed on a worker is said in one line, with where else to look."""
    code, out, err = run("logs", "--output", writer.add("p/A", {}))
    assert (code, out) == (1, "")
    assert "has no output on a worker (success); output of in-process calls" in err


def test_path_is_the_directory(writer: StoreWriter, run: Run) -> None:
    """`cd $(huldra path …)` works."""
    key = writer.add("p/A", {})
    assert run("path", key[-32:][:6]) == (0, f"{writer.directory(key)}\n", "")


def test_an_artifact_that_is_not_there(writer: StoreWriter, run: Run) -> None:
    """One line that says what was wanted, and exit code 1."""
    writer.add("p/A", {})
    for command in ("show", "logs", "path", "rm"):
        code, out, err = run(command, "0123456789")
        assert (code, out) == (1, "")
        assert err.startswith("huldra: no artifact '0123456789'")
        assert len(err.splitlines()) == 1


def test_a_hash_that_may_mean_two(writer: StoreWriter, run: Run) -> None:
    """Both are named, and nothing is done."""
    for n in (1, 2):
        writer.add("p/A", {"n": n}, digest=f"abcd{n}" + "0" * 27)
    code, _, err = run("rm", "--yes", "abcd")
    assert code == 1
    assert "abcd1" in err
    assert "abcd2" in err
    assert len(run("ls", "--keys")[1].splitlines()) == 2


def test_a_bad_filter_is_exit_code_2(run: Run) -> None:
    """A filter that is not understood is a wrong command line, told in one line."""
    code, _, err = run("ls", "--where", "lr<<")
    assert code == 2
    assert len(err.splitlines()) == 1


def test_a_bad_option_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown options, values and a missing command are told with the usage."""
    for arguments in (["ls", "--result", "done"], ["ls", "--limit", "-1"], [], ["frob"],
                      ["ls", "--started-after", "soon"]):  # fmt: skip
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 2
    assert "usage: huldra" in capsys.readouterr().err


def test_rm_removes_all_of_it(writer: StoreWriter, run: Run) -> None:
    """The artifact's directory goes, its neighbours stay, and no leftover remains."""
    key, other = writer.add("p/A", {"n": 1}, files={"x/y": "z"}), writer.add("p/A", {"n": 2})
    code, _, err = run("rm", "--yes", key)
    assert code == 0
    assert "1 artifacts" in err
    assert [p.name for p in writer.directory(other).parent.iterdir()] == [other[-32:]]


@pytest.mark.parametrize("status", ["running", "queued"])
def test_rm_refuses_what_is_alive(writer: StoreWriter, run: Run, status: str) -> None:
    """A queued or running artifact stays, with all others of the call, unless forced."""
    busy = writer.add("p/A", {"n": 1}, status=status, backend="slurm", job_id="1")
    idle = writer.add("p/A", {"n": 2})
    code, _, err = run("rm", "--yes", idle, busy)
    assert code == 1
    assert "nothing was removed" in err
    assert writer.directory(idle).exists()
    assert run("rm", "--yes", "--force", idle, busy)[0] == 0
    assert not writer.directory(busy).exists()


def test_rm_takes_what_is_stale(writer: StoreWriter, run: Run) -> None:
    """A run whose owner is dead is nobody's."""
    key = writer.add("p/A", {}, status="stale")
    assert run("rm", "--yes", key)[0] == 0
    assert not writer.directory(key).exists()


@pytest.mark.parametrize("ahead_s", [3600, 3 * 86_400])
def test_rm_asks_the_file_server_for_the_time(
    writer: StoreWriter, run: Run, monkeypatch: pytest.MonkeyPatch, ahead_s: int
) -> None:
    """A clock of ours that is ahead, by whatever it is, takes no artifact from a living owner."""
    key = writer.add("p/A", {}, status="running", host="node1", heartbeat_ago_s=5)
    monkeypatch.setattr("huldra.catalog.scan.time.time", lambda: writer.now.timestamp() + ahead_s)
    code, _, err = run("rm", "--yes", key)
    assert (code, "nothing was removed" in err) == (1, True)
    assert writer.directory(key).exists()


def test_rm_leaves_what_only_an_engine_can_judge(writer: StoreWriter, run: Run) -> None:
    """A silent job of a scheduler may be suspended: only --force takes its artifact."""
    key = writer.add(
        "p/A", {}, status="running", host="n1", backend="slurm", job_id="7", heartbeat_ago_s=9e5
    )
    code, _, err = run("rm", "--yes", key)
    assert (code, "slurm was not queried about job 7" in err) == (1, True)
    assert run("rm", "--yes", "--force", key)[0] == 0


def test_rm_shows_dependents(writer: StoreWriter, run: Run) -> None:
    """Who was made from it is named, unless it goes too."""
    data = writer.add("p/Data", {})
    model = writer.add("p/Model", {"data": ref(data)})
    assert model in run("rm", "-n", data)[2]
    assert "made from" not in run("rm", "-n", data, model)[2]
    assert writer.directory(data).exists()


def test_rm_asks(writer: StoreWriter, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --yes a person is asked, and only yes is yes; without a person nothing goes."""
    key = writer.add("p/A", {})

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stdin, code in ((io.StringIO("y\n"), 1), (Terminal("\n"), 1), (Terminal("n\n"), 1)):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert run("rm", key)[0] == code
        assert writer.directory(key).exists()
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert run("rm", key)[0] == 0
    assert not writer.directory(key).exists()


def test_rm_reads_names_from_stdin(
    writer: StoreWriter, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`huldra ls --keys | huldra rm --yes -` removes the list."""
    keys = [writer.add("p/A", {"n": n}) for n in range(12)]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(keys) + "\n"))
    code, out, _ = run("rm", "--yes", "--json", "-")
    assert code == 0
    assert len(json.loads(out)) == 12
    assert run("ls", "--keys")[1] == ""


def test_rm_litter_takes_only_litter(writer: StoreWriter, run: Run) -> None:
    """Old temporary files, half-removed and empty folders go; foreign ones and artifacts stay."""
    key = writer.add("p/A", {})
    folder = writer.directory(key).parent
    old = writer.directory(key) / ".huldra" / ".state.json.1.tmp"
    old.write_text("")
    then = time.time() - 7200
    os.utime(old, (then, then))
    trash, foreign = folder / f".{'1' * 32}.ab.tmp", folder / "notes"
    for path in (trash, foreign):
        path.mkdir()
        (path / "file").write_text("x")
    assert run("rm", "--litter", "--yes")[0] == 0
    assert {p.name for p in folder.iterdir()} == {key[-32:], "notes"}
    assert not old.exists()
    assert run("rm", "--litter", "--yes")[:2] == (0, "nothing to remove\n")


def test_rm_litter_takes_runs_of_which_nothing_is_left(writer: StoreWriter, run: Run) -> None:
    """One artifact that is there keeps the record of a run, and so does its youth."""
    kept, gone = writer.add("p/A", {}), f"p/A/{'0' * 32}"
    runs = {
        "one is left": writer.add_run("one", {"a": kept}, {kept: [], gone: []}, run_id="one"),
        "none is left": writer.add_run("none", {"a": gone}, {gone: []}, run_id="none"),
        "of this hour": writer.add_run("young", {"a": gone}, {gone: []}, run_id="young"),
    }
    then = time.time() - 7200
    for name, run_id in runs.items():
        if name != "of this hour":
            os.utime(writer.root / "runs" / run_id, (then, then))
    assert run("rm", "--litter", "--yes")[0] == 0
    left = {path.name for path in (writer.root / "runs").iterdir()}
    assert left == {runs["one is left"], runs["of this hour"]}


def test_a_crash_while_removing_leaves_no_artifact(
    writer: StoreWriter, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name goes first: what a crash leaves is litter, and never half an artifact."""
    key = writer.add("p/A", {})

    def crash(path: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", crash)
        assert run("rm", "--yes", key)[0] == 130
    assert not writer.directory(key).exists()
    assert run("ls", "--keys")[1] == ""
    assert run("rm", "--litter", "--yes")[0] == 0
    assert list(writer.directory(key).parent.iterdir()) == []


def test_a_folder_that_cannot_be_removed_is_told(
    writer: StoreWriter, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's word comes out in one line, with exit code 1."""
    key = writer.add("p/A", {})

    def refuse(one: str, other: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.rename", refuse)
    code, _, err = run("rm", "--yes", key)
    assert code == 1
    assert "Permission denied" in err


def huldra(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "huldra", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        **options,  # type: ignore[call-overload]  # subprocess.run has too many overloads
    )


def test_the_store_is_that_of_huldra_path(writer: StoreWriter, tmp_path: Path) -> None:
    """Without --root the setting decides."""
    key = writer.add("p/A", {})
    done = huldra("ls", "--keys", env=os.environ | {"HULDRA_PATH": str(writer.root)})
    assert (done.returncode, done.stdout) == (0, f"{key}\n")
    (tmp_path / "data-huldra").mkdir()
    done = huldra("ls", "--keys", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    """`huldra ls | head -1` ends without a traceback."""
    example_store(tmp_path, 150)
    command = f"{sys.executable} -m huldra ls --limit 0 --json --root {tmp_path} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[\n", "")


def test_listing_imports_no_code_of_the_store_and_no_engine(writer: StoreWriter) -> None:
    """The command needs neither the user's modules nor rich, chz's classes or a screen."""
    writer.add("no_such_module/A", {})
    code = (
        "import sys; from huldra import cli;"
        f" cli.main(['ls', '--root', {str(writer.root)!r}]);"
        " print(sorted(sys.modules.keys() & {'no_such_module', 'submitit', 'distributed', 'ray',"
        " 'streamlit', 'pandas', 'rich.table'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_terminal_gets_a_table(writer: StoreWriter) -> None:
    """On a terminal the listing has ages, short hashes and the count below."""
    key = writer.add("p.models/Train", {"lr": 0.1}, ago_s=7200)
    # A child process runs the terminal: `pty` forks, and this process has threads.
    script = (
        "import os, pty, sys\n"
        "os.environ.update(COLUMNS='120', TERM='dumb')\n"
        f"pty.spawn([sys.executable, '-m', 'huldra', 'ls', '--root', {str(writer.root)!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL)  # fmt: skip
    screen = done.stdout.decode()
    assert key[-32:][:12] in screen
    assert "ago" in screen
    assert "1–1 of 1" in screen
