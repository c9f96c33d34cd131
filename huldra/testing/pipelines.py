"""The configs that the conformance suite runs: what a node does stands in its fields.

They live in a module that every worker can import. Nodes leave notes in a folder that workers
share with the driver, so that a test can count how often `_create` ran, in any process.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huldra

log = logging.getLogger(__name__)

_GATE_PATIENCE_S = 120.0


class OddError(Exception):
    """An exception that cannot be pickled back: its constructor wants more than it keeps."""

    def __init__(self, first: str, second: object) -> None:
        super().__init__(f"odd: {first}")
        self.first = first
        self.second = lambda: second


class Step(huldra.Huldra[dict[str, Any]]):
    """One node. Hashed: what it is called and what it needs. Not hashed: how it behaves.

    `does` names a behaviour below. `notes` is a folder for its notes; `claims`, `extra` and
    `retry` are the resources that it asks for.
    """

    name: str
    needs: tuple[huldra.Huldra[dict[str, Any]], ...] = ()
    nested: tuple[huldra.Huldra[dict[str, Any]], ...] = ()
    does: str = huldra.field(default="nothing", hashed=False)
    notes: str = huldra.field(default="", hashed=False)
    nested_executor: str = huldra.field(default="", hashed=False)
    claims: Mapping[str, float] = huldra.field(default_factory=dict, hashed=False)
    extra: Mapping[str, Any] = huldra.field(default_factory=dict, hashed=False)
    retry: Mapping[str, float] = huldra.field(default_factory=dict, hashed=False)

    def _dependencies(self) -> tuple[huldra.Huldra[dict[str, Any]], ...]:
        # `nested` is left out on purpose: `_create` asks for it beyond the plan.
        return self.needs

    def _resources(self) -> huldra.Resources:
        retry = huldra.Retry(**self.retry) if self.retry else None  # type: ignore[arg-type]  # counts are numbers
        return huldra.Resources(**self.claims, extra=dict(self.extra), retry=retry)

    def _create(self) -> dict[str, Any]:
        note(self, "began")
        log.info("step %s begins", self.name)
        inputs = {need.name: need.load_or_create()["name"] for need in self.needs}  # type: ignore[attr-defined]  # all are steps
        report = BEHAVIOURS[self.does](self)
        result = {"name": self.name, "inputs": inputs, "pid": os.getpid(), "report": report}
        (self.huldra_dir / "result.json").write_text(json.dumps(result))
        note(self, "ended")
        return {**result, "from": "_create"}

    def _load(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads((self.huldra_dir / "result.json").read_text())
        return {**result, "from": "_load"}


def note(step: Step, what: str) -> None:
    """Leave one note: a file of its own, so that no file system can lose or mix two of them."""
    if step.notes:
        unfinished = Path(step.notes, f".{uuid.uuid4().hex}")
        unfinished.write_text(str(os.getpid()))
        unfinished.rename(Path(step.notes, f"{step.name}.{what}{unfinished.name}"))


def count_notes(notes: Path, name: str, what: str) -> int:
    """How often the step of this name noted this."""
    return len(list(notes.glob(f"{name}.{what}.*")))


def _nothing(_: Step) -> None:
    """Succeed at once."""


def _fail(step: Step) -> None:
    raise ValueError(f"step {step.name} was told to fail")


def _fail_once(step: Step) -> None:
    if count_notes(Path(step.notes), step.name, "began") == 1:
        _fail(step)


def _fail_oddly(step: Step) -> None:
    raise OddError(step.name, object())


def _exit(_: Step) -> None:
    sys.exit(0)


def _leave(_: Step) -> None:
    os._exit(0)


def _die(_: Step) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(step: Step) -> None:
    if count_notes(Path(step.notes), step.name, "began") == 1:
        _die(step)


def _wait_for_gate(step: Step) -> None:
    """Wait until the test opens the gate of this step; fail after two minutes."""
    deadline = time.monotonic() + _GATE_PATIENCE_S
    gate = Path(step.notes, f"{step.name}.open")
    while not gate.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody opened {gate}")
        time.sleep(0.01)


def _sleep(step: Step) -> None:
    """Sleep in one call for longer than any test waits, and note when that ends."""
    try:
        time.sleep(10 * _GATE_PATIENCE_S)
    finally:
        note(step, "woke")


def _sleep_once(step: Step) -> None:
    if count_notes(Path(step.notes), step.name, "began") == 1:
        _sleep(step)


def _print(step: Step) -> None:
    print('{"id": 1, "ok": true}')  # noqa: T201  what a user may print, looking like a protocol
    sys.stderr.write("and on the other stream\n")
    subprocess.run(["echo", f"a child of {step.name}"], check=True)


def _print_and_die(step: Step) -> None:
    print("about to die")  # noqa: T201  the test looks for it
    _die(step)


def _read_stdin(_: Step) -> str:
    return sys.stdin.read()


def _tell_settings(_: Step) -> dict[str, Any]:
    return {
        "stale_after": huldra.HULDRA_CONFIG.stale_after,
        "root": str(huldra.get_huldra_root()),
    }


def _tell_gpus(_: Step) -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def _hold_gpus(step: Step) -> str | None:
    _wait_for_gate(step)
    return _tell_gpus(step)


def _ask_for_nested(step: Step) -> list[str]:
    return [nested.load_or_create()["name"] for nested in step.nested]


def _send_nested(step: Step) -> list[str]:
    jobs = [nested.load_or_create(executor=step.nested_executor) for nested in step.nested]
    assert all(job.done() for job in jobs), "a nested executor must be done inline on a worker"
    return [job.result(timeout=0)["name"] for job in jobs]


BEHAVIOURS = {
    "nothing": _nothing,
    "fail": _fail,
    "fail once": _fail_once,
    "fail oddly": _fail_oddly,
    "exit": _exit,
    "leave": _leave,
    "die": _die,
    "die once": _die_once,
    "wait": _wait_for_gate,
    "sleep": _sleep,
    "sleep once": _sleep_once,
    "print": _print,
    "print and die": _print_and_die,
    "read stdin": _read_stdin,
    "tell settings": _tell_settings,
    "tell gpus": _tell_gpus,
    "hold gpus": _hold_gpus,
    "ask for nested": _ask_for_nested,
    "send nested": _send_nested,
}
