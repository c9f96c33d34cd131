"""INFO lines on a console that is a file, for huldra and for a plain logger beside it."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

import huldra


@contextlib.contextmanager
def console() -> Iterator[None]:
    """Let INFO lines of `huldra` and of the logger `floor` be written in the place of stderr."""
    before = huldra.HULDRA_CONFIG.log_level
    plain = logging.getLogger("floor")
    with open("console.txt", "w") as file, contextlib.redirect_stderr(file):
        huldra.HULDRA_CONFIG.log_level = "INFO"
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(filename)s:%(lineno)d %(message)s", "%H%M%S")
        )
        plain.addHandler(handler)
        plain.setLevel(logging.INFO)
        plain.propagate = False
        try:
            yield
        finally:
            huldra.HULDRA_CONFIG.log_level = before
            plain.removeHandler(handler)
