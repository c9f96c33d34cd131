"""The supervisor of a cluster that runs elsewhere, in its actor, called as if it were here."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import Any

from huldra.engines.kit import sources
from huldra.errors import HuldraExecutorError
from huldra_ray import driver_path, runtime
from huldra_ray.supervisor_start import NAMESPACE, SUPERVISOR

_START_TIMEOUT_S = 300.0
# Ray's description of the job that this process may be part of, and whose settings are not ours.
_OF_THIS_JOB = {"RAY_JOB_CONFIG_JSON_ENV_VAR", "RAY_RUNTIME_ENV_HOOK", "RAY_JOB_ID"}
_CALL_TIMEOUT_S = 120.0
_RETRY_S = 0.5
_LOOK_S = 0.2


class SupervisorProxy:
    """The cluster's one supervisor, for all drivers.

    The first driver that submits starts it, and there it stays; to ask for jobs starts nothing.
    """

    def __init__(self, ray: Any, contact: str) -> None:
        """`contact` is the address by which this process reached the cluster."""
        self._ray = ray
        self._contact = contact
        self._address = str(ray.get_runtime_context().gcs_address)
        self._changed = threading.Condition()
        self._is_closed = False
        self._actor: Any = None
        self._find()

    def submit(self, batch: list[dict[str, Any]], site: Mapping[str, Any]) -> None:
        """See `Supervisor.submit`."""
        if self._find() is None:
            _start_supervisor(self._contact)
        self._call(self._find().submit, batch, site)

    def status(self, names: list[str]) -> dict[str, tuple[str, str]]:
        """See `Supervisor.status`."""
        actor = self._find()
        found: dict[str, tuple[str, str]] = self._call(actor.status, names) if actor else {}
        return found

    def cancel(self, names: list[str]) -> None:
        """See `Supervisor.cancel`."""
        if actor := self._find():
            self._call(actor.cancel, names)

    def news(self, cursor: int, timeout_s: float) -> tuple[int, list[tuple[str, str, str]]]:
        """See `Supervisor.news`; raises `HuldraExecutorError` when Ray or this was closed.

        No thread may be inside Ray when that is shut down in this process: the answer then
        comes to memory that is gone. So this one waits outside, for Ray to call back.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._actor or self._is_closed, timeout_s):
                return max(0, cursor), []
            self._refuse_if_over()
        deadline = time.monotonic() + _CALL_TIMEOUT_S
        while True:
            answer = self._actor.news.remote(cursor, timeout_s).future()
            answer.add_done_callback(self._wake)
            with self._changed:
                while not answer.done():
                    self._refuse_if_over(deadline)
                    self._changed.wait(_LOOK_S)
            try:
                found: tuple[int, list[tuple[str, str, str]]] = answer.result()
            except self._ray.exceptions.ActorUnavailableError as error:
                self._outlast(error, deadline)
            else:
                return found

    def close(self) -> None:
        """End a `news` that waits; Ray is about to be shut down here."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _find(self) -> Any:
        """The supervisor's actor; None while there is none."""
        with self._changed:
            if self._actor is None:
                with contextlib.suppress(ValueError):  # no actor has the name
                    self._actor = self._ray.get_actor(SUPERVISOR, namespace=NAMESPACE)
                    self._changed.notify_all()
            return self._actor

    def _refuse_if_over(self, deadline: float = math.inf) -> None:
        if self._is_closed or not self._ray.is_initialized():
            raise HuldraExecutorError("it was shut down")
        if time.monotonic() > deadline:
            raise HuldraExecutorError(f"{SUPERVISOR} did not answer in {_CALL_TIMEOUT_S:.0f} s")

    def _wake(self, _: object) -> None:
        with self._changed:
            self._changed.notify_all()

    def _call(self, method: Any, *args: Any) -> Any:
        deadline = time.monotonic() + _CALL_TIMEOUT_S
        while True:
            try:
                return self._ray.get(method.remote(*args), timeout=_CALL_TIMEOUT_S)
            except self._ray.exceptions.ActorUnavailableError as error:
                self._outlast(error, deadline)

    def _outlast(self, error: Exception, deadline: float) -> None:
        """Pause where only the connection broke, and the head lives; else raise `error`.

        Whether the supervisor heard the call is not known then. It may be made again: a node that
        is on its way is not sent twice.
        """
        if time.monotonic() > deadline or not runtime.is_listening(self._address):
            raise error
        with self._changed:
            self._refuse_if_over(deadline)
            self._changed.wait(_RETRY_S)


def _start_supervisor(address: str) -> None:
    """Start the cluster's supervisor from a process that is no part of this driver's job.

    Tasks inherit the runtime_env of the actor that sends them, which inherits its job's; and
    nothing that is inherited can be taken away again. So that job must have none.
    """
    environ = {name: value for name, value in os.environ.items() if name not in _OF_THIS_JOB}
    path = os.pathsep.join(sources.import_path())
    command = [sys.executable, "-m", "huldra_ray.supervisor_start", address]
    # Ray adds the working directory to the import path of the job's workers.
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(
                [*command, *driver_path.huldra_folders()],
                cwd=empty,
                env={**environ, "PYTHONPATH": path, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_START_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise HuldraExecutorError(
                f"the supervisor on Ray at {address} did not start in {_START_TIMEOUT_S:.0f} s"
            ) from error
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise HuldraExecutorError(f"the supervisor on Ray at {address} did not start: {reason}")
