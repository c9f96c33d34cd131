"""A running dashboard and a real browser on it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.children import REPOSITORY, environment

CHROMIUM = os.environ.get("HULDRA_TEST_CHROMIUM", "/usr/bin/chromium")
START_TIMEOUT_S = 60.0
WAIT_MS = 30_000
IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
# Nothing but the page under test may use the network.
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update"),
)


@contextmanager
def serving(root: Path, log: Path, *options: str) -> Iterator[str]:
    """Run `streamlit run dashboard` on a free port of the loopback; yields its address."""
    port = _free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(REPOSITORY / "dashboard")]
    command += ["--server.port", str(port), "--", "--root", str(root), *options]
    with log.open("w") as output:
        child = subprocess.Popen(
            command, env=environment(root), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", child, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise AssertionError(f"the server ended with {child.returncode}:\n{log.read_text()}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"the server did not answer in {START_TIMEOUT_S} s:\n{log.read_text()}")


@dataclass
class Screen:
    """A browser's page on a dashboard; the methods wait for what they promise."""

    page: Any
    address: str

    def open(self, path: str) -> None:
        """Go to an address and wait until the page is drawn."""
        self.page.goto(self.address + path)
        self.settle()

    def settle(self) -> None:
        """Wait until no script runs."""
        self.page.wait_for_selector(
            f'{IDLE}[data-test-connection-state="CONNECTED"]', timeout=WAIT_MS
        )
        assert self.page.locator('[data-testid="stException"]').count() == 0

    def see(self, text: str) -> None:
        """Wait until a text is shown."""
        self.page.get_by_text(text).first.wait_for(timeout=WAIT_MS)

    def title(self, text: str) -> None:
        """Wait until the page has this title."""
        self.page.locator("h1", has_text=text).first.wait_for(timeout=WAIT_MS)

    def press(self, label: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=label).first.click()

    def click_line(self, row: int, *, tick: bool = False, table: int = 0) -> None:
        """Click on the name in line `row` of a run table, or on its tick."""
        found = self.page.locator("table").nth(table).locator("tbody tr").nth(row)
        found.locator("input" if tick else "a.name").click(timeout=WAIT_MS)

    def names(self) -> list[str]:
        """What the lines of the first run table are called, with their hashes."""
        self.page.locator("table tbody tr").first.wait_for(timeout=WAIT_MS)
        texts: list[str] = self.page.locator("table").first.locator("td.name").all_inner_texts()
        return texts

    def wait_for_url(self, part: str) -> None:
        """Wait until the address holds a part."""
        self.page.wait_for_url(lambda url: part in url, timeout=WAIT_MS)
