"""What every test shares: the rule for missing parts, and a store of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import parts

# How long an example takes says something of the machine, and nothing of the code.
_SLOW_IS_FINE = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("ours", deadline=None, suppress_health_check=_SLOW_IS_FINE)
hypothesis.settings.load_profile("ours")


def pytest_configure() -> None:
    """Keep the caller's settings out of the tests; each test states those that it needs."""
    for name in list(os.environ):
        if name.startswith("HULDRA_") and not name.startswith("HULDRA_TEST_"):
            del os.environ[name]
    # Each test has a store of its own, and each copy of this repository would be one more. Tests
    # of frozen code turn it on.
    os.environ["HULDRA_FREEZE"] = "off"
    # What catalogs keep for the next process belongs to this run of the tests, not to the user.
    cache = tempfile.mkdtemp(prefix="huldra-tests-cache-")
    atexit.register(shutil.rmtree, cache, ignore_errors=True)
    os.environ["XDG_CACHE_HOME"] = cache
    # Started in the background of a script, everything inherits an ignored Ctrl-C, and huldra
    # leaves ignored signals ignored: then no test could send one to its children.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail where it is required, a test whose part is not on this machine."""
    for part in parts.PARTS:
        if item.get_closest_marker(part) is not None:
            parts.require(part)


@pytest.fixture
def huldra_root(tmp_path: Path) -> Iterator[Path]:
    """A fresh store for one test; the previous root comes back afterwards."""
    import huldra

    before = huldra.get_huldra_root()
    root = tmp_path / "store"
    huldra.set_huldra_root(root)
    yield root
    huldra.set_huldra_root(before)
