"""The supervisor of a cluster that runs elsewhere, in its actor, called as if it were here."""

from __future__ import annotations

import threading
import time
from typing import Any

from huldra.errors import HuldraExecutorError
from huldra_ray import far, runtime

SUPERVISOR = "huldra-supervisor-1"
NAMESPACE = "huldra"
_CALL_TIMEOUT_S = 120.0
_RETRY_S = 0.5
_LOOK_S = 0.2


class FarDesk:
    """The cluster's one supervisor, for all drivers; started by the first, and there to stay."""

    def __init__(self, ray: Any, paths: list[str]) -> None:
        """`paths` are the folders where the driver has huldra."""
        from ray import cloudpickle as pickle

        cloudpickle: Any = pickle

        cloudpickle.register_pickle_by_value(far)
        self._ray = ray
        self._address = str(ray.get_runtime_context().gcs_address)
        self._changed = threading.Condition()
        self._is_closed = False
        options = {
            "name": SUPERVISOR,
            "namespace": NAMESPACE,
            "lifetime": "detached",
            "get_if_exists": True,
            "num_cpus": 0,
            # On the head, which is needed anyway: no other host takes everybody's jobs along.
            "resources": {"node:__internal_head__": 0.001},
            "max_concurrency": 64,
        }
        self._actor = ray.remote(far.FarSupervisor).options(**options).remote(paths)

    def submit(self, batch: list[dict[str, Any]]) -> None:
        """See `Supervisor.submit`."""
        self._call(self._actor.submit, batch)

    def status(self, names: list[str]) -> dict[str, tuple[str, str]]:
        """See `Supervisor.status`."""
        told: dict[str, tuple[str, str]] = self._call(self._actor.status, names)
        return told

    def cancel(self, names: list[str]) -> None:
        """See `Supervisor.cancel`."""
        self._call(self._actor.cancel, names)

    def news(self, cursor: int, timeout_s: float) -> tuple[int, list[tuple[str, str, str]]]:
        """See `Supervisor.news`; raises `HuldraExecutorError` when Ray or this was closed.

        No thread may be inside Ray when somebody shuts that down in this process: the answer then
        comes to memory that is gone. So this one waits outside, for Ray to call back.
        """
        deadline = time.monotonic() + _CALL_TIMEOUT_S
        while True:
            answer = self._actor.news.remote(cursor, timeout_s).future()
            answer.add_done_callback(self._wake)
            with self._changed:
                while not answer.done():
                    self._refuse_if_over(deadline)
                    self._changed.wait(_LOOK_S)
            try:
                told: tuple[int, list[tuple[str, str, str]]] = answer.result()
            except self._ray.exceptions.ActorUnavailableError as error:
                self._outlast(error, deadline)
            else:
                return told

    def close(self) -> None:
        """End a `news` that waits; Ray is about to be shut down here."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _refuse_if_over(self, deadline: float) -> None:
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
