"""A client that comes back to its session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import tomada
from tests.integration.conftest import Run
from tomada import transports

HERE = "tcp://127.0.0.1:0"


class Sit(tomada.Request[None]):
    """Is not answered."""


app = tomada.App("sitting")


@app.on
async def sit(_: Sit) -> None:
    await asyncio.Event().wait()


def test_where_this_end_itself_fails_its_callers_hear_of_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a fault of this end's own")

    async def main() -> None:
        async with tomada.serve(app, HERE) as server:
            client = await tomada.connect(server.addresses[0])
            call = asyncio.create_task(client.ask(Sit()))
            await client.ping()
            monkeypatch.setattr(transports, "connect", broken)
            for connection in server.connections:
                connection._link.cut("the test cuts it")
            with pytest.raises(tomada.OutcomeUnknown, match="this end failed while it connected again"):
                await call
            assert client.state is tomada.ConnectionState.CLOSED

    run(main())
    assert "a fault of this end's own" in caplog.text
