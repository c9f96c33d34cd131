"""Configs for tests of faults, and an engine that sends nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import huldra
from huldra.engines.protocol import Capabilities, JobStatus, OnSubmitted, Refusal, TaskGraph
from huldra.store.job_ref import JobRef
from tests.support.odd import Gated, Note, await_file, leave


class Loud(Note):
    """Logs a line from `_create`."""

    def _create(self) -> str:
        self.log.warning("a line")
        return super()._create()


class Stepping(Note):
    """Leaves a line every few milliseconds while `gate` is absent: what a living `_create` does."""

    gate: str = huldra.field(default="", hashed=False)

    def _create(self) -> str:
        leave(self.ledger, f"begin {self.name} {os.getpid()}")
        pause = threading.Event()
        while not Path(self.gate).exists():
            leave(self.ledger, f"step {self.name} {os.getpid()}")
            pause.wait(0.05)
        (self.huldra_dir / "note.txt").write_text(f"{self.name}")
        leave(self.ledger, f"end {self.name} {os.getpid()}")
        return self.name


class Forking(Note):
    """Forks in `_create`; the child leaves as `how` says, the parent goes on when it is gone."""

    how: str = "return"

    def _create(self) -> str:
        leave(self.ledger, f"begin {self.name} {os.getpid()}")
        pid = os.fork()
        if pid == 0:
            if self.how == "raise":
                raise ValueError("in the child")
            if self.how == "exit":
                raise SystemExit(0)
            if self.how == "signal":
                import signal

                os.kill(os.getpid(), signal.SIGTERM)
            return "child"
        os.waitpid(pid, 0)
        leave(self.ledger, f"end {self.name} {os.getpid()}")
        (self.huldra_dir / "note.txt").write_text(self.name)
        return self.name


class Swallowing(Gated):
    """Takes whatever ends it for a reason to do something else: `how` is raise or go on."""

    how: str = "raise"

    def _create(self) -> str:
        try:  # a signal may come as soon as the line is there
            leave(self.ledger, f"begin {self.name} {os.getpid()}")
            await_file(Path(self.gate))
        except BaseException as error:
            if self.how == "raise":
                raise ValueError("instead") from error
        (self.huldra_dir / "note.txt").write_text(self.name)
        return self.name


class Outer(Note):
    """Makes a `Gated` that it did not declare, inside its own `_create`."""

    gate: str = huldra.field(default="", hashed=False)

    def _create(self) -> str:
        leave(self.ledger, f"begin {self.name} {os.getpid()}")
        try:
            Gated(name="inner", gate=self.gate, ledger=self.ledger).load_or_create()
        finally:
            leave(self.ledger, f"finally {self.name} {os.getpid()}")
        return super()._create()


class HeldEngine:
    """Takes graphs and keeps the payloads; what becomes of them is the test's to say."""

    name = "held"
    capabilities = Capabilities(finds_by_id=True)

    def __init__(self) -> None:
        self.payloads: dict[str, str] = {}
        self.statuses: dict[str, JobStatus] = {}

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Refuse nothing."""
        del graph
        return []

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Keep the payloads."""
        for key, task in graph.tasks.items():
            self.payloads[key] = task.payload
            on_submitted(key, JobRef(self.name, str(len(self.payloads))))

    def status(self, refs: Collection[JobRef]) -> Mapping[JobRef, JobStatus]:
        """Answer as the test said, else QUEUED."""
        return {ref: self.statuses.get(ref.job_id, JobStatus.QUEUED) for ref in refs}

    def wait(self, refs: Collection[JobRef], timeout_s: float) -> set[JobRef]:
        """Never see anything end."""
        threading.Event().wait(min(timeout_s, 0.05))
        return {ref for ref in refs if self.status([ref])[ref].is_over}

    def cancel(self, refs: Collection[JobRef]) -> None:
        """Do nothing."""

    def logs(self, refs: Collection[JobRef]) -> Mapping[JobRef, Sequence[str]]:
        """Have none."""
        return dict.fromkeys(refs, ())

    def close(self) -> None:
        """Have nothing to close."""


def payload_of(obj: huldra.Huldra[Any]) -> str:
    """Dispatch `obj` to an engine that keeps it, and give what a worker of it would run."""
    engine = HeldEngine()
    obj.load_or_create(executor=engine)
    return next(reversed(engine.payloads.values()))


class Tidying(Gated):
    """Tidies up when it is ended, for as long as the gate is closed."""

    def _create(self) -> str:
        try:  # a signal may come as soon as the line is there
            leave(self.ledger, f"begin {self.name} {os.getpid()}")
            await_file(Path(self.gate))
        finally:
            leave(self.ledger, f"tidying {self.name} {os.getpid()}")
            await_file(Path(self.gate))
            leave(self.ledger, f"tidied {self.name} {os.getpid()}")
        return self.name


class Text(huldra.Huldra[str]):
    """A text, which it logs."""

    text: str

    def _create(self) -> str:
        self.log.warning("%s", self.text)
        return self.text

    def _load(self) -> str:
        return self.text


class Raising(Text):
    """Raises its text; where that is empty, an exception that cannot say what it is."""

    def _create(self) -> str:
        raise ValueError(self.text) if self.text else Mute


class Mute(Exception):
    """Raises when it is asked for its text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")
