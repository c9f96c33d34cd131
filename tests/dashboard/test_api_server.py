"""The commands `huldra-dashboard api|serve` as processes, asked over their port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("streamlit", reason="the dashboard's libraries are not installed")

from huldra_dashboard import serve
from tests.dashboard.store import StoreWriter

START_S = 60.0


@pytest.fixture
def store(tmp_path: Path) -> StoreWriter:
    """A store with one artifact."""
    writer = StoreWriter(tmp_path / "store")
    writer.add("p/A", {"n": 1})
    return writer


@contextmanager
def running(*arguments: str, env: dict[str, str] | None = None) -> Iterator[str]:
    """The command on a free port; gives its address once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "huldra.dashboard", *arguments, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | (env or {}),
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(process, f"{address}/api/health")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)


def _wait_for(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0].decode()
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"no answer from {url} within {START_S} s")


def get(url: str, **headers: str) -> tuple[int, str, str]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers["content-type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read().decode()


def test_the_api_alone_is_served(store: StoreWriter) -> None:
    """`api --root` answers below /api, and has no pages."""
    with running("api", "--root", str(store.root)) as address:
        status, kind, body = get(f"{address}/api/experiments")
        assert (status, kind) == (200, "application/json")
        assert json.loads(body)["total"] == 1
        assert get(f"{address}/")[0] == 404
        store.add("p/A", {"n": 2})
        deadline = time.monotonic() + 30
        while json.loads(get(f"{address}/api/experiments")[2])["total"] != 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_pages_and_api_share_a_port(store: StoreWriter) -> None:
    """`serve` gives the page at / and JSON below /api, of the store in HULDRA_PATH."""
    with running("serve", env={"HULDRA_PATH": str(store.root)}) as address:
        status, kind, body = get(f"{address}/api/experiments")
        assert (status, kind) == (200, "application/json")
        assert json.loads(body)["total"] == 1
        status, kind, body = get(f"{address}/")
        assert status == 200
        assert kind.startswith("text/html")
        status, kind, _ = get(f"{address}/api/unknown")
        assert (status, kind) == (404, "application/json")
        assert get(f"{address}/api/health", Host="evil.example")[0] == 403


@pytest.mark.parametrize("command", ["serve", "api"])
def test_another_address_than_loopback_is_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --allow-remote no other machine is let in, and the message says why."""
    with pytest.raises(SystemExit) as caught:
        serve.main([command, "--host", "0.0.0.0"])
    assert caught.value.code == 2
    assert "--allow-remote" in capsys.readouterr().err


def test_a_root_that_is_no_directory_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped root is an error at start, not an empty page."""
    with pytest.raises(SystemExit) as caught:
        serve.main(["api", "--root", str(tmp_path / "none")])
    assert caught.value.code == 2
    assert "is not a directory" in capsys.readouterr().err


def test_the_arguments_for_streamlit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Address, port, names, roots and sweeps reach Streamlit and the pages; remote use warns."""
    options = serve.parser().parse_args(
        ["serve", "--host", "10.1.2.3", "--port", "9000", "--root", str(tmp_path), "--allow-remote",
         "--sweep", "m:C", "--allow-host", "dash.example", "--reload"]
    )  # fmt: skip
    assert serve._problem(options) == ""
    assert "WARNING" in capsys.readouterr().err
    arguments = serve.streamlit_arguments(options)
    assert "--server.address=10.1.2.3" in arguments
    assert "--server.port=9000" in arguments
    assert "--server.allowedHosts=dash.example" in arguments
    assert "--server.allowedHosts=10.1.2.3" in arguments
    assert "--server.runOnSave=true" in arguments
    ours = arguments[arguments.index("--") + 1 :]
    assert ours == ["--root", str(tmp_path), "--sweep", "m:C"]


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("node1", False),
    ],
)
def test_loopback_is_known(host: str, answer: bool) -> None:
    """Only what other machines cannot reach is loopback."""
    assert serve.is_loopback(host) is answer
