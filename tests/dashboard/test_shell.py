"""What surrounds the pages: headers, configuration, the two ways to start."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path
from typing import Any

import pytest
from streamlit.web.server.app_discovery import discover_asgi_app

from huldra_dashboard import shell, source

DASHBOARD = Path(__file__).parents[2] / "dashboard"
LAUNCH = DASHBOARD / "huldra_dashboard" / "launch"


@pytest.mark.parametrize("name", ["streamlit_app.py", ".streamlit/config.toml"])
def test_clone_and_install_start_the_same(name: str) -> None:
    """The files of the clone and of the wheel are the same."""
    assert (DASHBOARD / name).read_text() == (LAUNCH / name).read_text()


def test_streamlit_finds_the_application() -> None:
    """The script is recognised without being run."""
    found = discover_asgi_app(DASHBOARD / "streamlit_app.py")
    assert found.is_asgi_app
    assert found.app_name == "app"


def test_configuration_is_closed() -> None:
    """Loopback only, known hosts only, nothing sent home, no static folder."""
    config = tomllib.loads((DASHBOARD / ".streamlit" / "config.toml").read_text())
    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["allowedHosts"] == ["localhost", "127.0.0.1"]
    assert config["server"]["enableStaticServing"] is False
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"]["showErrorLinks"] is False


def test_every_response_has_the_policy() -> None:
    """The headers replace those that a response brought itself."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Content-Security-Policy", b"default-src *"), (b"x-other", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(shell.SecurityHeaders(app)({"type": "http"}, None, send))  # type: ignore[arg-type]  # not used
    headers = dict(sent[0]["headers"])
    assert headers[b"content-security-policy"] == shell.CONTENT_SECURITY_POLICY.encode()
    assert headers[b"x-other"] == b"1"
    assert b"Content-Security-Policy" not in headers


def test_policy_names_no_other_host() -> None:
    """Nothing may be loaded from, or sent to, another host."""
    assert "http" not in shell.CONTENT_SECURITY_POLICY
    assert "*" not in shell.CONTENT_SECURITY_POLICY


def test_roots_come_from_the_command_line_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """--root wins over HULDRA_PATH, may repeat, and becomes absolute."""
    monkeypatch.setenv("HULDRA_PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert source.options(["--root", "a", "--other", "--root", "/b"]).roots == (
        str(tmp_path / "a"),
        "/b",
    )
    assert source.options([]).roots == (str(tmp_path),)


@pytest.mark.parametrize(
    ("origin", "host", "answer"),
    [
        ("http://localhost:8501", "localhost:8501", True),
        ("http://localhost:9999", "localhost:8501", False),
        ("http://localhost", "localhost:80", True),
        ("https://board.example", "board.example", True),
        ("http://evil.example", "localhost:8501", False),
        ("null", "localhost:8501", False),
        (None, "localhost:8501", True),
    ],
)
def test_the_whole_origin_counts(origin: str | None, host: str, answer: bool) -> None:
    """A page at another port of the same host is another page; what is no browser has none."""
    headers = [(b"Host", host.encode())]
    headers += [(b"Origin", origin.encode())] if origin else []
    assert shell.is_same_origin(headers) is answer
