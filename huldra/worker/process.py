"""The parent's side of a warm worker process: start, send, receive, signal, reap.

The parent is the driver, or a worker of an engine that gives its nodes no process of their own. The
program on the other side is `serving`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from huldra.engines import descendants
from huldra.engines.memory import peak_gb
from huldra.engines.output import print_file, startup_log_path
from huldra.errors import HuldraExecutorError
from huldra.provenance.sources import import_path
from huldra.store.job_ref import JobRef
from huldra.worker.boot import Boot


class WorkerProcess:
    """A warm worker. All methods are for one thread at a time."""

    def __init__(self, engine: str, runner: str, gpus: tuple[str, ...], log_directory: str) -> None:
        """Start it; returns before it is up: what is sent meanwhile waits in the pipe.

        `runner` is what it calls with a payload and the job's ref, as `module:function`. `gpus` are
        the only GPUs that it will ever see; empty leaves the environment as it is. What its start
        prints goes to a file in `log_directory`.
        """
        self._engine = engine
        self.gpus = gpus
        self.ready = False
        self.log_path = ""
        self._log_directory = ""
        self._knows_meta = False
        self._rest = b""
        self.retired = False
        self.peak_gb = 0.0
        self.spent = ""  # why it must run no other task, once it says so
        self._mark = os.urandom(8).hex()
        self._process = _start(engine, runner, gpus, log_directory, self._mark)
        self.pid = self._process.pid
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin = self._process.stdin.fileno()
        self.answers = self._process.stdout.fileno()
        os.set_blocking(self.answers, False)
        self.death = _pidfd(self.pid)

    def send(
        self, number: int, payload: str, log_directory: str, job: JobRef | None = None
    ) -> None:
        """Hand one task over; a worker that is dead by now is noticed by its death.

        What the task prints goes to a file in `log_directory`. All jobs have the `meta` of the
        first.
        """
        message: dict[str, Any] = {"id": number, "payload": payload}
        if job is not None:
            message["job"] = job.job_id
            if not self._knows_meta:
                self._knows_meta = True
                message["meta"] = dict(job.meta)
        if log_directory != self._log_directory:
            self._log_directory = log_directory
            message["log"] = self.log_path = print_file(log_directory, self._engine, self.pid)
        data = memoryview(json.dumps(message).encode("ascii") + b"\n")
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._stdin, data) :]

    def receive(self) -> tuple[list[dict[str, Any]], bool]:
        """The answers that are here by now, and whether there can be more."""
        lines: list[bytes] = []
        while True:
            try:
                data = os.read(self.answers, 65536)
            except BlockingIOError:
                break
            if not data:
                return self._read(lines), False
            *whole, self._rest = (self._rest + data).split(b"\n")
            lines += whole
            if len(data) < 65536:
                break
        return self._read(lines), True

    def _read(self, lines: Sequence[bytes]) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = [json.loads(line) for line in lines]
        for message in messages:
            self.spent = self.spent or message.get("spent", "")
        return messages

    def retire(self) -> None:
        """Let it go after what it is doing now."""
        self.retired = True
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        """Signal the worker and what its task started, unless it is dead and buried."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def await_end(self) -> None:
        """Wait until it has closed its pipe, which it does by dying."""
        poll = select.poll()
        poll.register(self.answers, 0)  # no event asked for: only the hang-up is reported
        poll.poll()

    def reap(self) -> int:
        """Take leave of a worker that has died; returns its exit code, negative for a signal.

        From then on `peak_gb` is the most memory that it, or one of its children, ever had.
        """
        # What its task started (data loaders, for example) would hold memory and GPUs for ever.
        # The group's number is ours only until the worker is waited for.
        if not self.retired:
            self.signal(signal.SIGKILL)
        code = self._wait()
        if not self.retired:  # else it has ended them itself
            descendants.end_marked(self._mark)
        self._close_descriptors()
        return code

    def _wait(self) -> int:
        try:
            _, status, used = os.wait4(self.pid, 0)
        except ChildProcessError:  # waited for already
            return self._process.wait()
        self.peak_gb = peak_gb(used)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode

    def detach_after_fork(self) -> None:
        """Drop it in a forked child: it is the parent's, who sees to its end."""
        self._process.returncode = 0  # so that nothing here waits for it or warns of it
        self._close_descriptors()

    def _close_descriptors(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        if self.death is not None:
            os.close(self.death)
            self.death = None


def _start(
    engine: str, runner: str, gpus: Sequence[str], log_directory: str, mark: str
) -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise HuldraExecutorError(
            "cannot start a worker: this interpreter does not know its own path (sys.executable is"
            ' empty); use executor="threads" or executor="inline"'
        )
    start = Boot(engine, runner, import_path())
    environ = {**os.environ, **start.environ(), descendants.MARK: mark}
    # Started from inside a `_create`, a worker would for all its life take that artifact for one
    # that its own nodes are in the middle of making.
    environ.pop("HULDRA_MAKING", None)
    if gpus:
        environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    with open(startup_log_path(log_directory, engine), "ab") as log:
        return subprocess.Popen(
            start.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environ,
            bufsize=0,
            start_new_session=True,  # Ctrl-C in the terminal is the parent's to answer
        )


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, or an old kernel: the pipe's end must do
        return None
