"""Asking the JSON API: in this process, without a socket, or over one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

Application = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class Answer:
    """What the API said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body; refuses what is no strict JSON."""

        def refuse(name: str) -> Any:
            raise ValueError(name)

        return json.loads(self.body, parse_constant=refuse)


def ask(app: Application, url: str, method: str = "GET", host: str = "localhost") -> Answer:
    """The answer of the application to one request."""
    path, _, query = url.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode("utf-8", "replace"),
        "query_string": query.encode("utf-8", "replace"),
        "root_path": "",
        "headers": [(b"host", host.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    messages: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    asyncio.run(asyncio.wait_for(_call(app, scope, receive, send), 30))
    body = b"".join(m.get("body", b"") for m in messages if m["type"] == "http.response.body")
    headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    return Answer(messages[0]["status"], headers, body)


async def _call(app: Application, scope: Any, receive: Any, send: Any) -> None:
    await app(scope, receive, send)
