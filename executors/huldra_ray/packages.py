"""What a runtime_env has uploaded to a cluster, kept there while nodes need it.

Ray counts who uses a package: jobs and detached actors. Tasks do not count, so that the package
of a driver that has left would be deleted under the nodes that it sent.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

_RENEW_S = 300.0
_PIN_S = 1800


def uris_of(runtime_env: Mapping[str, Any]) -> tuple[str, ...]:
    """The packages of a runtime_env that lie in the cluster's own memory."""
    found = [runtime_env.get("working_dir"), *(runtime_env.get("py_modules") or ())]
    return tuple(uri for uri in found if isinstance(uri, str) and uri.startswith("gcs://"))


class Pins:
    """Keeps packages in the cluster until their last holder releases them."""

    def __init__(self) -> None:
        self._holders: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def hold(self, uris: Iterable[str]) -> None:
        """Keep these from now on; each call needs a `release` of its own."""
        with self._changed:
            for uri in uris:
                self._holders[uri] += 1
                if self._holders[uri] == 1:
                    _pin(uri)
            if self._holders and self._thread is None:
                self._thread = threading.Thread(
                    target=self._renew, name="huldra-ray-packages", daemon=True
                )
                self._thread.start()

    def release(self, uris: Iterable[str]) -> None:
        """Let these go, where no other holder has them."""
        with self._changed:
            self._holders.subtract(uris)

    def close(self) -> None:
        """Ask nothing of Ray from now on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _renew(self) -> None:
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._is_closed, _RENEW_S):
                    return
                held = list(+self._holders)
            for uri in held:
                with contextlib.suppress(Exception):  # the next round tries again
                    _pin(uri)


def _pin(uri: str) -> None:
    from ray.experimental.internal_kv import _pin_runtime_env_uri

    _pin_runtime_env_uri(uri, expiration_s=_PIN_S)
