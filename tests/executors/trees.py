"""Configs whose code changes what belongs to the whole process, or leaves processes behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import huldra

# A child that says that it is there, and stays.
_STAY = """
import os, signal, sys, time
if "deaf" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1] + "/" + str(os.getpid()) + ".pid", "w").close()
time.sleep(300)
"""
# As torchrun: an agent in the node's group, whose worker has a session of its own.
_AGENT = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-S", "-c", {_STAY!r}, *sys.argv[1:]], start_new_session=True)
open(sys.argv[1] + "/" + str(__import__("os").getpid()) + ".pid", "w").close()
time.sleep(300)
"""


class Tree(huldra.Huldra[str]):
    """Starts three trees, waits until all five are there, and goes on as it is asked to."""

    name: str
    notes: str = huldra.field(hashed=False)
    then: str = huldra.field(default="end", hashed=False)

    def _create(self) -> str:
        start = [sys.executable, "-S", "-c"]
        subprocess.Popen([*start, _STAY, self.notes])
        subprocess.Popen([*start, _STAY, self.notes, "deaf"], start_new_session=True)
        subprocess.Popen([*start, _AGENT, self.notes, "deaf"])
        while len(list(Path(self.notes).glob("*.pid"))) < 4:
            time.sleep(0.01)
        Path(self.notes, f"{self.name}.worker").write_text(str(os.getpid()))
        while self.then == "wait":
            time.sleep(0.01)
        (self.huldra_dir / "x").touch()
        return "x"

    def _load(self) -> str:
        return "x"


class Changes(huldra.Huldra[dict[str, Any]]):
    """Runs a text of Python, and keeps what it leaves in `found`."""

    name: str
    code: str

    def _create(self) -> dict[str, Any]:
        names: dict[str, Any] = {"found": None}
        exec(self.code, names)
        result = {"pid": os.getpid(), "found": names["found"]}
        (self.huldra_dir / "x").write_text(json.dumps(result))
        return result

    def _load(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads((self.huldra_dir / "x").read_text())
        return result
