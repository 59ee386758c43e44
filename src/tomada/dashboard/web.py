"""The dashboard's web server: the page's files, and two WebSockets, which are relayed to Unix sockets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from tomada.dashboard.access import TooManyGuesses
from tomada.dashboard.guard import Guard
from tomada.dashboard.relay import Unreachable, connected, relay
from tomada.web import web_folder

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from starlette.requests import HTTPConnection, Request
    from starlette.types import ASGIApp
    from starlette.websockets import WebSocket

    from tomada.dashboard.access import Access, Rights
    from tomada.dashboard.ways import Ways

    Way = tuple[asyncio.StreamReader, asyncio.StreamWriter]
    Lead = Callable[[Rights], Awaitable[Way | None]]

MOST_VIEWERS: Final = 64
"""WebSockets at once, of both kinds together."""
_STATIC: Final = Path(__file__).parent / "static"
_FORBIDDEN: Final = "this dashboard's token is missing, or it is another one: open the URL that the server showed"
_SLOWER: Final = "too many wrong tokens came from there: try again in a while"


class Dashboard:
    """What answers requests.

    Args:
        access: Who may see what.
        ways: Where WebSockets lead to.
    """

    def __init__(self, access: Access, ways: Ways) -> None:
        self._access = access
        self._ways = ways
        self._viewers = 0

    def application(self) -> ASGIApp:
        """For a web server to run."""
        routes = [
            Route("/access", self._tell_access),
            *(WebSocketRoute(path, self._watch) for path in ("/feed", "/feed/{token}")),
            *(WebSocketRoute(path, self._try) for path in ("/app", "/app/{token}")),
            Mount("/tomada", StaticFiles(directory=web_folder())),
            Mount("/", StaticFiles(directory=_STATIC, html=True, check_dir=False)),
        ]
        return Guard(Starlette(routes=routes), self._access)

    async def _rights(self, caller: HTTPConnection) -> Rights | None:
        host = caller.client.host if caller.client is not None else ""
        return await self._access.rights(_token(caller), host)

    async def _tell_access(self, request: Request) -> Response:
        try:
            rights = await self._rights(request)
        except TooManyGuesses:
            return _told({"error": _SLOWER}, 429)
        if rights is None:
            return _told({"error": _FORBIDDEN}, 403)
        may_try = rights.act or (rights.watch and await self._ways.is_open())
        return _told({"watch": rights.watch, "act": rights.act, "try": may_try})

    async def _watch(self, websocket: WebSocket) -> None:
        async def lead(rights: Rights) -> Way | None:
            return await connected(self._ways.feed(rights)) if rights.watch else None

        await self._let_in(websocket, lead)

    async def _try(self, websocket: WebSocket) -> None:
        async def lead(rights: Rights) -> Way | None:
            may_try = rights.act or (rights.watch and await self._ways.is_open())
            return await self._ways.application() if may_try else None

        await self._let_in(websocket, lead)

    async def _let_in(self, websocket: WebSocket, lead: Lead) -> None:
        try:
            rights = await self._rights(websocket)
        except TooManyGuesses:
            await _deny(websocket, 429, _SLOWER)
            return
        if rights is None:  # who guesses takes no viewer's place while it waits for its answer
            await _deny(websocket, 403, _FORBIDDEN)
        elif self._viewers >= MOST_VIEWERS:
            await _deny(websocket, 503, f"{MOST_VIEWERS} watch already: close another page")
        else:
            self._viewers += 1
            try:
                await self._relay(websocket, rights, lead)
            finally:
                self._viewers -= 1

    async def _relay(self, websocket: WebSocket, rights: Rights, lead: Lead) -> None:
        try:
            way = await lead(rights)
        except Unreachable as error:
            await _deny(websocket, 503, f"nobody serves there at the moment: {error}")
            return
        if way is None:
            await _deny(websocket, 403, _FORBIDDEN)
        else:
            await relay(websocket, way)


def _token(caller: HTTPConnection) -> str:
    given = caller.path_params.get("token", "")
    if given:
        return str(given)
    scheme, _, token = caller.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _told(value: dict[str, object], status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")


async def _deny(websocket: WebSocket, status: int, why: str) -> None:
    await websocket.send_denial_response(Response(f"{why}\n", status, media_type="text/plain"))
