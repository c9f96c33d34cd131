"""How the program of a worker process starts, and starts again in its place.

The order goes through the environment: PYTHONPATH would reach the user's own subprocesses, too, and
`__main__` is not imported, so no script needs a main guard.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NoReturn

_VARIABLE = "HULDRA_WORKER_BOOT"
_PROGRAM = (
    "import json, os, sys; "
    f"boot = json.loads(os.environ.pop({_VARIABLE!r})); "
    "sys.path[:] = boot['sys_path']; "
    "from huldra.worker.server import main; "
    "main(boot)"
)


@dataclass(frozen=True)
class Boot:
    """What a worker's program gets at its start.

    `runner` is what it calls with a payload and the job's ref, as `module:function`. A process that
    starts again in its own place has `pipes`, the descriptors of its tasks and answers, and `rest`,
    what it had read of its tasks; `renewals` is how often it has done so for the first of them.
    """

    engine: str
    runner: str
    sys_path: Sequence[str]
    pipes: Sequence[int] = ()
    rest: str = ""
    renewals: int = 0

    def command(self) -> list[str]:
        """The command line."""
        # -P: nothing is imported from the working directory before the path is the parent's.
        return [sys.executable, "-P", "-c", _PROGRAM]

    def environ(self) -> dict[str, str]:
        """What the environment has beside the rest."""
        return {_VARIABLE: json.dumps(asdict(self))}

    def replace_process(self, environ: dict[str, str]) -> NoReturn:
        """Be a new process of the same pid, with `environ` and the pipes; does not return."""
        for pipe in self.pipes:
            os.set_inheritable(pipe, True)
        command = self.command()
        os.execve(command[0], command, {**environ, **self.environ()})
