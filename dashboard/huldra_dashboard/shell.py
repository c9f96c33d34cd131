"""What surrounds the pages: the script to run, the routes beside it, the response headers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SCRIPT = Path(__file__).with_name("ui.py")

# Streamlit's own bundle needs inline styles, and WebAssembly and `eval` for its charts; nothing
# may come from, or go to, another host. A picture or a form that a value smuggles in is refused.
_POLICY = (
    "default-src 'self'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob:",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "media-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self' data: blob:",
    "worker-src 'self' blob:",
    "frame-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'self'",
)
CONTENT_SECURITY_POLICY = "; ".join(_POLICY)
HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"no-referrer"),
)


class SecurityHeaders:
    """Middleware that sets `HEADERS` on each HTTP response, over what the response had."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; WebSockets stay as they are."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": with_security(message.get("headers", ()))}
            await send(message)

        await self._app(scope, receive, send_with_headers)


class WholeOrigin:
    """Middleware that refuses a WebSocket whose page is of another origin, port included.

    Streamlit compares hosts alone: any page that another user serves at another port of this
    machine could read the store.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what has the same origin, or none: that is no browser."""
        if scope["type"] == "websocket" and not is_same_origin(scope.get("headers", ())):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await self._app(scope, receive, send)


def is_same_origin(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return True if the Origin names the Host with its port, or there is no Origin."""
    found = {
        name.decode("latin-1").lower(): value.decode("latin-1").strip().lower()
        for name, value in headers
    }
    if "origin" not in found:
        return True
    scheme, _, netloc = found["origin"].partition("://")
    port = {"http": ":80", "https": ":443"}.get(scheme, "")
    host = found.get("host", "")
    return netloc == host or netloc + port == host or netloc == host + port


def with_security(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers with ours in place of any of the same name."""
    ours = {name for name, _ in HEADERS}
    return [pair for pair in headers if pair[0].lower() not in ours] + list(HEADERS)


def middleware() -> list[Middleware]:
    """What wraps every request and response."""
    return [Middleware(WholeOrigin), Middleware(SecurityHeaders)]


def routes() -> list[BaseRoute]:
    """The JSON API, served on the pages' port."""
    from huldra_dashboard import api  # here: importing the pages' shell must not build a catalog

    return list(api.routes())
