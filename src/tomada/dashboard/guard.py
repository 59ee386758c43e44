"""Before any request is looked at: its Host and Origin. On every answer: what browsers may do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.websockets import WebSocket

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from tomada.dashboard.access import Access

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self' ws://{host} wss://{host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Lets in who came by one of this machine's own names, and from a page of this dashboard or none.

    Args:
        inner: What answers.
        access: Knows the names.
    """

    def __init__(self, inner: ASGIApp, access: Access) -> None:
        self._inner = inner
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        headers = Headers(scope=scope)
        why, status = self._wrong(scope["type"], headers)
        guarded = _Guarded(send, headers.get("host", "") if not why else "localhost")
        if not why:
            await self._inner(scope, receive, guarded)
            return
        refusal = Response(f"{why}\n", status, media_type="text/plain")
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, guarded).send_denial_response(refusal)
        else:
            await refusal(scope, receive, guarded)

    def _wrong(self, kind: str, headers: Headers) -> tuple[str, int]:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or len(origins) > 1:
            return "there must be one Host, and one Origin at most", 400
        if not self._access.is_host(hosts[0]):
            return f"this dashboard is not called {hosts[0][:100]!a}: use the address that the server showed", 421
        if kind == "websocket" and not self._access.is_origin(origins[0] if origins else None, hosts[0]):
            return f"pages of {origins[0][:100]!a} may not connect", 403
        return "", 0


class _Guarded:
    """Adds the headers."""

    def __init__(self, send: Send, host: str) -> None:
        self._send = send
        self._host = host

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = _POLICY.format(host=self._host)
            headers.update(_ALWAYS)
            if "Cache-Control" not in headers:
                headers["Cache-Control"] = "no-cache"  # kept, but asked for again: another version may be there
        await self._send(message)
