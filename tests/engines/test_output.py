"""What a process prints, kept in a file for as long as a node runs in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import os, resource, subprocess, sys, threading
from huldra.engines.output import keeping_output

path = sys.argv[1]
def keep():
    return keeping_output(path, "attempt 2")
"""


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The file for the output."""
    return tmp_path / "output.log"


def printed_by(code: str, kept: Path) -> str:
    """What a process that runs `code` prints beside what it keeps in a file."""
    command = [sys.executable, "-c", _SCRIPT + code, str(kept)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    return done.stdout.decode()


def test_output_goes_to_the_file_and_back(kept: Path) -> None:
    """Of Python, of C and of child processes, on both streams; before and after as ever."""
    code = """
print("before")
with keep():
    print("python"); print("errors", file=sys.stderr); os.write(1, b"C\\n")
    subprocess.run(["sh", "-c", "echo child; echo child 2 >&2"])
print("after")
"""
    assert printed_by(code, kept) == "before\nafter\n"
    assert kept.read_text().splitlines() == ["python", "errors", "C", "child", "child 2"]


def test_lines_are_written_at_once(kept: Path) -> None:
    """A line is in the file before the process ends, however it ends."""
    code = """
with keep():
    print("last words"); print("progress", end="\\r")
    os._exit(0)
"""
    assert printed_by(code, kept) == ""
    assert kept.read_bytes() == b"last words\nprogress\r"


def test_silence_leaves_no_file(kept: Path) -> None:
    """Where nothing is printed, there is no file."""
    assert printed_by("with keep(): pass", kept) == ""
    assert not kept.exists()


def test_a_further_attempt_goes_on_below_a_headline(kept: Path) -> None:
    """Earlier output stays; a line says where the next begins."""
    kept.write_text("one")
    printed_by("with keep(): print('two')", kept)
    assert kept.read_text() == "one\n--- attempt 2 ---\ntwo\n"


def test_one_inside_another_has_its_own_file(kept: Path) -> None:
    """Output goes on in the outer file afterwards."""
    code = """
with keep():
    print("outer")
    with keeping_output(path + ".inner", ""):
        print("inner")
    print("outer again")
"""
    assert printed_by(code, kept) == ""
    assert kept.read_text() == "outer\nouter again\n"
    assert Path(f"{kept}.inner").read_text() == "inner\n"


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "no folder"])
def test_what_is_no_file_is_left_alone(kept: Path, kind: str) -> None:
    """No link is followed, no pipe waited for: output goes where it went before."""
    other = kept.with_name("other")
    if kind == "link":
        kept.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(kept)
    elif kind == "folder":
        kept.mkdir()
    else:
        kept = kept / "nowhere" / "output.log"
    assert printed_by("with keep(): print('here')", kept) == "here\n"
    assert not other.exists()


def test_a_full_disk_fails_nothing(kept: Path) -> None:
    """What does not fit is lost, and `print` goes on; afterwards all is as before."""
    code = """
with keep():
    print("fits")
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
    for _ in range(100):
        print("too long for what is left"); sys.stderr.write("and more")
    sys.stdout.flush()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
print("after")
"""
    assert printed_by(code, kept) == "after\n"
    assert kept.read_text().startswith("fits\n")


@pytest.mark.parametrize(
    "harm",
    [
        "sys.stdout.close()",
        "os.close(1); os.close(2)",
        "os.dup2(os.open(os.devnull, os.O_WRONLY), 1)",
        "sys.stdout = None",
    ],
)
def test_what_the_code_does_to_the_streams_ends_with_it(kept: Path, harm: str) -> None:
    """Streams and descriptors are put back whatever became of them."""
    code = f"""
with keep():
    print("kept", flush=True)
    {harm}
print("after"); subprocess.run(["echo", "child"])
"""
    assert sorted(printed_by(code, kept).splitlines()) == ["after", "child"]
    assert kept.read_text() == "kept\n"


@pytest.mark.parametrize(
    "harm",
    [
        "sys.stdout.close()",
        "sys.stdout.detach()",
        "sys.stdout.reconfigure(line_buffering=False)",
        "sys.stdout.reconfigure(encoding='utf-16')",
        "sys.stdout = open(sys.stdout.detach().fileno(), 'w', closefd=True)",
    ],
)
def test_the_next_one_finds_sound_streams(kept: Path, harm: str) -> None:
    """Whatever the code before has done to them, a line is written at once, as text."""
    code = f"""
with keep():
    print("one")
    {harm}
with keep():
    print("two")
    os._exit(0)
"""
    assert printed_by(code, kept) == ""
    assert kept.read_bytes() == b"one\n\n--- attempt 2 ---\ntwo\n"


def test_no_descriptor_is_left_open(kept: Path) -> None:
    """Nor where the file cannot be opened, or stdout is closed."""
    code = """
def count(): return len(os.listdir("/proc/self/fd"))
with keep(): pass
before = count()
with keep(): print("x")
with keeping_output("/nowhere/at/all", ""): pass
assert count() == before, count()
os.close(2)
with keep(): pass
assert count() == before - 1, count()
"""
    assert printed_by(code, kept) == ""


def test_a_forked_child_that_comes_out_leaves_the_parent_alone(kept: Path) -> None:
    """Nor does it remove the file that the parent has not written to yet."""
    code = """
with keep():
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        print("parent")
if not child:
    os._exit(0)
print("after")
"""
    assert printed_by(code, kept) == "after\n"
    assert kept.read_text() == "parent\n"


def test_a_thread_does_not_move_the_streams_of_the_process(kept: Path) -> None:
    """Off the main thread output goes where it went before."""
    code = """
def work():
    with keep():
        print("here")
thread = threading.Thread(target=work)
thread.start(); thread.join()
"""
    assert printed_by(code, kept) == "here\n"
    assert not kept.exists()


def test_an_engines_streams_give_way(kept: Path) -> None:
    """Where the engine prints through streams of its own, those of a worker's run are plain."""
    code = """
import types
from huldra.engines.output import printing_to
sys.stdout = types.SimpleNamespace(write=lambda text: os.write(1, b"!"), flush=lambda: None)
with printing_to(path + ".run"):
    print("worker")
    with keep():
        print("node")
print("x", end="")
"""
    assert printed_by(code, kept) == "!!"
    assert Path(f"{kept}.run").read_text() == "worker\n"
    assert kept.read_text() == "node\n"


def test_streams_of_the_users_own_stay_in_place(kept: Path) -> None:
    """What a module put in the place of stdout gets what it got before."""
    code = """
import io
sys.stdout = mine = io.StringIO()
with keep():
    print("mine")
sys.__stdout__.write(mine.getvalue())
"""
    assert printed_by(code, kept) == "mine\n"
