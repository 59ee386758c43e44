"""Callers of the web server that do not say what they want."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tomada.dashboard import patience
from tomada.dashboard.patience import PatientProtocol
from tomada.dashboard.serving import _Web


async def hello(_: Request) -> PlainTextResponse:
    await asyncio.sleep(0.3)  # longer than callers may take
    return PlainTextResponse("hello")


def test_who_says_nothing_or_only_half_of_it_is_cut_and_who_waits_for_an_answer_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "SECONDS", 0.1)

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.settimeout(0)
            port = listening.getsockname()[1]
            app = Starlette(routes=[Route("/", hello)])
            web = _Web(uvicorn.Config(app, http=PatientProtocol, lifespan="off", log_config=None, access_log=False))
            serving = asyncio.create_task(web.serve([listening]))
            silent, to_silent = await asyncio.open_connection("127.0.0.1", port)
            half, to_half = await asyncio.open_connection("127.0.0.1", port)
            to_half.write(b"GET / HTTP/1.1\r\nHost: loc")
            whole, to_whole = await asyncio.open_connection("127.0.0.1", port)
            to_whole.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for one in (silent, half):
                with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                    await one.readexactly(1)
            answer = await whole.readuntil(b"hello")
            assert answer.startswith(b"HTTP/1.1 200 OK")
            to_whole.write(b"GET / HTTP/1.1\r\nHost:")  # a second one, which never ends
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await whole.readexactly(1)
            web.end()
            await serving
            for writer in (to_silent, to_half, to_whole):
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()

    asyncio.run(main())
