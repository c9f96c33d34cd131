"""Logging: the console, the log of an artifact, and that the user's own logging stays as it is."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import multiprocessing
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from huldra.logs import capture
from huldra.settings import HULDRA_CONFIG
from tests.support import children

USER = logging.getLogger("a_project.train")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Put levels, handlers and settings of this process back."""
    before = HULDRA_CONFIG.snapshot()
    level, handlers = logging.root.level, list(logging.root.handlers)
    yield
    HULDRA_CONFIG.apply(before)
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers
    USER.setLevel(logging.NOTSET)
    USER.propagate = True
    USER.handlers.clear()
    logging.disable(logging.NOTSET)


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def run_python(code: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `code` as a script in a process of its own."""
    script = cwd / "script.py"
    script.write_text(textwrap.dedent(code))
    source = os.pathsep.join(sys.path)  # huldra may be on it by pytest's own doing
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": source, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# ---- the log of an artifact --------------------------------------------------------------------


def test_capture_of_a_users_info_line(tmp_path: Path) -> None:
    """An INFO line of the user's own logger reaches the file, with all that there is to know."""
    log = tmp_path / "huldra.log"
    with capture.capture(log):
        USER.info("starting %d", 1)
        USER.debug("detail")
    pattern = (
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00 INFO a_project\.train "
        r"test_capture\.py:\d+ starting 1\n"
    )
    assert re.fullmatch(pattern, read(log))


def test_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    """In a shared store a link in the log's place leads to no file of ours."""
    log, dear = tmp_path / "huldra.log", tmp_path / "dear"
    log.symlink_to(dear)
    with capture.capture(log) as opened:
        opened.note("of ours\n")
    assert not dear.exists()


def test_log_keeps_off_a_descriptor_that_the_users_code_has_taken(tmp_path: Path) -> None:
    """Where `_create` closes descriptors that it does not know, its next file gets no log lines."""
    log, own = tmp_path / "huldra.log", tmp_path / "own"
    with capture.capture(log) as opened:
        opened.note("one\n")
        (number,) = (n for n in range(3, 64) if _is_at(n, log))
        os.close(number)
        handle = os.open(own, os.O_WRONLY | os.O_CREAT)
        assert handle == number
        opened.note("two\n")
    os.write(handle, b"mine")
    os.close(handle)
    assert own.read_text() == "mine"
    assert read(log) == "one\ntwo\n"


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def test_close_that_fails_is_about_log_lines_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS reports a full quota when a file is closed: no result is given up for it."""
    close, log = os.close, tmp_path / "huldra.log"

    def refuse(descriptor: int) -> None:
        is_log = _is_at(descriptor, log)
        close(descriptor)
        if is_log:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "close", refuse)
    with capture.capture(log) as opened:
        opened.note("one\n")
    assert read(log) == "one\n"


def test_starting_a_thread_is_wrapped_once(huldra_root: Path) -> None:
    """A `_create` finds one function around `Thread.start`, whatever it logs or makes."""
    code = """
        import threading
        original = threading.Thread.start
        from tests.support.odd import Note
        Note(name="a").load_or_create()
        assert threading.Thread.start is not original
        assert threading.Thread.start.__wrapped__ is original
    """
    assert children.run(code, huldra_root).returncode == 0


def test_capture_of_a_traceback(tmp_path: Path) -> None:
    """A logged exception is written with its traceback."""
    log = tmp_path / "huldra.log"
    with capture.capture(log):
        try:
            raise KeyError("gone")
        except KeyError:
            USER.exception("it failed")
    assert "ERROR a_project.train" in read(log)
    assert read(log).endswith("KeyError: 'gone'\n")


def test_no_line_no_file(tmp_path: Path) -> None:
    """A block that logs nothing makes no file."""
    with capture.capture(tmp_path / "huldra.log"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_appends(tmp_path: Path) -> None:
    """A second block adds to what the first one wrote."""
    log = tmp_path / "huldra.log"
    for word in ("one", "two"):
        with capture.capture(log):
            USER.info(word)
    assert [line.split()[-1] for line in read(log).splitlines()] == ["one", "two"]


def test_debug_when_asked_for(tmp_path: Path) -> None:
    """With the log level DEBUG the file holds DEBUG lines too."""
    HULDRA_CONFIG.log_level = "DEBUG"
    with capture.capture(tmp_path / "huldra.log"):
        USER.debug("detail")
    assert "DEBUG a_project.train" in read(tmp_path / "huldra.log")


def test_quiet_console_does_not_silence_the_file(tmp_path: Path) -> None:
    """The log level is the console's: INFO lines, of huldra's logger too, stay in the file."""
    HULDRA_CONFIG.log_level = "ERROR"
    capture.configure_logging()
    with capture.capture(tmp_path / "huldra.log"):
        capture.get_logger().info("mine")
        USER.info("theirs")
    assert [line.split()[-1] for line in read(tmp_path / "huldra.log").splitlines()] == [
        "mine",
        "theirs",
    ]
    assert not capture.get_logger().isEnabledFor(logging.WARNING)


def test_nested_capture(tmp_path: Path) -> None:
    """A line belongs to the innermost block, and to the outer one again after that."""
    with capture.capture(tmp_path / "outer"):
        USER.info("before")
        with capture.capture(tmp_path / "inner"):
            USER.info("inside")
        USER.info("after")
    assert re.findall(r"(\w+)\n", read(tmp_path / "outer")) == ["before", "after"]
    assert re.findall(r"(\w+)\n", read(tmp_path / "inner")) == ["inside"]


def test_threads_that_the_block_starts(tmp_path: Path) -> None:
    """Lines of a thread, of its own threads and of a pool made inside reach the file."""
    log = tmp_path / "huldra.log"

    def parent() -> None:
        child = threading.Thread(target=USER.info, args=("grandchild",))
        child.start()
        child.join(10)
        USER.info("child")

    with capture.capture(log):
        thread = threading.Thread(target=parent)
        thread.start()
        thread.join(10)
        with ThreadPoolExecutor(2) as pool:
            pool.submit(USER.info, "pooled").result(10)
    assert set(re.findall(r"(\w+)\n", read(log))) == {"grandchild", "child", "pooled"}


def test_captures_side_by_side(tmp_path: Path) -> None:
    """Blocks of several threads at once each get exactly their own lines."""
    threads, lines = 8, 50
    together = threading.Barrier(threads, timeout=30)

    def work(number: int) -> None:
        with capture.capture(tmp_path / f"{number}.log"):
            together.wait()
            for _ in range(lines):
                USER.info("from_%d", number)
            together.wait()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    for number in range(threads):
        assert (
            re.findall(r"(\S+)\n", read(tmp_path / f"{number}.log")) == [f"from_{number}"] * lines
        )
    assert logging.root.level == logging.WARNING


def test_thread_from_elsewhere(tmp_path: Path) -> None:
    """A thread that no block started writes into no artifact's log."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result(10)  # so that the thread is there before
        with capture.capture(tmp_path / "huldra.log"):
            pool.submit(USER.warning, "elsewhere").result(10)
    assert read(tmp_path / "huldra.log") == ""


def test_thread_that_outlives_the_block(tmp_path: Path) -> None:
    """What a thread logs after its block has ended goes into no artifact's log."""
    ended = threading.Event()

    def late() -> None:
        ended.wait(10)
        USER.warning("late")

    with capture.capture(tmp_path / "huldra.log"):
        USER.info("in_time")
        thread = threading.Thread(target=late)
        thread.start()
    ended.set()
    thread.join(10)
    assert re.findall(r"(\w+)\n", read(tmp_path / "huldra.log")) == ["in_time"]


def test_forked_children(tmp_path: Path) -> None:
    """Lines of a forked pool reach the file whole, each one once."""
    done = run_python(
        """
        import logging, multiprocessing, sys
        from huldra.logs import capture as logs
        def work(n):
            logging.getLogger("pool").info("line %d %s", n, "x" * 2000)
        if __name__ == "__main__":
            with logs.capture("huldra.log"):
                with multiprocessing.get_context("fork").Pool(4) as pool:
                    pool.map(work, range(100), chunksize=1)
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    numbers = re.findall(r" line (\d+) x{2000}\n", read(tmp_path / "huldra.log"))
    assert sorted(map(int, numbers)) == list(range(100))


def test_fork_beside_a_capture(tmp_path: Path) -> None:
    """A child forked outside of any block has its logging as the user set it."""
    done = run_python(
        """
        import logging, os, threading
        from huldra.logs import capture as logs
        opened, over = threading.Event(), threading.Event()
        def work():
            with logs.capture("huldra.log"):
                opened.set()
                over.wait(30)
        thread = threading.Thread(target=work)
        thread.start()
        opened.wait(30)
        assert logging.root.level == logging.INFO
        child = os.fork()
        if child == 0:
            logging.getLogger("x").warning("child")
            os._exit(logging.root.level)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        over.set()
        thread.join()
        assert code == logging.WARNING, code
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    # Python may add its own warning about fork: after it, and since 3.13 before it.
    assert "child" in done.stderr.splitlines()


def test_odd_text(tmp_path: Path) -> None:
    """A line with characters that no file can hold is written with escapes."""
    with capture.capture(tmp_path / "huldra.log"):
        USER.info("odd \udcff \u2603")
    assert (tmp_path / "huldra.log").read_bytes().endswith(b"odd \\udcff \xe2\x98\x83\n")


def test_unwritable_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log that cannot be written is reported as `logging` does; the work goes on."""
    with capture.capture(tmp_path / "absent" / "huldra.log"):
        USER.info("lost")
    assert "FileNotFoundError" in capsys.readouterr().err


# ---- the user's logging stays as it is ---------------------------------------------------------


def test_nothing_on_root_before_or_after(tmp_path: Path) -> None:
    """Importing, configuring and capturing leave the root logger's handlers and level alone."""
    done = run_python(
        """
        import logging
        from huldra.logs import capture as logs
        def state():
            root = logging.getLogger()
            return root.handlers, root.level, root.filters, root.parent, logging.lastResort
        before = state()
        assert before[:2] == ([], logging.WARNING)
        assert logging.getLogger("huldra").handlers == []
        logs.configure_logging()
        logs.configure_logging()
        assert state() == before
        assert len(logging.getLogger("huldra").handlers) == 1
        with logs.capture("huldra.log"):
            logging.getLogger("x").info("one")
        assert state() == before
        assert not logging.getLogger("x").isEnabledFor(logging.INFO)
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_users_handlers_see_no_more_than_before(tmp_path: Path) -> None:
    """INFO lines that exist only for the file do not appear on handlers that the user has."""
    on_root, on_parent = io.StringIO(), io.StringIO()
    parent = logging.getLogger("a_project")
    handlers = [
        (logging.root, logging.StreamHandler(on_root)),
        (parent, logging.StreamHandler(on_parent)),
    ]
    for logger, handler in handlers:
        logger.addHandler(handler)
    try:
        with capture.capture(tmp_path / "huldra.log"):
            USER.info("quiet")
            USER.warning("loud")
            logging.getLogger("a_project.verbose").setLevel(logging.INFO)
            logging.getLogger("a_project.verbose").info("as the user set it")
    finally:
        for logger, handler in handlers:
            logger.removeHandler(handler)
    expected = "loud\nas the user set it\n"
    assert (on_root.getvalue(), on_parent.getvalue()) == (expected, expected)
    assert all(handler.filters == [] for _, handler in handlers)
    assert "quiet" in read(tmp_path / "huldra.log")


def test_caplog_sees_what_it_always_sees(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A test's `caplog` gets no INFO lines that it would not get without a capture."""
    with capture.capture(tmp_path / "huldra.log"):
        USER.info("quiet")
        USER.warning("loud")
    assert [record.message for record in caplog.records] == ["loud"]


def test_warnings_without_any_handler(tmp_path: Path) -> None:
    """A warning in a process without handlers is printed once, inside a block as outside."""
    done = run_python(
        """
        import logging
        from huldra.logs import capture as logs
        log = logging.getLogger("x")
        log.warning("outside")
        with logs.capture("huldra.log"):
            log.warning("inside")
            log.info("unseen")
            assert not log.hasHandlers()
        """,
        tmp_path,
    )
    assert done.stderr == "outside\ninside\n"
    assert len(read(tmp_path / "huldra.log").splitlines()) == 2


@pytest.mark.parametrize("when", ["before", "inside", "after"])
def test_basic_config(tmp_path: Path, when: str) -> None:
    """`logging.basicConfig` of the user works before, inside and after a block."""
    configure = 'logging.basicConfig(level=logging.INFO, format="U %(message)s")'
    done = run_python(
        f"""
        import logging
        from huldra.logs import capture as logs
        {configure if when == "before" else ""}
        with logs.capture("huldra.log"):
            {configure if when == "inside" else "pass"}
            logging.getLogger("x").info("in")
        {configure if when == "after" else ""}
        logging.getLogger("x").info("out")
        logs.log_status("A", "0123456789", "missing->create")
        """,
        tmp_path,
    )
    lines = done.stderr.splitlines()
    inside = [] if when == "after" else ["U in"]
    assert lines == [*inside, "U out", "U load_or_create A 012345678 (missing->create)"]
    assert "in" in read(tmp_path / "huldra.log")


def test_levels_of_named_loggers_count(tmp_path: Path) -> None:
    """A level that the user gave a logger keeps its lines out of the file."""
    USER.setLevel(logging.ERROR)
    with capture.capture(tmp_path / "huldra.log"):
        USER.warning("below")
    assert read(tmp_path / "huldra.log") == ""


def test_disabled_logging_counts(tmp_path: Path) -> None:
    """`logging.disable` and `logger.disabled` keep lines out of the file."""
    with capture.capture(tmp_path / "huldra.log"):
        logging.disable(logging.INFO)
        USER.info("disabled")
        logging.disable(logging.NOTSET)
        USER.disabled = True
        USER.error("disabled")
        USER.disabled = False
    assert read(tmp_path / "huldra.log") == ""


def test_level_set_inside_the_block_stays(tmp_path: Path) -> None:
    """What the user sets the root's level to inside a block is not taken back after it."""
    with capture.capture(tmp_path / "huldra.log"):
        logging.root.setLevel(logging.ERROR)
    assert logging.root.level == logging.ERROR


def test_logger_that_does_not_propagate(tmp_path: Path) -> None:
    """Lines of a logger that hands nothing up reach the file, too, and its handlers stay."""
    seen = io.StringIO()
    handler = logging.StreamHandler(seen)
    USER.addHandler(handler)
    USER.propagate = False
    with capture.capture(tmp_path / "huldra.log"):
        USER.info("isolated")
    assert "isolated" in read(tmp_path / "huldra.log")
    assert USER.handlers == [handler]
    assert seen.getvalue() == ""


# ---- the console -------------------------------------------------------------------------------

STATUS = r"\d{6} script\.py:%d load_or_create TrainModel abc123def \(missing->create\)\n"


def test_status_line(tmp_path: Path) -> None:
    """A status line has the time, the user's line, and what the call does; no colours in a file."""
    done = run_python(
        """
        from huldra.logs import capture as logs
        logs.log_status("TrainModel", "abc123def4567890", "missing->create")
        """,
        tmp_path,
    )
    assert re.fullmatch(STATUS % 3, done.stderr)
    assert done.stdout == ""


def test_line_of_the_user_below_huldra(tmp_path: Path) -> None:
    """A record made deep in huldra points at the user's line that led there."""
    done = run_python(
        """
        import contextlib, types
        huldra_code = types.ModuleType("huldra.some")
        exec('''
        def load_or_create():
            from huldra.logs import capture as logs
            logs.get_logger().warning("waiting")
        '''.replace("\\n        ", "\\n"), huldra_code.__dict__)
        from huldra.logs import capture as logs
        logs.configure_logging()
        huldra_code.load_or_create()
        """,
        tmp_path,
    )
    assert re.fullmatch(r"\d{6} script\.py:11 WARNING waiting\n", done.stderr), done.stderr


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_console_level(tmp_path: Path, level: str) -> None:
    """The console shows what HULDRA_LOG_LEVEL names and what is above."""
    done = run_python(
        """
        from huldra.logs import capture as logs
        logs.configure_logging()
        for name in ("debug", "info", "warning", "error"):
            getattr(logs.get_logger(), name)("a_line")
        """,
        tmp_path,
        HULDRA_LOG_LEVEL=level,
    )
    order = ["DEBUG", "INFO", "WARNING", "ERROR"]
    assert done.stderr.count("a_line") == len(order) - order.index(level)


def test_log_level_changed_in_code(capsys: pytest.CaptureFixture[str]) -> None:
    """A log level that is assigned later counts from the next line on."""
    HULDRA_CONFIG.log_level = "INFO"
    capture.log_status("A", "1", "one")
    HULDRA_CONFIG.log_level = "WARNING"
    capture.log_status("A", "1", "two")
    HULDRA_CONFIG.log_level = "INFO"
    capture.log_status("A", "1", "three")
    assert re.findall(r"\((\w+)\)", capsys.readouterr().err) == ["one", "three"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], coloured: bool
) -> None:
    """On a terminal the line is coloured, unless NO_COLOR is set."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    with contextlib.redirect_stderr(terminal):
        capture.log_status("A", "1", "missing->create")
    assert ("\x1b[" in terminal.getvalue()) is coloured
    assert "load_or_create A 1 (missing->create)" in terminal.getvalue()


def test_level_that_the_user_gave_huldra(tmp_path: Path) -> None:
    """A level that the user gave the logger `huldra` before stays."""
    done = run_python(
        """
        import logging
        from huldra.logs import capture as logs
        logging.getLogger("huldra").setLevel(logging.ERROR)
        logs.log_status("A", "1", "x")
        with logs.capture("huldra.log"):
            logs.get_logger().info("quiet")
        """,
        tmp_path,
    )
    assert done.stderr == ""
    assert read(tmp_path / "huldra.log") == ""


# ---- uncaught exceptions -----------------------------------------------------------------------

RAISE = """
    import sys
    from huldra.logs import capture as logs
    assert sys.excepthook is sys.__excepthook__
    {before}
    logs.configure_logging()
    assert "rich" not in sys.modules
    raise {error}
"""


def test_rich_traceback(tmp_path: Path) -> None:
    """An uncaught exception is shown by Rich, which is imported only then."""
    done = run_python(RAISE.format(before="", error="ValueError('boom')"), tmp_path)
    assert "─" in done.stderr
    assert "ValueError: boom" in done.stderr
    assert done.returncode == 1


def test_rich_traceback_of_a_group(tmp_path: Path) -> None:
    """Of an exception group each exception is shown."""
    error = "ExceptionGroup('several', [ValueError('one'), KeyError('two')])"
    done = run_python(RAISE.format(before="", error=error), tmp_path)
    assert "one" in done.stderr
    assert "two" in done.stderr


def test_plain_traceback_when_turned_off(tmp_path: Path) -> None:
    """HULDRA_RICH_UNCAUGHT_TRACEBACKS=false leaves uncaught exceptions to Python."""
    done = run_python(
        RAISE.format(before="", error="ValueError('boom')"),
        tmp_path,
        HULDRA_RICH_UNCAUGHT_TRACEBACKS="false",
    )
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert "─" not in done.stderr


def test_users_hook_stays(tmp_path: Path) -> None:
    """A hook that the user has set is not replaced."""
    before = "sys.excepthook = lambda *args: print('reported')"
    done = run_python(RAISE.format(before=before, error="ValueError('boom')"), tmp_path)
    assert (done.stdout, done.stderr) == ("reported\n", "")


def test_ctrl_c_is_shown_by_python(tmp_path: Path) -> None:
    """KeyboardInterrupt is shown as Python shows it."""
    done = run_python(RAISE.format(before="", error="KeyboardInterrupt"), tmp_path)
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert "─" not in done.stderr


def test_plain_traceback_when_rich_fails(tmp_path: Path) -> None:
    """Where Rich cannot be imported, Python shows the exception."""
    (tmp_path / "rich.py").write_text("raise ImportError('broken')\n")
    done = run_python(RAISE.format(before="", error="ValueError('boom')"), tmp_path)
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("ValueError: boom\n")


# ---- subprocesses ------------------------------------------------------------------------------

CHILD = [sys.executable, "-c"]


def test_output_of_a_subprocess(tmp_path: Path) -> None:
    """Lines of stdout and stderr reach the file in their order, and point at the caller."""
    code = "import sys\nfor n in range(3):\n print(n, flush=True)\n sys.stderr.write('e\\n')"
    with capture.capture(tmp_path / "huldra.log"):
        done = capture.run_subprocess([*CHILD, code])
    pattern = r"INFO huldra\.subprocess test_capture\.py:\d+ (\w+)\n"
    assert re.findall(pattern, read(tmp_path / "huldra.log")) == ["0", "e", "1", "e", "2", "e"]
    assert done.stdout == "0\ne\n1\ne\n2\ne"


def test_subprocess_that_fails(tmp_path: Path) -> None:
    """A bad return code is an error that carries the last lines, unless `check` is off."""
    args = [*CHILD, "import sys; print('100%'); sys.exit(3)"]
    with pytest.raises(subprocess.CalledProcessError) as caught:
        capture.run_subprocess(args)
    assert (caught.value.returncode, caught.value.output) == (3, "100%")
    assert capture.run_subprocess(args, check=False).returncode == 3


def test_subprocess_with_odd_output(tmp_path: Path) -> None:
    """Bytes that are no text and rewritten lines do not disturb."""
    code = r"import sys; sys.stdout.buffer.write(b'10%\r99%\r100%\n\xff\n')"
    assert capture.run_subprocess([*CHILD, code]).stdout == "100%\n\ufffd"


def test_spawned_children_are_not_caught(tmp_path: Path) -> None:
    """A spawned process logs nowhere by itself: this is the documented limit."""
    with capture.capture(tmp_path / "huldra.log"):
        child = multiprocessing.get_context("spawn").Process(target=USER.info, args=("spawned",))
        child.start()
        child.join(60)
    assert child.exitcode == 0
    assert read(tmp_path / "huldra.log") == ""
